"""tmpfs: a file system in memory, with a limit on its bytes."""

from __future__ import annotations

import errno
import itertools
import os
import stat
import time

from sandbox.wasm.vfs.inode import Inode, InodeDirectory, InodeFileSystem, InodeSpecial, InodeSymlink
from sandbox.wasm.vfs.node import File, Handle, StatFs, fail

PAGE = 4096


class Tmpfs(InodeFileSystem):
    """`size` limits the bytes of all files together, in whole pages (None: no limit); ENOSPC beyond it."""

    kind = "tmpfs"

    def __init__(self, size: int | None = None, mode: int = 0o1777, uid: int = 0, gid: int = 0) -> None:
        super().__init__()
        self.size = size
        self.used = 0
        self._inos = itertools.count(1)
        root = self.make(stat.S_IFDIR | stat.S_IMODE(mode), uid, gid)
        assert isinstance(root, InodeDirectory)
        self.root = root

    def make(self, mode: int, uid: int, gid: int, rdev: int = 0, target: str = "") -> Inode:
        ino, now, kind = next(self._inos), time.time_ns(), stat.S_IFMT(mode)
        if kind == stat.S_IFLNK:
            return InodeSymlink(self, ino, mode, uid, gid, rdev, now, target)
        maker = {stat.S_IFREG: TmpfsFile, stat.S_IFDIR: InodeDirectory}.get(kind, InodeSpecial)
        return maker(self, ino, mode, uid, gid, rdev, now)

    def charge(self, before: int, after: int) -> None:
        """A file's length changes; ENOSPC if that is too much. Called under the lock."""
        used = self.used + _pages(after) - _pages(before)
        if self.size is not None and used > self.size and after > before:
            fail(errno.ENOSPC)
        self.used = used

    def statfs(self) -> StatFs:
        if self.size is None:
            memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
            blocks = memory // 2 // PAGE
        else:
            blocks = self.size // PAGE
        return StatFs(self.kind, PAGE, blocks, max(0, blocks - self.used // PAGE), 1 << 20, 1 << 20)


def _pages(size: int) -> int:
    return (size + PAGE - 1) // PAGE * PAGE


class TmpfsFile(Inode, File):
    """A regular file whose content is a bytearray, touched only under the file system's lock."""

    __slots__ = ("content", "users")

    fs: Tmpfs

    def __init__(self, fs: InodeFileSystem, ino: int, mode: int, uid: int, gid: int, rdev: int, now: int) -> None:
        super().__init__(fs, ino, mode, uid, gid, rdev, now)
        self.content = bytearray()
        self.users = 0

    @property
    def size(self) -> int:
        return len(self.content)

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
            self._resize(size)
            self._modified()

    def _resize(self, size: int) -> None:
        before = len(self.content)
        self.fs.charge(before, size)
        if size < before:
            del self.content[size:]
        else:
            self.content.extend(bytes(size - before))

    def _modified(self) -> None:
        self.mtime = self.ctime = time.time_ns()

    def read(self, view: memoryview, offset: int) -> int:
        with self.fs.lock:
            count = max(0, min(len(view), len(self.content) - offset))
            with memoryview(self.content) as content:
                view[:count] = content[offset : offset + count]
            return count

    def write(self, view: memoryview, offset: int | None) -> int:
        """Write at `offset` (None: at the end) what there is room for; the offset after it."""
        with self.fs.lock:
            start = len(self.content) if offset is None else offset
            end = start + len(view)
            if end > len(self.content):
                self._resize(end)
            self.content[start:end] = view
            self._modified()
            return end

    def grow(self, size: int) -> None:
        """Be at least `size` bytes long."""
        with self.fs.lock:
            if size > len(self.content):
                self._resize(size)
                self._modified()

    def dropped(self) -> None:
        if not self.users:
            self._free()

    def release(self) -> None:
        with self.fs.lock:
            self.users -= 1
            if not self.users and not self.nlink:
                self._free()

    def _free(self) -> None:
        self.fs.charge(len(self.content), 0)
        self.content = bytearray()


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
        self.node.grow(offset + length)

    def close(self) -> None:
        self.node.release()
