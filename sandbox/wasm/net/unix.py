"""Unix sockets of the containers: streams and sequenced packets; datagrams are in `unixdatagram`.

Addresses are nodes of the containers' file trees (found by the system calls, known here by their key) or abstract
names, which each stack has for itself. A socket of the host in a mounted directory is connected for real.
"""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections import deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox.wasm.net.base import Address, Buffer, Credentials, Received, Socket, fail
from sandbox.wasm.net.rights import ROOM, Cloakroom, received, send_with

if TYPE_CHECKING:
    from sandbox.wasm.net.stack import Stack

SOMAXCONN = 4096


@dataclass(frozen=True)
class Place:
    """A Unix address: `name` as the program gave it; `key` the node's identity (None: abstract).

    `host` is a descriptor (O_PATH) of a socket of the host, valid during the call.
    """

    name: bytes
    key: Hashable = None
    host: int | None = None


class Crowded(BlockingIOError):
    """The receiver has no room; there is nothing to poll: try again a little later."""

    def __init__(self) -> None:
        super().__init__(errno.EAGAIN, os.strerror(errno.EAGAIN))


_nodes: dict[Hashable, UnixSocket] = {}
_nodes_lock = threading.Lock()


class UnixSocket(Socket):
    """What all kinds share: their names, and who is behind a name."""

    def __init__(self, stack: Stack, io: socket.socket, kind: int) -> None:
        super().__init__(io, socket.AF_UNIX, kind)
        self.stack = stack
        self.name = b""
        self._key: Hashable = None
        self.credentials = Credentials()
        self.room = Cloakroom()

    def bind(self, address: object) -> None:
        """Take the name of a `Place`; an empty one means any free abstract name."""
        assert isinstance(address, Place)
        with self.lock:
            if self.name:
                fail(errno.EINVAL)
            if address.key is None:
                self._bind_abstract(address.name)
                return
            with _nodes_lock:
                _nodes[address.key] = self
            self.name, self._key = address.name, address.key

    def _bind_abstract(self, name: bytes) -> None:
        names = self.stack.abstract
        with self.stack.unix_lock:
            if not name:
                name = next(n for n in (b"\0%05x" % number for number in range(1 << 20)) if n not in names)
            if name in names:
                fail(errno.EADDRINUSE)
            names[name] = self
        self.name = name

    def find(self, place: Place) -> UnixSocket | None:
        """The socket that is bound to a place; None for one that only the host knows; ECONNREFUSED."""
        if place.key is None:
            with self.stack.unix_lock:
                found = self.stack.abstract.get(place.name)
        else:
            with _nodes_lock:
                found = _nodes.get(place.key)
            if found is None and place.host is not None:
                return None
        if found is None:
            fail(errno.ECONNREFUSED)
        if found.kind != self.kind:
            fail(errno.EPROTOTYPE)
        return found

    def local(self) -> Address:
        return self.name

    def release(self) -> None:
        if self._key is not None:
            with _nodes_lock:
                if _nodes.get(self._key) is self:
                    del _nodes[self._key]
        elif self.name:
            with self.stack.unix_lock:
                if self.stack.abstract.get(self.name) is self:
                    del self.stack.abstract[self.name]
        self.room.close()


class UnixStream(UnixSocket):
    """SOCK_STREAM and SOCK_SEQPACKET."""

    def __init__(self, stack: Stack, kind: int, io: socket.socket | None = None) -> None:
        super().__init__(stack, io or socket.socket(socket.AF_UNIX, kind), kind)
        self._peer: bytes | None = None
        self._peer_room: Cloakroom | None = None
        self.peer_credentials = Credentials(0, 0xFFFFFFFF, 0xFFFFFFFF)
        self._queue: deque[UnixStream] = deque()
        self._backlog = 0
        self.accepted_name = b""

    def listen(self, backlog: int) -> None:
        with self.lock:
            if not self.name or self._peer is not None:
                fail(errno.EINVAL)
            self._backlog = min(backlog, SOMAXCONN) if backlog >= 0 else SOMAXCONN
            if not self.listening:
                self.become_counter()
                self.listening = True

    def accept(self) -> tuple[Socket, Address]:
        with self.lock:
            if not self.listening:
                fail(errno.EINVAL)
            os.eventfd_read(self.fd)
            made = self._queue.popleft()
        return made, made.peer()

    def connect(self, address: object) -> None:
        if not isinstance(address, Place):
            fail(errno.EINVAL)
        with self.lock:
            if self.listening:
                fail(errno.EINVAL)
            if self._peer is not None:
                fail(errno.EISCONN)
            listener = self.find(address)
            if listener is None:
                self._connect_real(address)
            else:
                assert isinstance(listener, UnixStream)
                self._connect_to(listener, address.name)

    def _connect_real(self, place: Place) -> None:
        io = socket.socket(socket.AF_UNIX, self.kind)
        try:
            io.setblocking(False)
            io.connect(f"/proc/self/fd/{place.host}")
        except BlockingIOError:
            io.close()
            raise Crowded from None
        except OSError:
            io.close()
            raise
        self.become(io)
        self._peer = place.name

    def _connect_to(self, listener: UnixStream, name: bytes) -> None:
        mine, theirs = socket.socketpair(socket.AF_UNIX, self.kind)
        made = UnixStream(self.stack, self.kind, theirs)
        made._join(self, self.name)
        made.accepted_name, made.peer_credentials = listener.name, self.credentials
        if not listener.offer(made):
            made.close()
            mine.close()
            if listener.listening:
                raise Crowded
            fail(errno.ECONNREFUSED)
        self.become(mine)
        self._join(made, name)
        self.peer_credentials = listener.credentials

    def _join(self, other: UnixStream, name: bytes) -> None:
        self._peer = name
        self._peer_room = other.room

    def offer(self, made: UnixStream) -> bool:
        """Queue a connection; False when this listener takes none now."""
        with self.lock:
            if not self.listening or len(self._queue) > self._backlog:
                return False
            self._queue.append(made)
            os.eventfd_write(self.fd, 1)
            return True

    def local(self) -> Address:
        return self.name or self.accepted_name

    def peer(self) -> Address:
        if self._peer is None:
            fail(errno.ENOTCONN)
        return self._peer

    def receive(self, views: Sequence[memoryview], flags: int) -> Received:
        if self._peer is None:
            fail(errno.EINVAL if self.kind == socket.SOCK_STREAM else errno.ENOTCONN)
        size, ancillary, found, _ = self.io.recvmsg_into(views, ROOM, flags | socket.MSG_CMSG_CLOEXEC)
        rights = received(ancillary, self.room, peek=bool(flags & socket.MSG_PEEK)) if ancillary else ()
        return Received(size, None, found & (socket.MSG_TRUNC | socket.MSG_EOR), rights)

    def send(
        self, views: Sequence[Buffer], flags: int, address: Address | None = None, rights: Sequence[object] = ()
    ) -> int:
        if self._peer is None:
            fail(errno.ENOTCONN)
        return send_with(self.io, views, flags | socket.MSG_NOSIGNAL, self._peer_room, rights)

    def shutdown(self, how: int) -> None:
        with self.lock:
            if self.listening and how != socket.SHUT_WR:
                self._stop_listening()
                os.eventfd_write(self.fd, 1)
                return
        if self._peer is None:
            fail(errno.ENOTCONN)
        self.io.shutdown(how)

    def _stop_listening(self) -> None:
        with self.lock:
            self.listening = False
            waiting, self._queue = self._queue, deque()
        for made in waiting:
            made.close()

    def release(self) -> None:
        super().release()
        self._stop_listening()


def pair(stack: Stack, kind: int) -> tuple[UnixSocket, UnixSocket]:
    """socketpair(2)."""
    if kind == socket.SOCK_DGRAM:
        from sandbox.wasm.net.unixdatagram import datagram_pair

        return datagram_pair(stack)
    if kind not in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
        fail(errno.ESOCKTNOSUPPORT)
    one, two = (UnixStream(stack, kind, io) for io in socket.socketpair(socket.AF_UNIX, kind))
    one._join(two, b"")
    two._join(one, b"")
    return one, two


def unix_socket(stack: Stack, kind: int, protocol: int) -> UnixSocket:
    """A new one of any kind."""
    if protocol not in (0, 1):
        fail(errno.EPROTONOSUPPORT)
    if kind == socket.SOCK_DGRAM:
        from sandbox.wasm.net.unixdatagram import UnixDatagram

        return UnixDatagram(stack)
    if kind not in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
        fail(errno.ESOCKTNOSUPPORT)
    return UnixStream(stack, kind)
