"""What stands where a host directory or file should be mounted that is not there: a place at which nothing is found."""

from __future__ import annotations

import errno
from typing import NoReturn

from sandbox.wasm.vfs.node import Directory, Entry, FileSystem, Node, Stat, fail


class AbsentMount(FileSystem):
    """`path` is what should be mounted. Every look at it is ENOENT, so that nothing is read or written below it."""

    kind = "bind"
    from_host = True

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path
        self.root = _Absent(self)

    def check_writable(self) -> NoReturn:
        """ENOENT."""
        fail(errno.ENOENT, self.path)


class _Absent(Directory):
    __slots__ = ()

    fs: AbsentMount
    parent = None
    name = ""

    def __init__(self, fs: AbsentMount) -> None:
        self.fs = fs
        self.attachment = None

    def stat(self) -> Stat:
        fail(errno.ENOENT, self.fs.path)

    def find(self, name: str) -> Node | None:
        fail(errno.ENOENT, self.fs.path)

    def entries(self) -> list[Entry]:
        return []

    def chmod(self, mode: int) -> None:
        fail(errno.ENOENT, self.fs.path)

    def chown(self, uid: int, gid: int) -> None:
        fail(errno.ENOENT, self.fs.path)

    def utime(self, atime_ns: int | None, mtime_ns: int | None) -> None:
        fail(errno.ENOENT, self.fs.path)

    def _refuse(self) -> NoReturn:
        fail(errno.ENOENT, self.fs.path)
