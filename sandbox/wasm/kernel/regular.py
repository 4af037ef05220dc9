"""Open files of the file system: regular files, directories, and what was opened only as a path (O_PATH)."""

from __future__ import annotations

import errno
import os
import struct
import threading
from typing import TYPE_CHECKING

from sandbox.wasm.kernel import signals as sig
from sandbox.wasm.kernel.abi import RLIM_INFINITY, RLIMIT_FSIZE, SIGXFSZ
from sandbox.wasm.kernel.files import O_ACCMODE, OpenFile
from sandbox.wasm.vfs.node import Directory, Handle, Node, fail
from sandbox.wasm.vfs.permissions import changed_content

if TYPE_CHECKING:
    from sandbox.wasm.kernel.task import Task

FIONREAD = 0x541B
_INT = struct.Struct("<i")
_DIRENT = struct.Struct("<QqHB")
D_DIR = 4


class RegularFile(OpenFile):
    """A regular file with a position. Owns the handle."""

    def __init__(self, node: Node, handle: Handle, flags: int) -> None:
        super().__init__(flags)
        self.node: Node = node
        self.handle = handle
        self.position = 0
        self._lock = threading.Lock()

    def read_into(self, task: Task, view: memoryview) -> int:
        if self.flags & O_ACCMODE == os.O_WRONLY:
            fail(errno.EBADF)
        with self._lock:
            count = self.handle.readinto(view, self.position)
            self.position += count
        task.kernel.counters.read += count
        return count

    def write_from(self, task: Task, view: memoryview) -> int:
        if not self.flags & O_ACCMODE:
            fail(errno.EBADF)
        with self._lock:
            if self.flags & os.O_APPEND:
                view = _within_limit(task, view, self.node.size)
                self.position = self.handle.append(view)
                count = len(view)
            else:
                view = _within_limit(task, view, self.position)
                count = self.handle.write(view, self.position)
                self.position += count
        changed_content(self.node, task.credentials.access)
        task.kernel.counters.written += count
        return count

    def pread(self, task: Task, view: memoryview, offset: int) -> int:
        if self.flags & O_ACCMODE == os.O_WRONLY:
            fail(errno.EBADF)
        if offset < 0:
            fail(errno.EINVAL)
        count = self.handle.readinto(view, offset)
        task.kernel.counters.read += count
        return count

    def pwrite(self, task: Task, view: memoryview, offset: int) -> int:
        if not self.flags & O_ACCMODE:
            fail(errno.EBADF)
        if offset < 0:
            fail(errno.EINVAL)
        count = self.handle.write(_within_limit(task, view, offset), offset)
        changed_content(self.node, task.credentials.access)
        task.kernel.counters.written += count
        return count

    def seek(self, offset: int, whence: int) -> int:
        with self._lock:
            self.position = sought(self.position, self.node.size, offset, whence)
            return self.position

    def truncate(self, size: int) -> None:
        if not self.flags & O_ACCMODE or size < 0:
            fail(errno.EINVAL)
        self.handle.truncate(size)

    def ioctl(self, task: Task, request: int, argument: int) -> int:
        if request != FIONREAD:
            fail(errno.ENOTTY)
        task.memory.pack(_INT, argument, max(0, min(self.node.size - self.position, 0x7FFFFFFF)))
        return 0

    def close(self) -> None:
        self.handle.close()


def sought(position: int, size: int, offset: int, whence: int) -> int:
    """Where lseek leads; SEEK_DATA and SEEK_HOLE take a file as one piece of data."""
    if whence in (3, 4):
        if not 0 <= offset < size:
            fail(errno.ENXIO)
        return offset if whence == 3 else size
    bases = {0: 0, 1: position, 2: size}
    if whence not in bases or bases[whence] + offset < 0:
        fail(errno.EINVAL)
    return bases[whence] + offset


def _within_limit(task: Task, view: memoryview, offset: int) -> memoryview:
    limit = task.limits.get(RLIMIT_FSIZE)[0]
    if limit == RLIM_INFINITY or offset + len(view) <= limit:
        return view
    if offset >= limit:
        with task.kernel.lock:
            sig.post(task, SIGXFSZ, task.pid)
        fail(errno.EFBIG)
    return view[: limit - offset]


class DirectoryFile(OpenFile):
    """An open directory; the listing is a snapshot taken at the first read and after each rewind."""

    def __init__(self, node: Directory, flags: int) -> None:
        super().__init__(flags)
        self.node: Directory = node
        self._entries: list[tuple[str, int, int]] | None = None
        self._position = 0

    def read_into(self, task: Task, view: memoryview) -> int:
        fail(errno.EISDIR)

    def write_from(self, task: Task, view: memoryview) -> int:
        fail(errno.EBADF)

    def seek(self, offset: int, whence: int) -> int:
        if whence == 1:
            offset += self._position
        if offset < 0 or whence > 1:
            fail(errno.EINVAL)
        if offset == 0:
            self._entries = None
        self._position = offset
        return offset

    def entries_into(self, view: memoryview) -> int:
        """getdents64: as many entries as fit; EINVAL when not even one does."""
        if self._entries is None:
            parent = self.node.parent or self.node
            own = [(".", self.node.ino, D_DIR), ("..", parent.ino, D_DIR)]
            self._entries = own + self.node.entries()
        used = 0
        while self._position < len(self._entries):
            name, ino, kind = self._entries[self._position]
            encoded = name.encode("utf-8", "surrogateescape")
            length = (_DIRENT.size + len(encoded) + 8) & ~7
            if used + length > len(view):
                if not used:
                    fail(errno.EINVAL)
                break
            self._position += 1
            _DIRENT.pack_into(view, used, ino, self._position, length, kind)
            view[used + _DIRENT.size : used + length] = encoded.ljust(length - _DIRENT.size, b"\0")
            used += length
        return used


class PathFile(OpenFile):
    """Opened with O_PATH: good for fstat, fchdir and as the start of other paths."""

    def __init__(self, node: Node, flags: int) -> None:
        super().__init__(flags)
        self.node: Node = node

    def read_into(self, task: Task, view: memoryview) -> int:
        fail(errno.EBADF)

    def write_from(self, task: Task, view: memoryview) -> int:
        fail(errno.EBADF)
