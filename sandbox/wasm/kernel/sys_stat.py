"""Attributes: stat, modes, owners, times, extended attributes, file system space, directory listings."""

from __future__ import annotations

import errno
import os
import struct
import time

from sandbox.wasm.kernel.abi import AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW
from sandbox.wasm.kernel.regular import DirectoryFile
from sandbox.wasm.kernel.sys_path import resolve
from sandbox.wasm.kernel.syscalls import syscall
from sandbox.wasm.kernel.task import Task
from sandbox.wasm.vfs.node import Node, Stat, fail
from sandbox.wasm.vfs.permissions import set_mode, set_owner, set_times

_STATX = struct.Struct("<IIQIIIHHQQQQ qI4x qI4x qI4x qI4x IIII")
_STATX_BASIC = 0x7FF
_STATFS = struct.Struct("<II5QiiIII16x")
_TIMES64 = struct.Struct("<qqqq")
_TIMES32 = struct.Struct("<iiii")
UTIME_NOW, UTIME_OMIT = 0x3FFFFFFF, 0x3FFFFFFE
_BILLION = 10**9
_MAGIC = {
    "overlay": 0x794C7630, "tmpfs": 0x01021994, "proc": 0x9FA0, "sysfs": 0x62656572, "devpts": 0x1CD1,
}  # fmt: skip
_EXT4 = 0xEF53
NAME_MAX = 255
XATTR_SIZE_MAX = 64 << 10


def write_statx(task: Task, address: int, s: Stat) -> None:
    task.memory.pack(
        _STATX, address, _STATX_BASIC, 4096, 0, s.nlink, s.uid, s.gid, s.mode, 0, s.ino, s.size, s.blocks, 0,
        s.atime_ns // _BILLION, s.atime_ns % _BILLION, 0, 0,
        s.ctime_ns // _BILLION, s.ctime_ns % _BILLION, s.mtime_ns // _BILLION, s.mtime_ns % _BILLION,
        os.major(s.rdev), os.minor(s.rdev), os.major(s.dev), os.minor(s.dev),
    )  # fmt: skip


@syscall("statx")
def statx(task: Task, dirfd: int, path: int, flags: int, _mask: int, buffer: int, *_: int) -> int:
    if flags & AT_EMPTY_PATH and not task.memory.cbytes(path):
        found = task.cwd.stat() if dirfd == AT_FDCWD else task.files.get(dirfd).stat()
    else:
        found = resolve(task, dirfd, path, not flags & AT_SYMLINK_NOFOLLOW).stat()
    write_statx(task, buffer, found)
    return 0


@syscall("getdents64")
def getdents(task: Task, fd: int, address: int, size: int, *_: int) -> int:
    file = task.files.get(fd)
    if not isinstance(file, DirectoryFile):
        fail(errno.ENOTDIR)
    return file.entries_into(task.memory.view(address, size))


def _node_of(task: Task, fd: int) -> Node:
    node = task.files.get(fd).node
    if node is None:
        fail(errno.EINVAL)
    return node


@syscall("fchmodat")
def fchmodat(task: Task, dirfd: int, path: int, mode: int, *_: int) -> int:
    set_mode(resolve(task, dirfd, path), mode & 0o7777, task.credentials.access)
    return 0


@syscall("chmod")
def chmod(task: Task, path: int, mode: int, *_: int) -> int:
    return fchmodat(task, AT_FDCWD, path, mode)


@syscall("fchmod")
def fchmod(task: Task, fd: int, mode: int, *_: int) -> int:
    set_mode(_node_of(task, fd), mode & 0o7777, task.credentials.access)
    return 0


@syscall("fchownat")
def fchownat(task: Task, dirfd: int, path: int, uid: int, gid: int, flags: int, *_: int) -> int:
    if flags & AT_EMPTY_PATH and not task.memory.cbytes(path):
        return fchown(task, dirfd, uid, gid)
    set_owner(resolve(task, dirfd, path, not flags & AT_SYMLINK_NOFOLLOW), uid, gid, task.credentials.access)
    return 0


@syscall("chown32", "chown")
def chown(task: Task, path: int, uid: int, gid: int, *_: int) -> int:
    return fchownat(task, AT_FDCWD, path, uid, gid, 0)


@syscall("lchown32", "lchown")
def lchown(task: Task, path: int, uid: int, gid: int, *_: int) -> int:
    return fchownat(task, AT_FDCWD, path, uid, gid, AT_SYMLINK_NOFOLLOW)


@syscall("fchown32", "fchown")
def fchown(task: Task, fd: int, uid: int, gid: int, *_: int) -> int:
    set_owner(_node_of(task, fd), uid, gid, task.credentials.access)
    return 0


def _set_times(task: Task, dirfd: int, path: int, times: tuple[int, int, int, int] | None, flags: int) -> int:
    own = not path or (flags & AT_EMPTY_PATH and not task.memory.cbytes(path))
    node = _node_of(task, dirfd) if own else resolve(task, dirfd, path, not flags & AT_SYMLINK_NOFOLLOW)
    now = time.time_ns()
    if times is None:
        set_times(node, now, now, task.credentials.access, now=True)
        return 0
    stamps = [_stamp(times[i], times[i + 1] & 0xFFFFFFFF, now) for i in (0, 2)]
    set_times(node, stamps[0], stamps[1], task.credentials.access)
    return 0


def _stamp(seconds: int, nanoseconds: int, now: int) -> int | None:
    if nanoseconds == UTIME_NOW:
        return now
    if nanoseconds == UTIME_OMIT:
        return None
    if nanoseconds >= _BILLION:
        fail(errno.EINVAL)
    return seconds * _BILLION + nanoseconds


@syscall("utimensat_time64")
def utimensat64(task: Task, dirfd: int, path: int, times: int, flags: int, *_: int) -> int:
    values = task.memory.unpack(_TIMES64, times) if times else None
    return _set_times(task, dirfd, path, values, flags)


@syscall("utimensat")
def utimensat32(task: Task, dirfd: int, path: int, times: int, flags: int, *_: int) -> int:
    values = task.memory.unpack(_TIMES32, times) if times else None
    return _set_times(task, dirfd, path, values, flags)


def _write_statfs(task: Task, node: Node, address: int) -> int:
    s = node.fs.statfs()
    flags = 1 if node.fs.read_only else 0
    task.memory.pack(
        _STATFS, address, _MAGIC.get(s.kind, _EXT4), s.block_size, s.blocks, s.blocks_free, s.blocks_free,
        s.files, s.files_free, node.fs.dev, 0, NAME_MAX, s.block_size, flags,
    )  # fmt: skip
    return 0


@syscall("statfs64")
def statfs(task: Task, path: int, _size: int, buffer: int, *_: int) -> int:
    return _write_statfs(task, resolve(task, AT_FDCWD, path), buffer)


@syscall("fstatfs64")
def fstatfs(task: Task, fd: int, _size: int, buffer: int, *_: int) -> int:
    return _write_statfs(task, task.files.get(fd).node or task.kernel.tree.root, buffer)


def _answer(task: Task, data: bytes, buffer: int, size: int) -> int:
    if size:
        if len(data) > size & 0xFFFFFFFF:
            fail(errno.ERANGE)
        task.memory.write(buffer, data)
    return len(data)


def _xattr_node(task: Task, target: int, how: str) -> Node:
    return _node_of(task, target) if how == "f" else resolve(task, AT_FDCWD, target, how != "l")


def _register_xattrs(how: str) -> None:
    """The path, link and descriptor forms of the four calls differ in how the node is found only."""

    @syscall(f"{how}getxattr")
    def getxattr(task: Task, target: int, name: int, buffer: int, size: int, *_: int) -> int:
        value = _xattr_node(task, target, how).getxattr(task.memory.cstring(name))
        return _answer(task, value, buffer, size)

    @syscall(f"{how}setxattr")
    def setxattr(task: Task, target: int, name: int, value: int, size: int, flags: int, *_: int) -> int:
        if size & 0xFFFFFFFF > XATTR_SIZE_MAX:
            fail(errno.E2BIG)
        node = _xattr_node(task, target, how)
        if not task.credentials.privileged and task.credentials.euid != node.uid:
            fail(errno.EPERM)
        node.setxattr(task.memory.cstring(name), task.memory.read(value, size), flags)
        return 0

    @syscall(f"{how}listxattr")
    def listxattr(task: Task, target: int, buffer: int, size: int, *_: int) -> int:
        names = b"".join(os.fsencode(name) + b"\0" for name in _xattr_node(task, target, how).listxattr())
        return _answer(task, names, buffer, size)

    @syscall(f"{how}removexattr")
    def removexattr(task: Task, target: int, name: int, *_: int) -> int:
        node = _xattr_node(task, target, how)
        if not task.credentials.privileged and task.credentials.euid != node.uid:
            fail(errno.EPERM)
        node.removexattr(task.memory.cstring(name))
        return 0


for _how in ("", "l", "f"):
    _register_xattrs(_how)
