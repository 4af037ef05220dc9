"""docker cp, diff and export."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import stat
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
import zstandard

from sandbox.wasm.vfs import Directory, FileTree, HostMount, Overlay, Tmpfs
from sandbox.wasm.vfs.archive import (
    ArchiveError,
    copy_tree,
    export_root,
    fill_directory,
    read_archive,
    stat_path,
    write_archive,
)
from sandbox.wasm.vfs.changes import changes
from tests.sandbox.images.making import SPARSE_FILES, SPARSE_FORMS, sparse_archive
from tests.sandbox.wasm.vfs.making import (
    MTIME,
    describe,
    describe_host,
    get,
    link,
    member,
    memory_tree,
    names,
    overlay_tree,
    put,
    tar,
)


@pytest.fixture
def tree(tmp_path: Path) -> FileTree:
    return overlay_tree(
        tmp_path,
        [
            member("etc"),
            member("etc/passwd", b"root\n"),
            member("tmp", mode=0o1777),
            member("usr/bin"),
            member("usr/bin/su", b"su", mode=0o4755),
            link("bin", "usr/bin"),
            link("chain", "/bin/su"),
            link("dangling", "bin/none/x"),
        ],
    )


def archive(chunks: Iterable[bytes]) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as found:
        return {info.name: info for info in found.getmembers()}


def write(
    tree: FileTree, path: str, *members: tuple[tarfile.TarInfo, bytes], no_overwrite_dir_non_dir: bool = False
) -> None:
    write_archive(tree, path, [tar(members)], no_overwrite_dir_non_dir)


@pytest.mark.parametrize(
    ("path", "name", "mode", "target"),
    [
        ("/tmp", "tmp", 2148532735, ""),
        ("tmp/", "tmp", 2148532735, ""),
        ("/tmp/.", ".", 2148532735, ""),
        ("/", "/", 2147484141, ""),
        ("/usr/bin/su", "su", 1 << 23 | 0o755, ""),
        ("/bin/su", "su", 1 << 23 | 0o755, ""),
        ("/bin", "bin", 1 << 27 | 0o777, "/usr/bin"),
        ("/bin/", "bin", 1 << 31 | 0o755, ""),
        ("/chain", "chain", 1 << 27 | 0o777, "/usr/bin/su"),
        ("/dangling", "dangling", 1 << 27 | 0o777, "/usr/bin/none/x"),
        ("/etc/../tmp", "tmp", 2148532735, ""),
    ],
)
def test_stat(tree: FileTree, path: str, name: str, mode: int, target: str) -> None:
    found = stat_path(tree, path)
    assert (found.name, found.mode, found.link_target) == (name, mode, target)


def test_stat_of_specials_and_times(tree: FileTree) -> None:
    tree.mknod("/null", stat.S_IFCHR | 0o666)
    tree.mknod("/fifo", stat.S_IFIFO | 0o600)
    tree.mknod("/sock", stat.S_IFSOCK | 0o600)
    modes = [stat_path(tree, path).mode for path in ("/null", "/fifo", "/sock")]
    assert modes == [1 << 26 | 1 << 21 | 0o666, 1 << 25 | 0o600, 1 << 24 | 0o600]
    tree.resolve("/null").utime(0, MTIME * 10**9 + 120_000_000)
    assert stat_path(tree, "/null").mtime == "2020-09-13T12:26:40.12Z"
    assert stat_path(tree, "/etc").mtime == "2020-09-13T12:26:40Z"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/etc", ["etc", "etc/passwd"]),
        ("/etc/", ["etc", "etc/passwd"]),
        ("/etc/.", [".", "./passwd"]),
        ("/etc/passwd", ["passwd"]),
        ("/bin", ["bin"]),
        ("/bin/", ["bin", "bin/su"]),
    ],
)
def test_names_in_an_archive(tree: FileTree, path: str, expected: list[str]) -> None:
    assert list(archive(read_archive(tree, path)[1])) == expected


def test_a_missing_path_is_told_before_anything_is_sent(tree: FileTree) -> None:
    with pytest.raises(FileNotFoundError):
        read_archive(tree, "/none")


def test_export_is_the_whole_root(tree: FileTree) -> None:
    tree.mount("/vol", Tmpfs().root)
    put(tree, "/vol/hidden")
    found = archive(export_root(tree))
    assert list(found) == [
        "bin", "chain", "dangling", "etc", "etc/passwd", "tmp", "usr", "usr/bin", "usr/bin/su", "vol",
    ]  # fmt: skip
    assert (found["bin"].linkname, found["usr/bin/su"].mode) == ("usr/bin", 0o4755)


def test_what_comes_out_goes_in_again(tree: FileTree, tmp_path: Path) -> None:
    deep = "/d/" + "n" * 200 + "/" + "m" * 120
    tree.makedirs(deep, uid=3, gid=4)
    put(tree, f"{deep}/ü\udcff", os.urandom(300_000)).chown(1, 1 << 22)
    tree.link(f"{deep}/ü\udcff", "/d/again")
    tree.symlink("x" * 150, "/d/long")
    tree.mknod("/d/null", stat.S_IFCHR | 0o666, os.makedev(1, 300))
    tree.mknod("/d/fifo", stat.S_IFIFO | 0o600)
    tree.resolve("/d/again").setxattr("user.a", b"\0\n=\xff")
    put(tree, "/d/old").utime(None, -1_500_000_000)
    for path in ("/d/fifo", "/d"):
        tree.resolve(path).utime(0, 1_234_567_890_123_456_789)
    fresh = memory_tree()
    write_archive(fresh, "/", read_archive(tree, "/d")[1])
    assert describe(fresh.resolve("/d")) == describe(tree.resolve("/d"))
    assert fresh.resolve("/d/again").getxattr("user.a") == b"\0\n=\xff"
    copied = tmp_path / "volume"
    copied.mkdir()
    tree.unlink("/d/null")
    copy_tree(tree, "/d", copied)
    assert describe_host(copied) == describe(tree.resolve("/d"), times=False)
    assert copied.stat().st_mtime_ns == tree.resolve("/d").mtime_ns


def test_a_directory_is_filled_without_root(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, kind in (("d", tarfile.DIRTYPE), ("d/f", tarfile.REGTYPE), ("d/l", tarfile.SYMTYPE)):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode, entry.uid, entry.gid, entry.linkname = kind, 0o2500, 1000, 100, "f"
            tar.addfile(entry)
    fill_directory(tmp_path, [buffer.getvalue()], remember_owners=True)
    mount = HostMount(tmp_path, remember_owners=True)
    try:
        assert isinstance(mount.root, Directory)
        tree = FileTree(mount.root)
        found = {path: tree.resolve(path).stat() for path in ("/d", "/d/f")}
    finally:
        mount.close()
    assert {(stat.S_IMODE(node.mode), node.uid, node.gid) for node in found.values()} == {(0o2500, 1000, 100)}
    assert (tmp_path / "d" / "f").stat().st_uid == os.geteuid()


def test_python_reads_our_headers(tree: FileTree) -> None:
    put(tree, "/etc/" + "l" * 120, b"x" * 1000).utime(0, 1_500_000_000)
    found = archive(read_archive(tree, "/etc")[1])["etc/" + "l" * 120]
    assert (found.size, found.mtime, found.isreg()) == (1000, 1.5, True)


def test_sockets_are_left_out(tree: FileTree) -> None:
    tree.mknod("/etc/sock", stat.S_IFSOCK | 0o600)
    assert list(archive(read_archive(tree, "/etc")[1])) == ["etc", "etc/passwd"]


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress, zstandard.compress])
def test_compressed_archives(tree: FileTree, pack: type[bytes]) -> None:
    packed = pack(tar([member("d"), member("d/f", b"content" * 999)]))
    write_archive(tree, "/tmp", (packed[at : at + 7] for at in range(0, len(packed), 7)))
    assert get(tree, "/tmp/d/f") == b"content" * 999


@pytest.mark.parametrize("form", SPARSE_FORMS)
def test_sparse_files_are_whole(tree: FileTree, tmp_path: Path, form: str) -> None:
    raw = sparse_archive(form, tmp_path).read_bytes()
    write_archive(tree, "/tmp", (raw[at : at + 999] for at in range(0, len(raw), 999)))
    assert {name: get(tree, f"/tmp/{name}") for name in SPARSE_FILES} == SPARSE_FILES
    with pytest.raises(ArchiveError, match=r"^unexpected EOF in 'holes'$"):
        write_archive(tree, "/tmp", [raw[:8000]])


def test_owners_modes_and_times_are_kept(tree: FileTree) -> None:
    write(tree, "/tmp", member("d", uid=5, gid=6, mode=0o2750), member("d/f", b"x", uid=7, mode=0o4711, mtime=99))
    directory, file = tree.resolve("/tmp/d").stat(), tree.resolve("/tmp/d/f").stat()
    assert (directory.uid, directory.gid, directory.mode) == (5, 6, stat.S_IFDIR | 0o2750)
    assert directory.mtime_ns == MTIME * 10**9
    assert (file.uid, file.mode, file.mtime_ns) == (7, stat.S_IFREG | 0o4711, 99 * 10**9)
    write_archive(tree, "/tmp", [tar([member("mine", b"", uid=5)])], owner=(1000, 1001))
    assert (tree.resolve("/tmp/mine").uid, tree.resolve("/tmp/mine").gid) == (1000, 1001)


def test_missing_parents_are_made_and_existing_directories_merged(tree: FileTree) -> None:
    write(tree, "/", member("new/deep/f", b"1"), member("etc", mode=0o700), member("etc/group", b"g"))
    assert get(tree, "/new/deep/f") == b"1"
    assert names(tree, "/etc") == ["group", "passwd"]
    assert stat.S_IMODE(tree.resolve("/etc").mode) == 0o700


def test_files_replace_directories_unless_forbidden(tree: FileTree) -> None:
    with pytest.raises(ArchiveError, match='cannot overwrite directory "/etc" with non-directory "/"'):
        write(tree, "/", member("etc", b"file"), no_overwrite_dir_non_dir=True)
    with pytest.raises(ArchiveError, match='cannot overwrite non-directory "/etc/passwd" with directory "/etc"'):
        write(tree, "/etc", member("passwd"), no_overwrite_dir_non_dir=True)
    write(tree, "/", member("etc", b"file"))
    assert get(tree, "/etc") == b"file"


def test_trees_deeper_than_the_stack(tree: FileTree) -> None:
    directory = tree.makedirs("/deep")
    for _ in range(3000):
        directory = directory.mkdir("d", 0o755, 0, 0)
    assert len(archive(read_archive(tree, "/deep")[1])) == 3001
    write(tree, "/", member("deep", b"file"))
    assert get(tree, "/deep") == b"file"


def test_the_target_must_be_a_directory(tree: FileTree) -> None:
    with pytest.raises(NotADirectoryError, match="extraction point is not a directory"):
        write(tree, "/etc/passwd", member("x", b""))
    with pytest.raises(FileNotFoundError):
        write(tree, "/none", member("x", b""))
    tree.root.fs.read_only = True
    with pytest.raises(OSError, match="Read-only"):
        write(tree, "/tmp", member("x", b""))


def test_archives_stay_in_the_container(tree: FileTree, tmp_path: Path) -> None:
    (tmp_path / "host").mkdir()
    tree.mount("/vol", HostMount(tmp_path / "host").root)
    with pytest.raises(ArchiveError, match="is outside of"):
        write(tree, "/tmp", member("../x", b""))
    with pytest.raises(ArchiveError, match="is outside of"):
        write(tree, "/tmp", link("h", "../etc/passwd", tarfile.LNKTYPE))
    write(tree, "/vol", link("out", "../../../../../../../../../../tmp"), member("out/f", b"kept inside"))
    assert get(tree, "/tmp/f") == b"kept inside"
    assert not Path("/tmp/f").exists()
    assert os.listdir(tmp_path / "host") == ["out"]


def test_volumes_are_written_through_and_tmpfs_is_not_seen(tree: FileTree, tmp_path: Path) -> None:
    (tmp_path / "host").mkdir()
    tree.mount("/data", HostMount(tmp_path / "host").root)
    tree.mount("/tmp", Tmpfs().root)
    write(tree, "/", member("data/f", b"1"), member("tmp/f", b"2"))
    assert (tmp_path / "host" / "f").read_bytes() == b"1"
    assert names(tree, "/tmp") == []
    assert list(archive(read_archive(tree, "/data")[1])) == ["data", "data/f"]


def test_mount_points_are_not_replaced(tree: FileTree, tmp_path: Path) -> None:
    tree.mount("/data", HostMount(tmp_path).root)
    with pytest.raises(OSError, match="busy"):
        write(tree, "/", member("data", b""))


def test_hard_links(tree: FileTree) -> None:
    write(tree, "/tmp", member("a", b"1"), link("b", "a", tarfile.LNKTYPE), link("b", "b", tarfile.LNKTYPE))
    assert tree.resolve("/tmp/a") is tree.resolve("/tmp/b")
    with pytest.raises(ArchiveError, match="invalid hardlink"):
        write(tree, "/tmp", link("c", "none", tarfile.LNKTYPE))


@pytest.mark.parametrize("cut", [100, 512, 600, 1500, 10_000])
def test_a_truncated_archive_is_an_error(tree: FileTree, cut: int) -> None:
    packed = tar([member("long" * 40, b"x" * 20_000)])
    with pytest.raises(ArchiveError, match=r"unexpected EOF|describes no entry"):
        write_archive(tree, "/tmp", [packed[:cut]])


def test_garbage_is_an_error_and_nothing_is_nothing(tree: FileTree) -> None:
    with pytest.raises(ArchiveError, match="invalid tar header"):
        write_archive(tree, "/tmp", [b"garbage" * 1000])
    write_archive(tree, "/tmp", [])
    assert names(tree, "/tmp") == []


def test_memory_stays_bounded(tree: FileTree) -> None:
    size, sent = 64 << 20, 0
    info = tarfile.TarInfo("big")
    info.size = size

    def stream() -> Iterator[bytes]:
        nonlocal sent
        yield info.tobuf()
        piece = bytes(1 << 20)
        while sent < size:
            sent += len(piece)
            yield piece

    write_archive(tree, "/tmp", stream())
    assert tree.resolve("/tmp/big").size == size
    chunks = [len(chunk) for chunk in read_archive(tree, "/tmp/big")[1]]
    assert max(chunks) <= 1 << 18
    assert sum(chunks) > size


def diff(tree: FileTree) -> list[tuple[str, int]]:
    assert isinstance(tree.root.fs, Overlay)
    return list(changes(tree.root.fs))


def test_changes(tree: FileTree) -> None:
    assert diff(tree) == []
    put(tree, "/etc/passwd", b"changed")
    put(tree, "/etc/group", b"new")
    tree.makedirs("/srv/a")
    put(tree, "/srv/a/f")
    tree.unlink("/usr/bin/su")
    tree.unlink("/bin")
    tree.mkdir("/bin", 0o755)
    tree.resolve("/tmp").chmod(0o777)
    assert diff(tree) == [
        ("/bin", 0),
        ("/etc", 0),
        ("/etc/group", 1),
        ("/etc/passwd", 0),
        ("/srv", 1),
        ("/srv/a", 1),
        ("/srv/a/f", 1),
        ("/tmp", 0),
        ("/usr/bin", 0),
        ("/usr/bin/su", 2),
    ]


def test_changes_after_moving_directories(tree: FileTree) -> None:
    tree.rename("/usr", "/opt")
    assert diff(tree) == [("/opt", 1), ("/opt/bin", 1), ("/opt/bin/su", 1), ("/usr", 2)]
    tree.rename("/opt", "/usr")
    assert diff(tree) == []


def test_what_docker_prepares_is_no_change(tree: FileTree) -> None:
    tree.makedirs("/proc")
    tree.makedirs("/dev/pts")
    put(tree, "/etc/hosts")
    assert diff(tree) == []
    put(tree, "/etc/other")
    assert diff(tree) == [("/etc", 0), ("/etc/other", 1)]


def test_a_change_through_one_of_two_names_is_a_change_of_both(tmp_path: Path) -> None:
    image = [member("a/f", b"1"), member("b"), link("b/g", "a/f", tarfile.LNKTYPE)]
    tree = overlay_tree(tmp_path, image)
    put(tree, "/a/f", b"2")
    assert diff(tree) == [("/a/f", 0), ("/b/g", 0)]
