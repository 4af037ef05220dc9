"""The overlay: what is on disk and when, copies on write, and coming back."""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.wasm.vfs import RENAME_EXCHANGE, FileTree, Overlay
from tests.sandbox.wasm.vfs.making import MTIME, describe, directory, get, link, lower, member, names, overlay_tree, put

IMAGE = [
    member("etc"),
    member("etc/passwd", b"root:x:0:0\n"),
    member("usr/lib"),
    member("usr/lib/big", b"0123456789" * 1000),
    link("usr/lib/same", "usr/lib/big", tarfile.LNKTYPE),
    link("lib", "usr/lib"),
    member("usr/dir/deep"),
    member("usr/dir/deep/file", b"deep"),
]


@pytest.fixture
def tree(tmp_path: Path) -> FileTree:
    return overlay_tree(tmp_path, IMAGE)


def overlay(tree: FileTree) -> Overlay:
    assert isinstance(tree.root.fs, Overlay)
    return tree.root.fs


def reopened(tree: FileTree) -> FileTree:
    """The container after its worker was restarted."""
    fs = overlay(tree)
    fs.close()
    return FileTree(Overlay.open(fs.state, fs.lower).root)


def data_files(tree: FileTree) -> list[str]:
    place = overlay(tree).state / "data"
    return sorted(os.listdir(place)) if place.exists() else []


def test_reading_writes_nothing(tree: FileTree) -> None:
    describe(tree.root)
    opened = tree.open("/etc/passwd", os.O_RDWR)
    assert opened.handle is not None
    opened.handle.close()
    assert not overlay(tree).state.exists()


def test_attributes_come_from_the_image(tree: FileTree) -> None:
    found = tree.resolve("/etc/passwd").stat()
    assert (found.mode, found.size, found.mtime_ns) == (stat.S_IFREG | 0o644, 11, MTIME * 10**9)


def test_metadata_of_an_image_file_copies_no_content(tree: FileTree) -> None:
    node = tree.resolve("/usr/lib/big")
    node.chmod(0o600)
    node.chown(5, 6)
    node.utime(1, 2)
    node.setxattr("user.x", b"y")
    assert data_files(tree) == []
    again = reopened(tree).resolve("/usr/lib/big")
    assert (again.mode, again.uid, again.gid, again.atime_ns, again.mtime_ns) == (stat.S_IFREG | 0o600, 5, 6, 1, 2)
    assert again.getxattr("user.x") == b"y"


def test_the_first_write_copies_and_every_open_handle_sees_it(tree: FileTree) -> None:
    reader, writer = tree.open("/usr/lib/big", os.O_RDONLY).handle, tree.open("/lib/same", os.O_RDWR).handle
    assert reader is not None
    assert writer is not None
    assert data_files(tree) == []
    writer.write(memoryview(b"ABC"), 5)
    seen = bytearray(12)
    assert reader.readinto(memoryview(seen), 0) == 12
    assert bytes(seen) == b"01234ABC8901"
    assert len(data_files(tree)) == 1
    writer.close()
    reader.close()
    assert get(reopened(tree), "/usr/lib/same") == b"01234ABC89" + b"0123456789" * 999


def test_truncating_open_copies_nothing(tree: FileTree) -> None:
    put(tree, "/usr/lib/big", b"")
    assert [(overlay(tree).state / "data" / name).stat().st_size for name in data_files(tree)] == [0]
    assert get(reopened(tree), "/usr/lib/big") == b""


def test_an_unlinked_open_file_stays_usable_and_leaves_nothing(tree: FileTree) -> None:
    for path in ("/etc/passwd", "/new"):
        opened = tree.open(path, os.O_CREAT | os.O_RDWR)
        assert opened.handle is not None
        tree.unlink(path)
        opened.handle.write(memoryview(b"late"), 2)
        seen = bytearray(6)
        assert opened.handle.readinto(memoryview(seen), 0) == 6
        assert bytes(seen[2:]) == b"late"
        opened.node.chmod(0o600)
        opened.handle.close()
    assert data_files(tree) == []
    assert names(reopened(tree), "/etc") == []


def test_sizes_and_times_follow_the_data(tree: FileTree) -> None:
    opened = tree.open("/f", os.O_CREAT | os.O_RDWR)
    assert opened.handle is not None
    assert opened.handle.append(memoryview(b"abc")) == 3
    assert opened.handle.append(memoryview(b"de")) == 5
    assert opened.node.size == 5
    opened.handle.fallocate(0, 0, 100)
    assert opened.node.size == 100
    opened.node.utime(None, 12345)
    assert opened.node.mtime_ns == 12345
    opened.handle.close()
    assert reopened(tree).resolve("/f").stat().mtime_ns == 12345


def test_a_merged_directory_moves_with_what_the_image_has_in_it(tree: FileTree) -> None:
    deep = directory(tree, "/usr/dir/deep")
    tree.rename("/usr/dir", "/moved")
    assert get(tree, "/moved/deep/file") == b"deep"
    assert tree.path_of(deep) == "/moved/deep"
    tree.mkdir("/usr/dir", 0o755)
    again = reopened(tree)
    assert get(again, "/moved/deep/file") == b"deep"
    assert names(again, "/usr/dir") == []


def test_a_directory_made_anew_hides_what_the_image_had(tree: FileTree) -> None:
    tree.unlink("/etc/passwd")
    tree.rmdir("/etc")
    tree.mkdir("/etc", 0o700)
    assert names(reopened(tree), "/etc") == []


def _remove_a_directory(tree: FileTree) -> None:
    tree.unlink("/etc/passwd")
    tree.rmdir("/etc")


def _move_out_of_a_directory_that_goes(tree: FileTree) -> None:
    tree.rename("/usr/dir/deep/file", "/f")
    tree.rmdir("/usr/dir/deep")
    tree.resolve("/f").chmod(0o4755)


Change = Callable[[FileTree], object]
CHANGES: dict[str, Change] = {
    "create": lambda tree: put(tree, "/etc/new", b"n"),
    "mkdir": lambda tree: tree.mkdir("/d", 0o711),
    "mknod": lambda tree: tree.mknod("/null", stat.S_IFCHR | 0o666, os.makedev(1, 3)),
    "fifo": lambda tree: tree.mknod("/fifo", stat.S_IFIFO | 0o600),
    "symlink": lambda tree: tree.symlink("x\udcff", "/s\udcfe"),
    "link": lambda tree: tree.link("/etc/passwd", "/p"),
    "unlink": lambda tree: tree.unlink("/etc/passwd"),
    "unlink one of two": lambda tree: tree.unlink("/usr/lib/big"),
    "rmdir": _remove_a_directory,
    "rename": lambda tree: tree.rename("/etc/passwd", "/usr/shadow"),
    "rename over": lambda tree: tree.rename("/etc/passwd", "/usr/lib/same"),
    "rename directory": lambda tree: tree.rename("/usr/dir", "/etc/dir"),
    "move out of a directory that goes": _move_out_of_a_directory_that_goes,
    "exchange": lambda tree: tree.rename("/etc", "/usr/lib/big", RENAME_EXCHANGE),
    "times before 1970": lambda tree: tree.resolve("/etc").utime(-5, -7),
    "setxattr": lambda tree: tree.resolve("/etc").setxattr("user.a", b"\0\xff"),
    "write": lambda tree: put(tree, "/etc/passwd", b"changed"),
}


@pytest.mark.parametrize("compacted", [False, True])
@pytest.mark.parametrize("name", CHANGES)
def test_every_change_comes_back(tree: FileTree, name: str, compacted: bool) -> None:
    CHANGES[name](tree)
    before, inos = describe(tree.root), {path: tree.resolve(path, follow=False).ino for path in ("/", "/usr")}
    if compacted:
        overlay(tree).compact()
    again = reopened(tree)
    assert describe(again.root) == before
    assert {path: again.resolve(path, follow=False).ino for path in ("/", "/usr")} == inos


def test_removed_xattrs_stay_removed(tmp_path: Path) -> None:
    capability = {"SCHILY.xattr.security.capability": "c"}
    tree = overlay_tree(tmp_path, [member("f", b"", pax_headers=capability)])
    assert tree.resolve("/f").listxattr() == ["security.capability"]
    tree.resolve("/f").removexattr("security.capability")
    overlay(tree).compact()
    assert reopened(tree).resolve("/f").listxattr() == []


def test_a_torn_last_record_is_cut_off(tree: FileTree) -> None:
    tree.mkdir("/one", 0o755)
    before, journal = describe(tree.root), overlay(tree).state / "journal"
    whole = journal.stat().st_size
    tree.mkdir("/two", 0o755)
    with journal.open("r+b") as file:
        file.truncate(journal.stat().st_size - 1)
    again = reopened(tree)
    assert describe(again.root) == before
    assert journal.stat().st_size == whole
    again.mkdir("/three", 0o755)
    assert "three" in names(reopened(again))


def test_data_that_nothing_refers_to_is_removed(tree: FileTree) -> None:
    put(tree, "/f", b"kept")
    kept = data_files(tree)
    for name in ("4711", "t1"):
        (overlay(tree).state / "data" / name).write_bytes(b"lost")
    assert data_files(reopened(tree)) == kept


def test_the_journal_is_compacted_when_it_got_long(tree: FileTree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlay(tree), "_compact_at", 2000)
    for number in range(100):
        tree.resolve("/etc").chmod(0o700 + number % 8)
    before = describe(tree.root)
    assert overlay(tree).journal.length < 10_000
    assert describe(reopened(tree).root) == before


def test_a_full_disk_changes_nothing(tree: FileTree, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tree, "/first")
    before = describe(tree.root)

    def full(fd: int, data: bytes) -> int:
        return real(fd, data[:7])

    real = os.write
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space left"):
        tree.resolve("/etc/passwd").chmod(0o600)
    with pytest.raises(OSError, match="No space left"):
        tree.mkdir("/d", 0o755)
    monkeypatch.undo()
    assert describe(tree.root) == before
    tree.resolve("/etc/passwd").chmod(0o640)
    after = describe(tree.root)
    assert describe(reopened(tree).root) == after


def test_another_image_is_refused(tree: FileTree, tmp_path: Path) -> None:
    tree.resolve("/etc/passwd").chmod(0o600)
    overlay(tree).close()
    with pytest.raises(ValueError, match="does not fit the image"):
        Overlay.open(overlay(tree).state, lower(tmp_path / "other"))


def test_usage_counts_content(tree: FileTree) -> None:
    put(tree, "/f", b"x" * 100)
    usage = overlay(tree).usage()
    assert (usage.upper, usage.lower) == (100, 11 + 10_000 + 4)
