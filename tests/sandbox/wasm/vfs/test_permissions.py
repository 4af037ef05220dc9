"""Discretionary access control as Linux has it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable

import pytest

from sandbox.wasm.vfs import Credentials, FileTree, Node, check_access, set_mode, set_owner, set_times
from tests.sandbox.wasm.vfs.making import memory_tree, put

ROOT = Credentials(0, 0)
USER = Credentials(1000, 1000, frozenset({27}))
OTHER = Credentials(1001, 1001)


@pytest.fixture
def tree() -> FileTree:
    tree = memory_tree()
    tree.makedirs("/home", uid=1000, gid=1000)
    put(tree, "/home/f", b"x").chown(1000, 1000)
    tree.makedirs("/tmp", mode=0o1777)
    return tree


def error(call: Callable[[], object]) -> str:
    with pytest.raises(OSError) as caught:
        call()
    return errno.errorcode[caught.value.errno or 0]


def granted(node: Node, cred: Credentials | None) -> str:
    """Which of rwx are."""
    letters = ""
    for letter, want in (("r", os.R_OK), ("w", os.W_OK), ("x", os.X_OK)):
        try:
            check_access(node, want, cred)
            letters += letter
        except PermissionError:
            letters += "-"
    return letters


@pytest.mark.parametrize(
    ("mode", "gid", "cred", "expected"),
    [
        (0o640, 1000, USER, "rw-"),
        (0o640, 1000, OTHER, "---"),
        (0o604, 1000, OTHER, "r--"),
        (0o077, 1000, USER, "---"),
        (0o000, 1000, ROOT, "rw-"),
        (0o001, 1000, ROOT, "rwx"),
        (0o000, 1000, None, "rw-"),
        (0o707, 1001, OTHER, "---"),
    ],
)
def test_bits(tree: FileTree, mode: int, gid: int, cred: Credentials | None, expected: str) -> None:
    node = tree.resolve("/home/f")
    node.chown(1000, gid)
    node.chmod(mode)
    assert granted(node, cred) == expected


def test_supplementary_groups_count(tree: FileTree) -> None:
    node = tree.resolve("/home/f")
    node.chown(0, 27)
    node.chmod(0o060)
    assert granted(node, USER) == "rw-"


def test_every_component_must_be_searchable(tree: FileTree) -> None:
    tree.resolve("/home").chmod(0o700)
    assert error(lambda: tree.resolve("/home/f", cred=OTHER)) == "EACCES"
    assert error(lambda: tree.resolve("/home/.", cred=OTHER)) == "EACCES"
    assert error(lambda: tree.resolve("/home/none/x", cred=OTHER)) == "EACCES"
    assert tree.resolve("/home/", cred=OTHER) is tree.resolve("/home")
    assert tree.resolve("/home/f", cred=USER) is tree.resolve("/home/f")


def test_names_need_write_on_the_directory(tree: FileTree) -> None:
    for call in (
        lambda: tree.open("/home/n", os.O_CREAT, cred=OTHER),
        lambda: tree.mkdir("/home/n", 0o755, cred=OTHER),
        lambda: tree.symlink("x", "/home/n", cred=OTHER),
        lambda: tree.mknod("/home/n", stat.S_IFIFO, cred=OTHER),
        lambda: tree.unlink("/home/f", cred=OTHER),
        lambda: tree.rename("/home/f", "/tmp/f", cred=OTHER),
        lambda: tree.link("/home/f", "/home/n", cred=OTHER),
        lambda: tree.open("/home/f", os.O_RDWR, cred=OTHER),
        lambda: tree.open("/home/f", os.O_TRUNC, cred=OTHER),
    ):
        assert error(call) == "EACCES"
    assert error(lambda: tree.mknod("/tmp/n", stat.S_IFCHR, cred=OTHER)) == "EPERM"
    tree.open("/home/n", os.O_CREAT, cred=USER)
    made = tree.resolve("/home/n")
    assert (made.uid, made.gid) == (1000, 1000)


def test_a_file_made_unreadable_can_be_written_by_its_maker(tree: FileTree) -> None:
    opened = tree.open("/tmp/n", os.O_CREAT | os.O_WRONLY, 0, cred=USER)
    assert opened.handle is not None
    assert error(lambda: tree.open("/tmp/n", os.O_WRONLY, cred=USER)) == "EACCES"


def test_the_sticky_bit(tree: FileTree) -> None:
    tree.open("/tmp/mine", os.O_CREAT, cred=USER)
    assert error(lambda: tree.unlink("/tmp/mine", cred=OTHER)) == "EPERM"
    assert error(lambda: tree.rename("/tmp/mine", "/tmp/x", cred=OTHER)) == "EPERM"
    tree.open("/tmp/theirs", os.O_CREAT, cred=OTHER)
    assert error(lambda: tree.rename("/tmp/theirs", "/tmp/mine", cred=OTHER)) == "EPERM"
    tree.unlink("/tmp/mine", cred=USER)


def test_set_group_id_directories_hand_their_group_down(tree: FileTree) -> None:
    shared = tree.makedirs("/shared", mode=0o2777, gid=50)
    tree.mkdir("/shared/d", 0o755, cred=USER)
    tree.open("/shared/f", os.O_CREAT, 0o644, cred=USER)
    assert (shared.lookup("d").mode, shared.lookup("d").gid) == (stat.S_IFDIR | 0o2755, 50)
    assert (shared.lookup("f").mode, shared.lookup("f").gid) == (stat.S_IFREG | 0o644, 50)


def test_chmod_is_the_owners(tree: FileTree) -> None:
    node = tree.resolve("/home/f")
    assert error(lambda: set_mode(node, 0o777, OTHER)) == "EPERM"
    node.chown(-1, 50)
    set_mode(node, 0o2755, USER)
    assert stat.S_IMODE(node.mode) == 0o755
    set_mode(node, 0o2755, ROOT)
    assert stat.S_IMODE(node.mode) == 0o2755


def test_chown(tree: FileTree) -> None:
    node = tree.resolve("/home/f")
    assert error(lambda: set_owner(node, 1001, -1, USER)) == "EPERM"
    assert error(lambda: set_owner(node, -1, 50, USER)) == "EPERM"
    assert error(lambda: set_owner(node, -1, 1001, OTHER)) == "EPERM"
    set_owner(node, -1, 27, USER)
    node.chmod(0o6755)
    set_owner(node, 5, 6, ROOT)
    assert (node.uid, node.gid, stat.S_IMODE(node.mode)) == (5, 6, 0o755)


def test_times(tree: FileTree) -> None:
    node = tree.resolve("/home/f")
    node.chmod(0o666)
    assert error(lambda: set_times(node, 1, 1, OTHER)) == "EPERM"
    set_times(node, 2, 2, OTHER, now=True)
    node.chmod(0o644)
    assert error(lambda: set_times(node, 3, 3, OTHER, now=True)) == "EACCES"
    set_times(node, None, 4, USER)
    assert (node.atime_ns, node.mtime_ns) == (2, 4)


def test_moving_a_directory_needs_write_on_it(tree: FileTree) -> None:
    tree.makedirs("/tmp/d", mode=0o555, uid=1000)
    assert error(lambda: tree.rename("/tmp/d", "/home/d", cred=USER)) == "EACCES"
    tree.rename("/tmp/d", "/tmp/e", cred=USER)
