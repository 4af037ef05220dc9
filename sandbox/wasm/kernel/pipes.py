"""Streams over host descriptors: pipes, fifos, a container's standard input and output."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
import threading
from typing import TYPE_CHECKING

from sandbox.wasm.kernel import signals as sig
from sandbox.wasm.kernel.abi import POLLIN, POLLOUT
from sandbox.wasm.kernel.files import O_ACCMODE, OpenFile
from sandbox.wasm.kernel.syscalls import Interrupted
from sandbox.wasm.kernel.waiting import WaitQueue
from sandbox.wasm.vfs.node import Node, fail

if TYPE_CHECKING:
    from sandbox.wasm.kernel.task import Task

FIONREAD = 0x541B
FIONBIO = 0x5421
_INT = struct.Struct("<i")
_HOST_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC


class HostStream(OpenFile):
    """A stream on a host descriptor that is non-blocking for us and blocks as `flags` says for the program.

    Owns the descriptor.
    """

    def __init__(
        self, host_fd: int, flags: int, name: str = "", node: Node | None = None, owner: tuple[int, int] = (0, 0)
    ) -> None:
        super().__init__(flags)
        self.owner = owner
        self.host_fd: int = host_fd
        self.node = node
        self.name = name or f"pipe:[{os.fstat(host_fd).st_ino}]"

    def read_into(self, task: Task, view: memoryview) -> int:
        return self.read_vector(task, [view])

    def read_vector(self, task: Task, views: list[memoryview]) -> int:
        if self.flags & O_ACCMODE == os.O_WRONLY:
            fail(errno.EBADF)
        while True:
            try:
                return os.readv(self.host_fd, views)
            except BlockingIOError:
                if self.flags & os.O_NONBLOCK:
                    raise
            if not task.wait_fd(self.host_fd, POLLIN):
                raise Interrupted

    def write_from(self, task: Task, view: memoryview) -> int:
        if not self.flags & O_ACCMODE:
            fail(errno.EBADF)
        done = 0
        try:
            while True:
                try:
                    done += os.write(self.host_fd, view[done:] if done else view)
                    if done == len(view):
                        return done
                except BlockingIOError:
                    if self.flags & os.O_NONBLOCK and not done:
                        raise
                if self.flags & os.O_NONBLOCK:
                    return done
                if not task.wait_fd(self.host_fd, POLLOUT):
                    if done:
                        return done
                    raise Interrupted
        except BrokenPipeError:
            if done:
                return done
            sig.broken_pipe(task)
            raise

    def ioctl(self, task: Task, request: int, argument: int) -> int:
        if request == FIONREAD:
            answer = fcntl.ioctl(self.host_fd, FIONREAD, b"\0\0\0\0")
            task.memory.write(argument, answer)
        elif request == FIONBIO:
            on = task.memory.i32(argument)
            self.set_flags(self.flags | os.O_NONBLOCK if on else self.flags & ~os.O_NONBLOCK)
        else:
            fail(errno.ENOTTY)
        return 0

    def reopen(self, task: Task, flags: int) -> OpenFile:
        if not stat.S_ISFIFO(os.fstat(self.host_fd).st_mode):
            fail(errno.ENXIO)
        host = os.open(f"/proc/self/fd/{self.host_fd}", flags & O_ACCMODE | _HOST_FLAGS)
        return HostStream(host, flags, self.name, owner=self.owner)

    def close(self) -> None:
        os.close(self.host_fd)


def pipe(flags: int, owner: tuple[int, int]) -> tuple[HostStream, HostStream]:
    """(read end, write end), which its owner may open again as /proc/PID/fd/N."""
    reading, writing = os.pipe2(_HOST_FLAGS)
    kept = flags & os.O_NONBLOCK
    reader = HostStream(reading, os.O_RDONLY | kept, owner=owner)
    return reader, HostStream(writing, os.O_WRONLY | kept, owner=owner)


class Fifo:
    """What all openers of a fifo inode share: a host pipe kept reachable by an O_PATH descriptor, who has it open.

    `readers` and `writers` count the open ends, `read_opens` and `write_opens` every open that ever was: an opener
    waits for one of the other kind to be there or to have come since.
    """

    def __init__(self, lock: threading.RLock) -> None:
        self.lock = lock
        reading, writing = os.pipe2(_HOST_FLAGS)
        self.path_fd = os.open(f"/proc/self/fd/{reading}", os.O_PATH | os.O_CLOEXEC)
        os.close(reading)
        os.close(writing)
        self.readers = self.writers = self.read_opens = self.write_opens = 0
        self.queue = WaitQueue()

    def host_open(self, flags: int) -> int:
        return os.open(f"/proc/self/fd/{self.path_fd}", flags & O_ACCMODE | _HOST_FLAGS)

    def __del__(self) -> None:
        os.close(self.path_fd)


class FifoStream(HostStream):
    def __init__(self, fifo: Fifo, host_fd: int, flags: int, node: Node) -> None:
        super().__init__(host_fd, flags, "fifo", node)
        self._fifo = fifo

    def reopen(self, task: Task, flags: int) -> OpenFile:
        assert self.node is not None
        return open_fifo(task, self.node, flags)

    def close(self) -> None:
        super().close()
        with self._fifo.lock:
            self._fifo.readers -= self.readable
            self._fifo.writers -= self.writable


def open_fifo(task: Task, node: Node, flags: int) -> OpenFile:
    """Open a named pipe: without O_NONBLOCK wait for the other side; ENXIO to write where nobody reads."""
    lock = task.kernel.lock
    with lock:
        attached = getattr(node, "attachment", None)
        if not isinstance(attached, Fifo):
            attached = node.attachment = Fifo(lock)
    fifo = attached
    reading, writing = flags & O_ACCMODE != os.O_WRONLY, flags & O_ACCMODE != os.O_RDONLY
    if writing and not reading and flags & os.O_NONBLOCK and not fifo.readers:
        fail(errno.ENXIO)
    with lock:
        # A writer's end can only be opened while a read end is: the first opener brings its own for the moment.
        helper = fifo.host_open(os.O_RDWR)
        host = fifo.host_open(flags)
        fifo.readers += reading
        fifo.writers += writing
        seen = (fifo.read_opens, fifo.write_opens)
        alone = not (fifo.writers if reading else fifo.readers)
        fifo.read_opens += reading
        fifo.write_opens += writing
        fifo.queue.wake_all()
    stream = FifoStream(fifo, host, flags, node)
    try:
        if alone and not flags & os.O_NONBLOCK:
            _await_other_side(task, fifo, reading, seen)
    except BaseException:
        stream.close()
        raise
    finally:
        os.close(helper)
    return stream


def _await_other_side(task: Task, fifo: Fifo, reading: bool, seen: tuple[int, int]) -> None:
    with task.kernel.lock:
        while True:
            if reading and (fifo.writers or fifo.write_opens != seen[1]):
                return
            if not reading and (fifo.readers or fifo.read_opens != seen[0]):
                return
            if task.signals.deliverable():
                raise Interrupted
            fifo.queue.wait(task)
