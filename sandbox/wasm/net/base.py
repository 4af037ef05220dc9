"""What every socket of a stack offers to the system calls.

Calls never wait: they answer at once or raise BlockingIOError, and `fd` (a host descriptor that stays the same number
for the socket's life) tells by poll when to try again. What is behind the number may change: `become` puts another
host socket there when an unconnected socket gets connected or starts to listen.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import sys
import termios
import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NoReturn

from sandbox.wasm.net.options import Options

Address = tuple[Any, ...] | bytes
"""AF_INET: (ip, port); AF_INET6: (ip, port, flow, scope); AF_UNIX: the path, b"\\0name" if abstract, b"" if unnamed."""

Inet = tuple[str, int]
Buffer = bytes | bytearray | memoryview

ANY = "0.0.0.0"
LOOPBACK = "127.0.0.1"


def fail(number: int) -> NoReturn:
    """Raise the OSError of an errno."""
    raise OSError(number, os.strerror(number))


class Received(NamedTuple):
    """What a receive found: bytes stored, their sender (None: a stream), MSG_* flags, open files handed over."""

    size: int
    address: Address | None = None
    flags: int = 0
    rights: tuple[object, ...] = ()


class Pending(BlockingIOError):
    """A connection is being made: wait until `fd` is writable, then call `connect` again."""

    def __init__(self, number: int = errno.EINPROGRESS) -> None:
        super().__init__(number, os.strerror(number))


@dataclass(frozen=True)
class Credentials:
    """Who made a Unix socket's connection, for SO_PEERCRED."""

    pid: int = 0
    uid: int = 0
    gid: int = 0


@dataclass
class Timeouts:
    """SO_RCVTIMEO and SO_SNDTIMEO in seconds; None is for ever."""

    receive: float | None = None
    send: float | None = field(default=None)


class Socket(ABC):
    """A socket; `io` is the host socket behind its descriptor now (beside it, where the descriptor is only a signal).

    Thread-safe as host sockets are.
    """

    family: int
    kind: int
    protocol: int

    def __init__(self, io: socket.socket, family: int, kind: int, protocol: int = 0) -> None:
        io.setblocking(False)
        self.family = family
        self.kind = kind
        self.protocol = protocol
        self.io = io
        self.fd = io.fileno()
        self.inode = os.fstat(self.fd).st_ino
        self.timeouts = Timeouts()
        self.options = Options(self)
        self.listening = False
        self.error = 0
        self.closed = False
        self.lock = threading.RLock()

    def become(self, io: socket.socket) -> None:
        """Put `io` behind the descriptor; the number stays, so that whoever polls it sees the new one."""
        old = self.io
        os.dup2(io.fileno(), self.fd, inheritable=False)
        self.io = socket.socket(io.family, io.type, io.proto, fileno=self.fd)
        self.io.setblocking(False)
        old.detach()
        io.close()
        self.options.apply(self.io)

    def become_counter(self) -> None:
        """Put an eventfd behind a listener's descriptor: readable as often as something was queued."""
        spare = self.io.dup()
        counter = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC | os.EFD_SEMAPHORE)
        os.dup2(counter, self.fd, inheritable=False)
        os.close(counter)
        self.io.detach()
        self.io = spare

    def readable(self) -> int:
        """Bytes that can be read now (FIONREAD)."""
        found = fcntl.ioctl(self.fd, termios.FIONREAD, bytes(4))
        return int.from_bytes(found, sys.byteorder)

    def take_error(self) -> int:
        """The pending error, which is thereby delivered (SO_ERROR)."""
        number, self.error = self.error, 0
        return number or self.io.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

    def raise_error(self) -> None:
        number, self.error = self.error, 0
        if number:
            fail(number)

    @abstractmethod
    def bind(self, address: Address) -> None:
        """Take an address; EADDRINUSE, EADDRNOTAVAIL, EINVAL when it has one."""

    def listen(self, backlog: int) -> None:
        """Accept connections from now on."""
        fail(errno.EOPNOTSUPP)

    def accept(self) -> tuple[Socket, Address]:
        """The next connection and its peer's address."""
        fail(errno.EOPNOTSUPP)

    @abstractmethod
    def connect(self, address: Address | None) -> None:
        """Connect; `Pending` while it is under way. None (AF_UNSPEC) undoes the connection of a datagram socket."""

    @abstractmethod
    def receive(self, views: Sequence[memoryview], flags: int) -> Received:
        """Read into `views`. `flags`: MSG_PEEK, MSG_TRUNC, MSG_OOB; waiting is the caller's affair."""

    @abstractmethod
    def send(
        self, views: Sequence[Buffer], flags: int, address: Address | None = None, rights: Sequence[object] = ()
    ) -> int:
        """Send, to `address` where the socket is not connected; the number of bytes taken."""

    @abstractmethod
    def shutdown(self, how: int) -> None:
        """Close one direction: SHUT_RD, SHUT_WR, or both; ENOTCONN."""

    @abstractmethod
    def local(self) -> Address:
        """getsockname."""

    @abstractmethod
    def peer(self) -> Address:
        """getpeername; ENOTCONN."""

    def close(self) -> None:
        """Give everything back. Once; the descriptor is closed with it."""
        with self.lock:
            if self.closed:
                return
            self.closed = True
        self.release()
        if self.io.fileno() != self.fd:
            os.close(self.fd)
        self.io.close()

    def release(self) -> None:  # noqa: B027  (most kinds have something to undo, not all)
        """What a kind of socket has to undo before its descriptor goes."""


def abort(io: socket.socket) -> None:
    """Close a host connection so that its peer sees a reset."""
    linger = b"\1\0\0\0\0\0\0\0"
    if io.family in (socket.AF_INET, socket.AF_INET6):
        io.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    io.close()
