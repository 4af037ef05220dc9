"""tmpfs: a file system in memory, with a limit on its bytes."""

from __future__ import annotations

import errno
import itertools
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from sandbox.wasm.vfs import hostmemory
from sandbox.wasm.vfs.inode import Inode, InodeDirectory, InodeFileSystem, InodeSpecial, InodeSymlink
from sandbox.wasm.vfs.node import File, Handle, Stat, StatFs, fail
from sandbox.wasm.vfs.sparse import PAGE, SparseContent

_ASK_AFTER = 4 << 20
"""Bytes that are taken without a look at what is left of the machine's memory."""


class Tmpfs(InodeFileSystem):
    """`size` limits the bytes of all files together, in whole pages (default: half of the memory); ENOSPC beyond it.

    `available` tells what is left of the machine's memory: there is no room either when that gets scarce.
    """

    kind = "tmpfs"

    def __init__(
        self,
        size: int | None = None,
        mode: int = 0o1777,
        owner: tuple[int, int] = (0, 0),
        available: Callable[[], int] = hostmemory.available,
    ) -> None:
        super().__init__()
        self.size = hostmemory.TOTAL // 2 if size is None else size
        self.used = 0
        self._unasked = 0
        self._available = available
        self._inos = itertools.count(1)
        root = self.make(stat.S_IFDIR | stat.S_IMODE(mode), *owner)
        assert isinstance(root, InodeDirectory)
        self.root = root

    def make(self, mode: int, uid: int, gid: int, rdev: int = 0, target: str = "") -> Inode:
        ino, now, kind = next(self._inos), time.time_ns(), stat.S_IFMT(mode)
        if kind == stat.S_IFLNK:
            return InodeSymlink(self, ino, mode, uid, gid, rdev, now, target)
        maker = {stat.S_IFREG: TmpfsFile, stat.S_IFDIR: InodeDirectory}.get(kind, InodeSpecial)
        return maker(self, ino, mode, uid, gid, rdev, now)

    def demand(self, more: int) -> None:
        """ENOSPC unless there is room for so many more bytes, here and in the machine. Called under the lock."""
        if more <= 0:
            return
        if self.used + more > self.size:
            fail(errno.ENOSPC)
        self._unasked += more
        if self._unasked > _ASK_AFTER:
            if self._available() - more < hostmemory.RESERVE:
                fail(errno.ENOSPC)
            self._unasked = 0

    def close(self) -> None:
        """Give all of its memory back now: nodes refer to one another, so that they live on until somebody looks."""
        with self.lock:
            directories = [self.root]
            while directories:
                directory = directories.pop()
                for _, node in directory.nodes():
                    if isinstance(node, InodeDirectory):
                        directories.append(node)
                    elif isinstance(node, TmpfsFile):
                        node.free()
                directory.children.clear()

    def statfs(self) -> StatFs:
        blocks = self.size // PAGE
        return StatFs(self.kind, PAGE, blocks, max(0, blocks - self.used // PAGE), 1 << 20, 1 << 20)


class TmpfsFile(Inode, File):
    """A regular file; its content is touched only under the file system's lock."""

    __slots__ = ("_content", "users")

    fs: Tmpfs

    def __init__(self, fs: InodeFileSystem, ino: int, mode: int, uid: int, gid: int, rdev: int, now: int) -> None:
        super().__init__(fs, ino, mode, uid, gid, rdev, now)
        self._content = SparseContent()
        self.users = 0

    @property
    def size(self) -> int:
        return self._content.size

    def stat(self) -> Stat:
        return replace(super().stat(), blocks=self._content.used >> 9)

    def open(self, flags: int) -> Handle:
        if flags & os.O_ACCMODE != os.O_RDONLY or flags & os.O_TRUNC:
            self.fs.check_writable()
        if flags & os.O_TRUNC:
            self.truncate(0)
        with self.fs.lock:
            self.users += 1
        return TmpfsHandle(self)

    def truncate(self, size: int) -> None:
        with self.fs.lock:
            self.fs.check_writable()
            with self._accounted() as content:
                content.resize(size)
            self._modified()

    @contextmanager
    def _accounted(self) -> Iterator[SparseContent]:
        """The content, whose change of room the file system takes note of, however it ends."""
        before = self._content.used
        try:
            yield self._content
        finally:
            self.fs.used += self._content.used - before

    def _modified(self) -> None:
        self.mtime = self.ctime = time.time_ns()

    def read(self, view: memoryview, offset: int) -> int:
        with self.fs.lock:
            return self._content.read(view, offset)

    def write(self, view: memoryview, offset: int | None) -> int:
        """Write at `offset` (None: at the end) all of it or nothing; the offset after it."""
        with self.fs.lock:
            start = self.size if offset is None else offset
            end = start + len(view)
            self.fs.demand(self._content.growth(start, end))
            with self._accounted() as content:
                content.write(view, start)
            self._modified()
            return end

    def reserve(self, start: int, end: int) -> None:
        """Take the room for a range and be at least so long."""
        with self.fs.lock:
            self.fs.demand(self._content.growth(start, end))
            with self._accounted() as content:
                content.fill(start, end)
            self._modified()

    def dropped(self) -> None:
        if not self.users:
            self.free()

    def release(self) -> None:
        with self.fs.lock:
            self.users -= 1
            if not self.users and not self.nlink:
                self.free()

    def free(self) -> None:
        """Give its content back. Called under the lock."""
        with self._accounted() as content:
            content.resize(0)


class TmpfsHandle(Handle):
    """An open file of a tmpfs."""

    __slots__ = ()

    node: TmpfsFile

    def __init__(self, node: TmpfsFile) -> None:
        self.node = node

    def readinto(self, view: memoryview, offset: int) -> int:
        return self.node.read(view, offset)

    def write(self, view: memoryview, offset: int) -> int:
        self.node.write(view, offset)
        return len(view)

    def append(self, view: memoryview) -> int:
        return self.node.write(view, None)

    def fallocate(self, mode: int, offset: int, length: int) -> None:
        if mode:
            fail(errno.EOPNOTSUPP)
        self.node.reserve(offset, offset + length)

    def close(self) -> None:
        self.node.release()
