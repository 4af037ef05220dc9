"""Host mounts: nothing leads out of them, nothing is stale, ownership with and without root."""

from __future__ import annotations

import errno
import os
import socket
import stat
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from sandbox.wasm.vfs import (
    RENAME_EXCHANGE,
    RENAME_NOREPLACE,
    Directory,
    FileTree,
    HostMount,
    HostSpecial,
    Special,
    host,
)
from sandbox.wasm.vfs.descriptors import DescriptorCache
from tests.sandbox.wasm.descriptors import at_most_more
from tests.sandbox.wasm.vfs.making import describe, describe_host, directory, get, memory_tree, names, put


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text("host's secret")
    (tmp_path / "volume" / "d").mkdir(parents=True)
    (tmp_path / "volume" / "f").write_text("content")
    return tmp_path / "volume"


@pytest.fixture
def tree(volume: Path) -> FileTree:
    return mounted(volume)


def mounted(path: Path, **options: bool) -> FileTree:
    tree = memory_tree()
    put(tree, "/secret", b"container's own")
    tree.mount("/v", HostMount(path, **options).root)
    return tree


def error(call: Callable[[], object]) -> str:
    with pytest.raises(OSError) as caught:
        call()
    return errno.errorcode[caught.value.errno or 0]


def test_everything_arrives_on_the_host(tree: FileTree, volume: Path) -> None:
    put(tree, "/v/d/new", b"n" * 100_000)
    tree.mkdir("/v/e", 0o2750)
    tree.symlink("d/new", "/v/l")
    tree.link("/v/f", "/v/g")
    tree.mknod("/v/fifo", stat.S_IFIFO | 0o620)
    tree.rename("/v/d", "/v/e/d")
    tree.resolve("/v/e").chown(7, 8)
    tree.resolve("/v/l", follow=False).chown(9, 10)
    tree.resolve("/v/f").chmod(0o4711)
    tree.resolve("/v/l", follow=False).utime(1, 2)
    found = describe_host(volume)
    assert describe(tree.resolve("/v"), times=False) == found
    assert found["/e"][:3] == (oct(stat.S_IFDIR | 0o2750), 7, 8)
    assert found["/l"][1:3] == (9, 10)
    assert (volume / "l").lstat().st_mtime_ns == 2
    assert found["/fifo"][0] == oct(stat.S_IFIFO | 0o620)
    assert (volume / "e/d/new").read_bytes() == b"n" * 100_000


def test_links_lead_through_the_containers_tree(tree: FileTree, volume: Path) -> None:
    (volume / "absolute").symlink_to("/secret")
    (volume / "upwards").symlink_to("../secret")
    (volume / "far").symlink_to("../../../../../../../../etc/passwd")
    assert get(tree, "/v/absolute") == b"container's own"
    assert get(tree, "/v/upwards") == b"container's own"
    assert error(lambda: tree.resolve("/v/far")) == "ENOENT"
    assert tree.resolve("/v/..") is tree.root


def test_names_are_single_components(tree: FileTree) -> None:
    node = directory(tree, "/v")
    for name in ("..", ".", "", "d/..", "/etc"):
        assert error(partial(node.find, name)) == "EINVAL"
        assert error(partial(node.create, name, 0o644, 0, 0)) == "EINVAL"
        assert error(partial(node.unlink, name)) == "EINVAL"
        assert error(partial(node.rename, "f", node, name)) == "EINVAL"


def test_a_file_swapped_for_a_link_is_not_followed(tree: FileTree, volume: Path) -> None:
    held = tree.resolve("/v/f")
    (volume / "f").unlink()
    (volume / "f").symlink_to(volume.parent / "secret")
    secret = volume.parent / "secret"
    before = secret.stat()
    assert error(lambda: tree.open_node(held, os.O_RDWR)) == "ENOENT"
    assert error(lambda: held.chmod(0o777)) == "ENOENT"
    assert error(lambda: held.chown(1, 1)) == "ENOENT"
    assert error(lambda: held.utime(1, 1)) == "ENOENT"
    assert error(lambda: held.setxattr("user.a", b"")) == "ENOENT"
    assert error(held.stat) == "ENOENT"
    assert secret.stat() == before


def test_a_directory_swapped_for_a_link_is_not_entered(volume: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "_directories", DescriptorCache(0))
    tree = mounted(volume)
    held = directory(tree, "/v/d")
    (volume / "d").rename(volume / "elsewhere")
    (volume / "d").symlink_to(volume.parent)
    assert error(lambda: held.find("secret")) == "ENOENT"
    assert error(lambda: held.create("x", 0o644, 0, 0)) == "ENOENT"


def test_racing_swaps_never_show_the_host(volume: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread swaps a directory and a link to the host's, the other looks and writes through it."""
    monkeypatch.setattr(host, "_directories", DescriptorCache(1))
    (volume.parent / "outside").mkdir()
    (volume.parent / "outside" / "target").write_text("untouched")
    (volume / "d" / "target").write_text("inside")
    (volume / "swap").symlink_to(volume.parent / "outside")
    tree = mounted(volume)
    view = HostMount(volume)
    done = threading.Event()

    def swap() -> None:
        assert isinstance(view.root, Directory)
        while not done.is_set():
            view.root.rename("d", view.root, "swap", RENAME_EXCHANGE)

    thread = threading.Thread(target=swap)
    thread.start()
    outcomes = set()
    try:
        for _ in range(1500):
            try:
                opened = tree.open("/v/d/target", os.O_RDWR)
                assert opened.handle is not None
                seen = bytearray(20)
                outcomes.add(bytes(seen[: opened.handle.readinto(memoryview(seen), 0)]))
                opened.handle.write(memoryview(b"inside"), 0)
            except OSError as failed:
                outcomes.add(str(failed.errno).encode())
    finally:
        done.set()
        thread.join()
    assert b"inside" in outcomes
    assert b"untouched" not in outcomes
    assert (volume.parent / "outside" / "target").read_text() == "untouched"


def test_changes_show_at_once_everywhere(volume: Path) -> None:
    one, other = mounted(volume), mounted(volume)
    put(one, "/v/d/x", b"1")
    assert get(other, "/v/d/x") == b"1"
    (volume / "d" / "x").write_text("22")
    assert other.resolve("/v/d/x").size == 2
    other.rename("/v/d", "/v/e")
    assert names(one, "/v") == ["e", "f"]
    assert error(lambda: one.resolve("/v/d")) == "ENOENT"
    assert get(one, "/v/e/x") == b"22"


def test_getcwd_follows_renames_by_others(volume: Path) -> None:
    tree = mounted(volume)
    cwd = directory(tree, "/v/d")
    (volume / "d").rename(volume / "renamed")
    assert tree.path_of(cwd) == "/v/renamed"
    tree.rename("/v/renamed", "/v/again")
    assert tree.path_of(cwd) == "/v/again"
    (volume / "again").rmdir()
    assert error(lambda: tree.path_of(cwd)) == "ENOENT"


def test_an_open_file_outlives_its_name(tree: FileTree, volume: Path) -> None:
    opened = tree.open("/v/f", os.O_RDWR)
    (volume / "f").unlink()
    assert opened.handle is not None
    node = opened.handle.node
    assert (node.nlink, node.size) == (0, 7)
    assert opened.handle.append(memoryview(b"!")) == 8
    node.chmod(0o600)
    assert stat.S_IMODE(node.mode) == 0o600
    opened.handle.close()


def test_read_only(volume: Path) -> None:
    tree = mounted(volume, read_only=True)
    for call in (
        lambda: tree.open("/v/f", os.O_WRONLY),
        lambda: tree.open("/v/n", os.O_CREAT),
        lambda: tree.mkdir("/v/n", 0o755),
        lambda: tree.unlink("/v/f"),
        lambda: tree.rename("/v/f", "/v/g"),
        lambda: tree.resolve("/v/f").chmod(0o600),
        lambda: tree.resolve("/v/f").utime(1, 1),
    ):
        assert error(call) == "EROFS"
    assert get(tree, "/v/f") == b"content"


def test_a_single_file(volume: Path) -> None:
    tree = memory_tree()
    tree.mount("/etc/hosts", HostMount(volume / "f").root)
    put(tree, "/etc/hosts", b"127.0.0.1")
    assert (volume / "f").read_text() == "127.0.0.1"
    assert names(tree, "/etc") == ["hosts"]
    (volume / "f").unlink()
    (volume / "f").symlink_to("/etc/passwd")
    assert get(tree, "/etc/hosts") == b"127.0.0.1"
    tree.resolve("/etc/hosts").fs.close()
    assert error(lambda: get(tree, "/etc/hosts")) == "ENOENT"


def test_devices_are_not_made_on_the_host(tree: FileTree, volume: Path) -> None:
    assert error(lambda: tree.mknod("/v/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))) == "EPERM"
    assert not (volume / "null").exists()


def test_a_hosts_socket_can_be_reached(tree: FileTree, volume: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(volume / "s"))
        server.listen()
        node = tree.resolve("/v/s")
        assert isinstance(node, HostSpecial)
        assert isinstance(node, Special)
        fd = node.descriptor()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(f"/proc/self/fd/{fd}")
        os.close(fd)


def test_a_fifo_is_one_node_while_somebody_has_it(tree: FileTree) -> None:
    tree.mknod("/v/d/fifo", stat.S_IFIFO | 0o600)
    held = tree.resolve("/v/d/fifo")
    held.attachment = "buffer"
    assert tree.resolve("/v/d/fifo").attachment == "buffer"
    assert tree.resolve("/v/d/fifo") is held


def test_rename_flags(tree: FileTree) -> None:
    assert error(lambda: tree.rename("/v/f", "/v/d", RENAME_NOREPLACE)) == "EEXIST"
    tree.rename("/v/f", "/v/d", RENAME_EXCHANGE)
    assert get(tree, "/v/d") == b"content"
    assert names(tree, "/v/f") == []


def test_xattrs_are_the_users_own(tree: FileTree) -> None:
    node = tree.resolve("/v/f")
    node.setxattr("user.a", b"1")
    assert (node.listxattr(), node.getxattr("user.a")) == (["user.a"], b"1")
    node.removexattr("user.a")
    assert error(lambda: node.getxattr("user.a")) == "ENODATA"
    assert error(lambda: node.setxattr("trusted.overlay.opaque", b"y")) == "ENOTSUP"
    assert error(lambda: node.setxattr("user.sockerless.owner", b"0:0:777")) == "ENOTSUP"


def test_owners_are_remembered_without_root(volume: Path) -> None:
    tree = mounted(volume, remember_owners=True)
    assert (tree.resolve("/v/f").uid, tree.resolve("/v/f").gid) == (0, 0)
    made = put(tree, "/v/d/new")
    made.chown(1000, 100)
    made.chmod(0o4040)
    tree.mkdir("/v/e", 0)
    real = (volume / "d" / "new").stat()
    assert (real.st_uid, real.st_gid, stat.S_IMODE(real.st_mode)) == (os.geteuid(), os.getegid(), 0o640)
    again = mounted(volume, remember_owners=True)
    found = again.resolve("/v/d/new").stat()
    assert (found.uid, found.gid, stat.S_IMODE(found.mode)) == (1000, 100, 0o4040)
    assert stat.S_IMODE(again.resolve("/v/e").mode) == 0
    assert again.resolve("/v/d/new").listxattr() == []
    assert names(again, "/v/e") == []


def test_descriptors_are_bounded(volume: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "_directories", DescriptorCache(8))
    tree = mounted(volume)
    with at_most_more(8):
        for number in range(60):
            tree.makedirs(f"/v/many/{number}")
        held = [directory(tree, f"/v/many/{number}") for number in range(60)]
        for node in held:
            node.create("f", 0o644, 0, 0)
    assert [names(tree, f"/v/many/{number}") for number in range(60)] == [["f"]] * 60
