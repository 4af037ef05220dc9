"""Paths: mounts, links, "..", getcwd, and the errors that only the mounted tree can tell."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from functools import partial

import pytest

from sandbox.wasm.vfs import (
    RENAME_EXCHANGE,
    Device,
    Directory,
    DynamicDirectory,
    DynamicFile,
    DynamicSymlink,
    File,
    FileTree,
    StaticDirectory,
    Tmpfs,
    read_all,
)
from tests.sandbox.wasm.vfs.making import directory, get, memory_tree, names, put


@pytest.fixture
def tree() -> FileTree:
    tree = memory_tree()
    tree.makedirs("/a/b/c")
    put(tree, "/a/f", b"content")
    return tree


def error(call: Callable[[], object]) -> str:
    with pytest.raises(OSError) as caught:
        call()
    return errno.errorcode[caught.value.errno or 0]


def test_links_are_followed_as_told(tree: FileTree) -> None:
    tree.symlink("a/f", "/l")
    tree.symlink("/a", "/d")
    assert stat.S_ISLNK(tree.resolve("/l", follow=False).mode)
    assert stat.S_ISREG(tree.resolve("/l").mode)
    assert stat.S_ISDIR(tree.resolve("/d/", follow=False).mode)
    assert get(tree, "/d/b/../f") == b"content"


def test_dotdot_stays_below_the_root(tree: FileTree) -> None:
    inner = directory(tree, "/a")
    assert tree.resolve("/../../a") is inner
    assert tree.resolve("/../../../b", root=inner) is tree.resolve("/a/b")
    tree.symlink("/../../b", "/a/l")
    assert tree.resolve("/l", root=inner) is tree.resolve("/a/b")


def test_forty_links_and_no_more(tree: FileTree) -> None:
    for number in range(41):
        tree.symlink(f"/l{number - 1}" if number else "/a/f", f"/l{number}")
    assert get(tree, "/l39") == b"content"
    assert error(lambda: tree.resolve("/l40")) == "ELOOP"
    tree.symlink("loop", "/loop")
    assert error(lambda: tree.resolve("/loop")) == "ELOOP"
    assert error(lambda: tree.open("/loop", os.O_CREAT | os.O_WRONLY)) == "ELOOP"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("", "ENOENT"),
        ("/a/f/", "ENOTDIR"),
        ("/a/f/.", "ENOTDIR"),
        ("/a/f/..", "ENOTDIR"),
        ("/none/..", "ENOENT"),
        ("/" + "n" * 256, "ENAMETOOLONG"),
        ("/" + "ü" * 128, "ENAMETOOLONG"),
        ("/" + "n" * 255, "ENOENT"),
        ("/./" * 1366, "ENAMETOOLONG"),
    ],
)
def test_what_a_path_cannot_be(tree: FileTree, path: str, expected: str) -> None:
    assert error(lambda: tree.resolve(path)) == expected


def test_creating_through_a_dangling_link(tree: FileTree) -> None:
    tree.symlink("b/new", "/a/l")
    put(tree, "/a/l", b"through")
    assert get(tree, "/a/b/new") == b"through"


def test_getcwd_after_renames_and_removal(tree: FileTree) -> None:
    cwd = directory(tree, "/a/b/c")
    tree.rename("/a/b", "/x")
    assert tree.path_of(cwd) == "/x/c"
    assert tree.path_of(cwd, root=directory(tree, "/x")) == "/c"
    assert error(lambda: tree.path_of(cwd, root=directory(tree, "/a"))) == "ENOENT"
    tree.rmdir("/x/c")
    assert error(lambda: tree.path_of(cwd)) == "ENOENT"
    assert error(lambda: tree.mkdir("y", 0o755, cwd=cwd)) == "ENOENT"
    assert tree.resolve("..", cwd) is tree.resolve("/x")


def test_mounts(tree: FileTree) -> None:
    first = Tmpfs()
    tree.mount("/a/b", first.root, source="none")
    put(tree, "/a/b/inside", b"i")
    assert names(tree, "/a/b") == ["inside"]
    assert tree.resolve("/a/b/..") is tree.resolve("/a")
    assert tree.path_of(tree.makedirs("/a/b/p/q")) == "/a/b/p/q"
    tree.mount("/a/b/p/q", Tmpfs().root)
    assert tree.path_of(directory(tree, "/a/b/p/q")) == "/a/b/p/q"
    assert tree.resolve("/a/b/p/q/../..") is first.root
    assert [(mount.path, mount.kind, mount.source) for mount in tree.mounts()][1:] == [
        ("/a/b", "tmpfs", "none"),
        ("/a/b/p/q", "tmpfs", "tmpfs"),
    ]
    assert error(lambda: tree.unmount("/a/b")) == "EBUSY"
    tree.unmount("/a/b/p/q")
    tree.unmount("/a/b")
    assert names(tree, "/a/b") == ["c"]
    assert error(lambda: tree.unmount("/a/b")) == "EINVAL"


def test_mount_points_are_made_and_must_fit(tree: FileTree) -> None:
    tree.mount("/made/for/it", Tmpfs().root)
    assert names(tree, "/made/for") == ["it"]
    tree.mount("/made/file", DynamicFile(lambda: b"now"))
    assert get(tree, "/made/file") == b"now"
    assert error(lambda: tree.mount("/a/f", Tmpfs().root)) == "ENOTDIR"
    assert error(lambda: tree.mount("/a", DynamicFile(bytes))) == "EISDIR"


def test_mounts_on_mounts(tree: FileTree) -> None:
    tree.mount("/a", Tmpfs().root)
    tree.mount("/a", Tmpfs().root)
    put(tree, "/a/top")
    assert tree.resolve("/a/..") is tree.root
    assert tree.path_of(directory(tree, "/a")) == "/a"
    tree.unmount("/a")
    assert names(tree, "/a") == []
    tree.unmount("/a")
    assert names(tree, "/a") == ["b", "f"]


def test_mount_points_are_busy_and_nothing_crosses_them(tree: FileTree) -> None:
    tree.mount("/a/b", Tmpfs().root)
    tree.mount("/a/f", DynamicFile(bytes))
    assert error(lambda: tree.rmdir("/a/b")) == "EBUSY"
    assert error(lambda: tree.unlink("/a/f")) == "EBUSY"
    assert error(lambda: tree.rename("/a/b", "/x")) == "EBUSY"
    put(tree, "/g")
    assert error(lambda: tree.rename("/g", "/a/f")) == "EBUSY"
    assert error(lambda: tree.rename("/g", "/a/b/g")) == "EXDEV"
    assert error(lambda: tree.link("/g", "/a/b/g")) == "EXDEV"


def test_a_tmpfs_without_a_size_takes_half_of_the_memory_and_no_more() -> None:
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    tree = FileTree(Tmpfs().root)
    assert tree.root.fs.statfs().blocks == memory // 2 // 4096
    file = tree.open("/f", os.O_CREAT | os.O_WRONLY).handle
    assert file is not None
    assert error(lambda: file.fallocate(0, 0, memory)) == "ENOSPC"
    assert error(lambda: file.fallocate(0, 1 << 62, 1 << 61)) == "ENOSPC"
    file.close()


def test_a_file_is_read_up_to_a_limit(tree: FileTree) -> None:
    put(tree, "/long", b"x" * 100_000)
    file = tree.resolve("/long")
    assert isinstance(file, File)
    file.truncate(1 << 50)
    assert read_all(file, 70_000) == b"x" * 70_000
    file.truncate(5)
    assert read_all(file, 70_000) == b"xxxxx"


def test_a_tmpfs_leaves_the_machine_some_memory() -> None:
    tree = FileTree(Tmpfs(available=lambda: 100 << 20).root)
    put(tree, "/f", b"x" * (1 << 20))
    assert error(lambda: put(tree, "/g", b"x" * (5 << 20))) == "ENOSPC"


def test_a_hole_in_a_tmpfs_takes_no_room(tree: FileTree) -> None:
    tree.mount("/t", Tmpfs(size=4 * 4096).root)
    file = tree.open("/t/f", os.O_CREAT | os.O_RDWR).handle
    assert file is not None
    file.truncate(1 << 50)
    file.write(memoryview(b"end"), (1 << 50) - 3)
    node = tree.resolve("/t/f")
    assert (node.size, node.blocks, node.fs.statfs().blocks_free) == (1 << 50, 8, 3)
    file.close()


def test_read_only_mounts_refuse_everything(tree: FileTree) -> None:
    fs = Tmpfs()
    fs.root.create("f", 0o644, 0, 0)
    fs.root.mkdir("d", 0o755, 0, 0)
    tree.mount("/ro", fs.root, read_only=True)
    for call in (
        lambda: tree.open("/ro/f", os.O_WRONLY),
        lambda: tree.open("/ro/f", os.O_RDONLY | os.O_TRUNC),
        lambda: tree.open("/ro/n", os.O_CREAT | os.O_WRONLY),
        lambda: tree.mkdir("/ro/n", 0o755),
        lambda: tree.unlink("/ro/f"),
        lambda: tree.rmdir("/ro/d"),
        lambda: tree.rename("/ro/f", "/ro/g"),
        lambda: tree.link("/ro/f", "/ro/g"),
        lambda: tree.symlink("x", "/ro/g"),
        lambda: tree.access("/ro/f", os.W_OK),
        lambda: tree.resolve("/ro/f").chmod(0o600),
        lambda: tree.resolve("/ro/f").utime(1, 1),
        lambda: tree.resolve("/ro/f").setxattr("user.a", b""),
    ):
        assert error(call) == "EROFS"
    assert error(lambda: tree.mkdir("/ro/d", 0o755)) == "EEXIST"
    assert tree.mounts()[-1].read_only


def test_unlinking_and_making_what_has_no_name(tree: FileTree) -> None:
    assert error(lambda: tree.unlink("/a/.")) == "EISDIR"
    assert error(lambda: tree.rmdir("/a/.")) == "EINVAL"
    assert error(lambda: tree.rmdir("/a/..")) == "ENOTEMPTY"
    assert error(lambda: tree.rmdir("/")) == "EBUSY"
    assert error(lambda: tree.rename("/a/..", "/x")) == "EBUSY"
    for path in ("/", "/a/.", "/a/.."):
        assert error(partial(tree.mkdir, path, 0o755)) == "EEXIST"


def test_no_directory_comes_to_lie_in_itself(tree: FileTree) -> None:
    assert error(lambda: tree.rename("/a", "/a/b/x")) == "EINVAL"
    assert error(lambda: tree.rename("/a/b/c", "/a")) == "ENOTEMPTY"
    assert error(lambda: tree.rename("/a/b/c", "/a", RENAME_EXCHANGE)) == "EINVAL"


def test_o_path_and_magic_links(tree: FileTree) -> None:
    target = tree.resolve("/a/f")
    tree.unlink("/a/f")
    folder = StaticDirectory({"7": DynamicSymlink(lambda: "/a/f (deleted)", lambda: target)})
    tree.mount("/fd", folder)
    assert tree.resolve("/fd/7") is target
    assert tree.readlink("/fd/7") == "/a/f (deleted)"
    assert tree.open("/fd/7", os.O_PATH | os.O_NOFOLLOW).node == folder.lookup("7")
    assert error(lambda: tree.open("/fd/7", os.O_NOFOLLOW)) == "ELOOP"


def test_dynamic_directories(tree: FileTree) -> None:
    alive = ["1", "2"]

    def process(name: str) -> DynamicDirectory | None:
        entries = [("status", 8)]
        return DynamicDirectory(lambda: entries, lambda _: DynamicFile(name.encode)) if name in alive else None

    tree.mount("/proc", DynamicDirectory(lambda: [(name, 4) for name in alive], process))
    assert get(tree, "/proc/2/status") == b"2"
    cwd = tree.resolve("/proc/2")
    assert isinstance(cwd, Directory)
    assert tree.path_of(cwd) == "/proc/2"
    assert cwd == tree.resolve("/proc/2")
    assert cwd != tree.resolve("/proc/1")
    assert [(name, ino) for name, ino, _ in directory(tree, "/proc").entries()] == [
        (name, tree.resolve(f"/proc/{name}").ino) for name in alive
    ]
    alive.remove("2")
    assert error(lambda: tree.resolve("/proc/2")) == "ENOENT"
    assert error(lambda: tree.mkdir("/proc/3", 0o755)) == "EPERM"


def test_dynamic_files_hear_what_is_written(tree: FileTree) -> None:
    heard: list[bytes] = []
    tree.mount("/value", DynamicFile(lambda: b"0\n", heard.append, mode=0o644))
    opened = tree.open("/value", os.O_WRONLY | os.O_TRUNC)
    assert opened.handle is not None
    assert opened.handle.write(memoryview(b"1\n"), 0) == 2
    assert heard == [b"1\n"]
    tree.mount("/fixed", DynamicFile(lambda: b"0\n"))
    assert error(lambda: tree.open("/fixed", os.O_WRONLY)) == "EACCES"


def test_devices(tree: FileTree) -> None:
    tree.mount("/dev", StaticDirectory({"null": Device(stat.S_IFCHR | 0o666, os.makedev(1, 3))}))
    opened = tree.open("/dev/null", os.O_RDWR)
    assert (opened.node.rdev, opened.handle) == (os.makedev(1, 3), None)


def test_specials_have_one_attachment_per_inode(tree: FileTree) -> None:
    tree.mknod("/fifo", stat.S_IFIFO | 0o600)
    tree.resolve("/fifo").attachment = "buffer"
    tree.link("/fifo", "/a/fifo")
    assert tree.resolve("/a/fifo").attachment == "buffer"


def test_a_tmpfs_is_full_and_frees(tree: FileTree) -> None:
    tree.mount("/t", Tmpfs(size=8192, mode=0o700).root)
    assert stat.S_IMODE(tree.resolve("/t").mode) == 0o700
    put(tree, "/t/a", b"x" * 4097)
    assert error(lambda: put(tree, "/t/b", b"y")) == "ENOSPC"
    assert tree.root.fs.statfs().kind == "tmpfs"
    found = tree.resolve("/t").fs.statfs()
    assert (found.blocks, found.blocks_free) == (2, 0)
    opened = tree.open("/t/a", os.O_RDONLY)
    tree.unlink("/t/a")
    assert tree.resolve("/t").fs.statfs().blocks_free == 0
    assert opened.handle is not None
    opened.handle.close()
    put(tree, "/t/b", b"y" * 8192)
    put(tree, "/t/b", b"y")
    assert tree.resolve("/t").fs.statfs().blocks_free == 1
