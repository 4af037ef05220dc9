"""A socket as an open file of a program: here system calls wait, above the sockets that never do."""

from __future__ import annotations

import errno
import os
import socket
import stat
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from sandbox.wasm.kernel import signals
from sandbox.wasm.kernel.abi import POLLIN, POLLOUT
from sandbox.wasm.kernel.files import OpenFile
from sandbox.wasm.kernel.syscalls import Interrupted
from sandbox.wasm.net import interfaces
from sandbox.wasm.net.base import Address, Buffer, Pending, Received, Socket, fail
from sandbox.wasm.net.rights import drop
from sandbox.wasm.net.unix import Crowded
from sandbox.wasm.vfs.node import Stat

if TYPE_CHECKING:
    from sandbox.wasm.kernel.task import Task
    from sandbox.wasm.net.stack import Stack

MSG_DONTWAIT, MSG_WAITALL, MSG_NOSIGNAL = 0x40, 0x100, 0x4000
_HOST_FLAGS = socket.MSG_PEEK | socket.MSG_TRUNC | socket.MSG_OOB | socket.MSG_EOR | socket.MSG_DONTROUTE
_CROWDED_PAUSE = 0.005
_FIONREAD, _FIONBIO, _SIOCGIFCONF = 0x541B, 0x5421, 0x8912
Answer = TypeVar("Answer")


class SocketFile(OpenFile):
    """`stack` answers the ioctls about interfaces."""

    def __init__(self, sock: Socket, stack: Stack, flags: int = 0) -> None:
        super().__init__(os.O_RDWR | flags)
        self.socket = sock
        self.stack = stack
        self.host_fd: int = sock.fd
        self.name = f"socket:[{sock.inode}]"

    def _wait(
        self, task: Task, act: Callable[[], Answer], events: int, *, dontwait: bool, timeout: float | None
    ) -> Answer:
        """`act` as soon as it does not have to wait; EAGAIN after `timeout` seconds."""
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            try:
                return act()
            except Crowded:
                if dontwait or (end is not None and time.monotonic() >= end):
                    raise
                if not task.sleep(_CROWDED_PAUSE):
                    raise Interrupted from None
            except BlockingIOError:
                if dontwait:
                    raise
                self._await(task, events, None if end is None else end - time.monotonic())

    def _await(self, task: Task, events: int, timeout: float | None) -> None:
        ready = task.wait_fd(self.host_fd, events, None if timeout is None else max(0.0, timeout))
        if ready is None:
            fail(errno.EAGAIN)
        if not ready:
            raise Interrupted

    def connect(self, task: Task, address: object) -> None:
        try:
            self._wait(task, lambda: self._try_connect(address), POLLOUT, dontwait=self.nonblocking,
                       timeout=self.socket.timeouts.send)  # fmt: skip
        except Pending:
            raise
        except BlockingIOError as error:
            if self.socket.family == socket.AF_INET and not self.nonblocking:
                fail(errno.EINPROGRESS if error.errno == errno.EAGAIN else error.errno or errno.EAGAIN)
            raise

    def _try_connect(self, address: object) -> None:
        self.socket.connect(address)  # type: ignore[arg-type]  # what a family's addresses are is its sockets' affair

    def accept(self, task: Task) -> tuple[Socket, Address]:
        sock = self.socket
        return self._wait(task, sock.accept, POLLIN, dontwait=self.nonblocking, timeout=sock.timeouts.receive)

    def receive(self, task: Task, views: Sequence[memoryview], flags: int) -> Received:
        """recvmsg. MSG_WAITALL fills the views unless the stream ends, an error or a signal comes."""
        sock = self.socket
        dontwait = self.nonblocking or bool(flags & MSG_DONTWAIT)
        host_flags = flags & _HOST_FLAGS
        timeout = sock.timeouts.receive
        found = self._wait(task, lambda: sock.receive(views, host_flags), POLLIN, dontwait=dontwait, timeout=timeout)
        if flags & MSG_WAITALL and sock.kind == socket.SOCK_STREAM and not flags & socket.MSG_PEEK and not dontwait:
            return self._fill(task, views, found, host_flags)
        return found

    def _fill(self, task: Task, views: Sequence[memoryview], first: Received, flags: int) -> Received:
        sock, timeout = self.socket, self.socket.timeouts.receive
        wanted, size, last = sum(map(len, views)), first.size, first.size
        while last and size < wanted:
            try:
                more = self._wait(
                    task, partial(sock.receive, _after(views, size), flags), POLLIN, dontwait=False, timeout=timeout
                )
            except (OSError, Interrupted):
                break
            drop(more.rights)
            last = more.size
            size += last
        return first._replace(size=size)

    def send(
        self, task: Task, views: Sequence[Buffer], flags: int, address: object = None, rights: Sequence[object] = ()
    ) -> int:
        """sendmsg: a stream that may wait takes everything. SIGPIPE comes with EPIPE unless MSG_NOSIGNAL."""
        try:
            if self.socket.kind == socket.SOCK_STREAM:
                return self._send_stream(task, views, flags, address, rights)
            return self._send_some(task, views, flags, address, rights)
        except BrokenPipeError:
            if self.socket.kind == socket.SOCK_STREAM and not flags & MSG_NOSIGNAL:
                signals.broken_pipe(task)
            raise

    def _send_some(
        self, task: Task, views: Sequence[Buffer], flags: int, address: object, rights: Sequence[object]
    ) -> int:
        sock = self.socket
        return self._wait(
            task,
            lambda: sock.send(views, flags & _HOST_FLAGS, address, rights),  # type: ignore[arg-type]
            POLLOUT,
            dontwait=self.nonblocking or bool(flags & MSG_DONTWAIT),
            timeout=sock.timeouts.send,
        )

    def _send_stream(
        self, task: Task, views: Sequence[Buffer], flags: int, address: object, rights: Sequence[object]
    ) -> int:
        wanted = sum(map(len, views))
        done = self._send_some(task, views, flags, address, rights)
        patient = not (self.nonblocking or flags & MSG_DONTWAIT)
        while done < wanted and patient:
            try:
                done += self._send_some(task, _after(views, done), flags, None, ())
            except (OSError, Interrupted):
                break
        return done

    def read_into(self, task: Task, view: memoryview) -> int:
        found = self.receive(task, (view,), 0)
        drop(found.rights)
        return found.size

    def write_from(self, task: Task, view: memoryview) -> int:
        return self.send(task, (view,), 0)

    def ioctl(self, task: Task, request: int, argument: int) -> int:
        memory = task.memory
        if request == _FIONREAD:
            if self.socket.listening:
                fail(errno.EINVAL)
            memory.write(argument, self.socket.readable().to_bytes(4, "little"))
        elif request == _FIONBIO:
            on = memory.i32(argument)
            self.set_flags(self.flags | os.O_NONBLOCK if on else self.flags & ~os.O_NONBLOCK)
        elif request == _SIOCGIFCONF:
            self._configuration(task, argument)
        elif interfaces.is_interface_request(request):
            ifreq = interfaces.answer(self.stack.interfaces(), request, memory.read(argument, 32))
            memory.write(argument, ifreq)
        else:
            fail(errno.ENOTTY)
        return 0

    def _configuration(self, task: Task, argument: int) -> None:
        """struct ifconf: room in bytes and an address, 0 to ask how much room it takes."""
        found = self.stack.interfaces()
        room, address = task.memory.u32(argument), task.memory.u32(argument + 4)
        entries = interfaces.configuration(found, room if address else 1 << 20)
        if address:
            task.memory.write(address, entries)
        task.memory.write(argument, len(entries).to_bytes(4, "little"))

    def stat(self) -> Stat:
        """A socket's attributes, whatever is behind its host descriptor."""
        found = super().stat()
        found.mode, found.ino = stat.S_IFSOCK | 0o777, self.socket.inode
        return found

    def close(self) -> None:
        self.socket.close()


def _after(views: Sequence[Buffer], size: int) -> list[memoryview]:
    """What is left of `views` after their first `size` bytes."""
    rest = []
    for view in views:
        if size >= len(view):
            size -= len(view)
        else:
            rest.append(memoryview(view)[size:])
            size = 0
    return rest
