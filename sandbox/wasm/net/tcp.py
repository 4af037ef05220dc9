"""TCP of an isolated stack.

Inside the switch a connection is a host socketpair: `connect` puts one end behind its own descriptor and the other
into the listener's queue. Outside it is a real connection of the host, which appears to come from the stack's
address.
"""

from __future__ import annotations

import enum
import errno
import os
import socket
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sandbox.wasm.net.base import ANY, Address, Buffer, Inet, Pending, Received, Socket, abort, fail
from sandbox.wasm.net.ports import Binding

if TYPE_CHECKING:
    from sandbox.wasm.net.isolated import IsolatedStack, Route

SOMAXCONN = 4096


class State(enum.Enum):
    IDLE = enum.auto()
    LISTENING = enum.auto()
    CONNECTING = enum.auto()
    CONNECTED = enum.auto()


class TcpSocket(Socket):
    """Unconnected, its descriptor is an unconnected Unix socket, which polls as an unconnected TCP socket does."""

    def __init__(self, stack: IsolatedStack, io: socket.socket | None = None) -> None:
        super().__init__(io or socket.socket(socket.AF_UNIX, socket.SOCK_STREAM), socket.AF_INET, socket.SOCK_STREAM, 6)
        self.stack = stack
        self._state = State.IDLE
        self._binding: Binding | None = None
        self._chosen = False
        self._local: Inet = (ANY, 0)
        self._peer: Inet | None = None
        self._real: Inet | None = None
        self._queue: deque[tuple[socket.socket, Inet, Inet]] = deque()
        self._backlog = 0

    @property
    def shares(self) -> bool:
        """Whether others may have its port too."""
        return self.options.shares_port

    def bind(self, address: Address) -> None:
        ip, port = _inet(address)
        with self.lock:
            if self._binding is not None or self._state is not State.IDLE:
                fail(errno.EINVAL)
            if not self.stack.owns(ip):
                fail(errno.EADDRNOTAVAIL)
            self._hold(ip, port)
            self._chosen = True

    def _hold(self, ip: str, port: int) -> None:
        self._binding = self.stack.tcp.claim(self, ip, port)
        self._local = (ip, self._binding.port)

    def _let_go(self) -> None:
        if self._binding is not None:
            self.stack.tcp.release(self._binding)
        self._binding = None
        self._local = (ANY, 0)

    def listen(self, backlog: int) -> None:
        with self.lock:
            if self._state not in (State.IDLE, State.LISTENING):
                fail(errno.EINVAL)
            self._backlog = min(max(backlog, 0), SOMAXCONN) if backlog >= 0 else SOMAXCONN
            if self._state is State.LISTENING:
                return
            if self._binding is None:
                self._hold(ANY, 0)
            assert self._binding is not None
            if not self.stack.tcp.may_listen(self._binding):
                fail(errno.EADDRINUSE)
            self._wait_for_peers()

    def _wait_for_peers(self) -> None:
        self.become_counter()
        self._state = State.LISTENING
        self.listening = True

    def offer(self, io: socket.socket, local: Inet, peer: Inet) -> bool:
        """Queue a connection made to this listener; False (and `io` is still the caller's) when it takes none."""
        with self.lock:
            if not self.listening or len(self._queue) > self._backlog:
                return False
            self._queue.append((io, local, peer))
            os.eventfd_write(self.fd, 1)
            return True

    def accept(self) -> tuple[Socket, Address]:
        with self.lock:
            if self._state is not State.LISTENING or not self.listening:
                fail(errno.EINVAL)
            os.eventfd_read(self.fd)
            io, local, peer = self._queue.popleft()
        made = TcpSocket(self.stack, io)
        made._accepted(self, local, peer)
        return made, peer

    def _accepted(self, listener: TcpSocket, local: Inet, peer: Inet) -> None:
        self.options.inherit(listener.options)
        self.options.apply(self.io)
        self._binding = self.stack.tcp.join(self, local[0], local[1])
        self._connected(local, peer)

    def _connected(self, local: Inet, peer: Inet) -> None:
        self._local, self._peer, self._state = local, peer, State.CONNECTED
        if self._binding is not None:
            self._binding.address, self._binding.peer = local[0], peer

    def connect(self, address: Address | None) -> None:
        peer = _inet(address)
        with self.lock:
            if self._state is State.CONNECTING:
                self._go_on()
            elif self._state is not State.IDLE:
                fail(errno.EISCONN)
            else:
                self._begin(peer if peer[0] != ANY else ("127.0.0.1", peer[1]))

    def _begin(self, peer: Inet) -> None:
        route = self.stack.route(peer[0])
        source = self._local[0] if self._local[0] != ANY else route.source
        if self._binding is None:
            self._hold(source, 0)
        try:
            if route.target is None:
                self._reach_out(route, source, peer)
            else:
                self._reach(route.target, source, peer)
        except Pending:
            raise
        except OSError:
            if not self._chosen:
                self._let_go()
            raise

    def _reach(self, target: IsolatedStack, source: str, peer: Inet) -> None:
        local = (source, self._local[1])
        mine, theirs = socket.socketpair()
        if not target.take_connection(theirs, peer, local):
            mine.close()
            theirs.close()
            fail(errno.ECONNREFUSED)
        self.become(mine)
        self._connected(local, peer)

    def _reach_out(self, route: Route, source: str, peer: Inet) -> None:
        real = self.stack.real_address(route, socket.SOCK_STREAM, peer)
        self.become(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        self._real, self._local, self._peer = real, (source, self._local[1]), peer
        self._state = State.CONNECTING
        self._go_on()

    def _go_on(self) -> None:
        code = self.io.connect_ex(self._real or ("", 0))
        if code in (errno.EINPROGRESS, errno.EALREADY):
            raise Pending(code)
        if code in (0, errno.EISCONN):
            assert self._peer is not None
            self._connected(self._local, self._peer)
            return
        self._state = State.IDLE
        if not self._chosen:
            self._let_go()
        fail(code)

    def _settle(self) -> bool:
        """Whether it is connected, having looked whether a connection under way has been made meanwhile."""
        if self._state is State.CONNECTING:
            try:
                self.io.getpeername()
            except OSError:
                return False
            assert self._peer is not None
            self._connected(self._local, self._peer)
        return self._state is State.CONNECTED

    def receive(self, views: Sequence[memoryview], flags: int) -> Received:
        if self._state is not State.CONNECTED and not self._settle():
            if self._state is State.CONNECTING:
                self.raise_connect_error()
                fail(errno.EAGAIN)
            fail(errno.ENOTCONN)
        if len(views) == 1:
            size, found = self.io.recv_into(views[0], 0, flags) if len(views[0]) else 0, 0
        else:
            size, _, found, _ = self.io.recvmsg_into(views, 0, flags)
        if not flags & socket.MSG_PEEK:
            self.stack.meter.received(self._local[0], size)
        return Received(size, None, found)

    def raise_connect_error(self) -> None:
        """Deliver why a connection could not be made."""
        number = self.take_error()
        if number:
            self._state = State.IDLE
            fail(number)

    def send(
        self, views: Sequence[Buffer], flags: int, address: Address | None = None, rights: Sequence[object] = ()
    ) -> int:
        if self._state is not State.CONNECTED and not self._settle():
            if self._state is State.CONNECTING:
                self.raise_connect_error()
                fail(errno.EAGAIN)
            fail(errno.EPIPE)
        flags |= socket.MSG_NOSIGNAL
        size = self.io.send(views[0], flags) if len(views) == 1 else self.io.sendmsg(views, (), flags)
        self.stack.meter.sent(self._local[0], size)
        return size

    def shutdown(self, how: int) -> None:
        with self.lock:
            if self._state is State.LISTENING and how != socket.SHUT_WR:
                self._stop_listening()
                os.eventfd_write(self.fd, 1)
                return
            if self._state is not State.CONNECTED and not self._settle():
                fail(errno.ENOTCONN)
        self.io.shutdown(how)

    def _stop_listening(self) -> None:
        self.listening = False
        waiting, self._queue = self._queue, deque()
        for io, _, _ in waiting:
            abort(io)

    def local(self) -> Address:
        return self._local

    def peer(self) -> Address:
        if self._peer is None or not self._settle():
            fail(errno.ENOTCONN)
        return self._peer

    def release(self) -> None:
        with self.lock:
            self._stop_listening()
            self._let_go()


def _inet(address: Address | None) -> Inet:
    if not isinstance(address, tuple):
        fail(errno.EAFNOSUPPORT)
    return address[0], address[1]
