"""Open file descriptions and the table of a process's descriptors."""

from __future__ import annotations

import errno
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sandbox.wasm.kernel.abi import POLLIN, POLLOUT
from sandbox.wasm.vfs.node import Directory, Node, Stat, fail

if TYPE_CHECKING:
    from sandbox.wasm.kernel.locks import LockTable
    from sandbox.wasm.kernel.task import Task

_references = threading.Lock()
O_ACCMODE = os.O_ACCMODE


class OpenFile:
    """An open file description, shared by every descriptor that was duplicated or inherited from the first.

    Resource handling: `hold` and `release` count references; `close` runs once, when the last one goes.
    """

    host_fd: int | None = None
    """A pollable host descriptor; None for what is always ready or polls by itself."""
    node: Node | None = None
    name = "anon_inode:[file]"
    """What /proc/PID/fd shows when there is no path."""
    owner = (0, 0)
    """The user and the group that what has no inode belongs to."""
    origin: tuple[Directory, str] | None = None
    """The directory and the path a regular file was opened by."""

    def __init__(self, flags: int) -> None:
        self.flags = flags & ~os.O_CLOEXEC
        self.references = 0
        self.whole_locks: LockTable | None = None
        """Set once the description was locked with flock."""

    def hold(self) -> OpenFile:
        with _references:
            self.references += 1
        return self

    def release(self) -> None:
        with _references:
            self.references -= 1
            last = self.references == 0
        if last:
            if self.whole_locks is not None and self.node is not None:
                self.whole_locks.release_whole(self, self.node.key)
            self.close()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep it open meanwhile, for who looks at another process's; ENOENT when its last descriptor is closed."""
        with _references:
            if not self.references:
                fail(errno.ENOENT)
            self.references += 1
        try:
            yield
        finally:
            self.release()

    @property
    def nonblocking(self) -> bool:
        return bool(self.flags & os.O_NONBLOCK)

    @property
    def readable(self) -> bool:
        return self.flags & O_ACCMODE != os.O_WRONLY

    @property
    def writable(self) -> bool:
        return self.flags & O_ACCMODE != os.O_RDONLY

    def read_into(self, task: Task, view: memoryview) -> int:
        fail(errno.EINVAL)

    def write_from(self, task: Task, view: memoryview) -> int:
        fail(errno.EINVAL)

    def read_vector(self, task: Task, views: list[memoryview]) -> int:
        """readv: what is there now goes into the views in turn."""
        done = 0
        for view in views:
            count = self.read_into(task, view)
            done += count
            if count < len(view) or self.host_fd is not None:
                break
        return done

    def pread(self, task: Task, view: memoryview, offset: int) -> int:
        fail(errno.ESPIPE)

    def pwrite(self, task: Task, view: memoryview, offset: int) -> int:
        fail(errno.ESPIPE)

    def seek(self, offset: int, whence: int) -> int:
        fail(errno.ESPIPE)

    def truncate(self, size: int) -> None:
        fail(errno.EINVAL)

    def poll(self, events: int) -> int:
        """Of `events` those that are ready now. Asked only when there is no host descriptor."""
        return events & (POLLIN | POLLOUT)

    def ioctl(self, task: Task, request: int, argument: int) -> int:
        fail(errno.ENOTTY)

    def set_flags(self, flags: int) -> None:
        """F_SETFL: only O_APPEND and O_NONBLOCK change."""
        changeable = os.O_APPEND | os.O_NONBLOCK
        self.flags = self.flags & ~changeable | flags & changeable

    def reopen(self, task: Task, flags: int) -> OpenFile:
        """Open it again through /proc/PID/fd or /dev/fd."""
        fail(errno.ENXIO)

    def stat(self) -> Stat:
        if self.node is not None:
            return self.node.stat()
        return anonymous_stat(self.host_fd, self.owner)

    def close(self) -> None:
        """Give resources back; called once, by the last reference."""


def anonymous_stat(host_fd: int | None, owner: tuple[int, int]) -> Stat:
    """Attributes of what has no inode: pipes, sockets, terminals, event descriptors."""
    if host_fd is None:
        now = time.time_ns()
        return Stat(1, 0, stat.S_IFREG | 0o600, *owner, 0, 1, 0, 0, now, now, now)
    s = os.fstat(host_fd)
    return Stat(
        s.st_ino, s.st_dev, s.st_mode, *owner, s.st_rdev, s.st_nlink, s.st_size, s.st_blocks,
        s.st_atime_ns, s.st_mtime_ns, s.st_ctime_ns,
    )  # fmt: skip


class FileTable:
    """Descriptors of one process. Only its own thread changes it; others may look.

    `admit` is asked before another file is opened, and may refuse with ENFILE.
    """

    __slots__ = ("_admit", "_cloexec", "limit", "table")

    def __init__(self, admit: Callable[[], None], limit: int = 1024) -> None:
        self._admit = admit
        self.limit = limit
        self.table: dict[int, OpenFile] = {}
        self._cloexec: set[int] = set()

    def get(self, fd: int) -> OpenFile:
        """The open file of a descriptor; OSError(EBADF)."""
        found = self.table.get(fd)
        if found is None:
            fail(errno.EBADF)
        return found

    def lowest_free(self, lowest: int = 0) -> int:
        if lowest >= self.limit:
            fail(errno.EINVAL)
        table = self.table
        while lowest in table:
            lowest += 1
        if lowest >= self.limit:
            fail(errno.EMFILE)
        return lowest

    def install(self, file: OpenFile, cloexec: bool = False) -> int:
        """Give a file that was just opened the lowest free descriptor; EMFILE and ENFILE close it."""
        try:
            self._admit()
            return self.duplicate(file, cloexec)
        except OSError:
            file.hold().release()
            raise

    def duplicate(self, file: OpenFile, cloexec: bool = False, lowest: int = 0) -> int:
        """Give an open file the lowest free descriptor, too; EMFILE."""
        fd = self.lowest_free(lowest)
        self.table[fd] = file.hold()
        if cloexec:
            self._cloexec.add(fd)
        return fd

    def put(self, fd: int, file: OpenFile, cloexec: bool = False) -> None:
        """dup2: whatever `fd` was is closed."""
        if not 0 <= fd < self.limit:
            fail(errno.EBADF)
        old = self.table.get(fd)
        self.table[fd] = file.hold()
        self.set_cloexec(fd, cloexec)
        if old is not None:
            old.release()

    def close(self, fd: int) -> None:
        file = self.table.pop(fd, None)
        if file is None:
            fail(errno.EBADF)
        self._cloexec.discard(fd)
        file.release()

    def cloexec(self, fd: int) -> bool:
        return fd in self._cloexec

    def set_cloexec(self, fd: int, on: bool) -> None:
        (self._cloexec.add if on else self._cloexec.discard)(fd)

    def fork(self) -> FileTable:
        copy = FileTable(self._admit, self.limit)
        with _references:
            for fd, file in self.table.items():
                file.references += 1
                copy.table[fd] = file
        copy._cloexec = set(self._cloexec)
        return copy

    def close_for_exec(self) -> None:
        for fd in sorted(self._cloexec):
            self.close(fd)

    def close_all(self) -> None:
        for fd in sorted(self.table):
            self.close(fd)
