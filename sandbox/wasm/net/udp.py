"""UDP of an isolated stack."""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sandbox.wasm.net.base import ANY, LOOPBACK, Address, Buffer, Inet, fail
from sandbox.wasm.net.datagram import Mailbox
from sandbox.wasm.net.nat import Outbound
from sandbox.wasm.net.options import SO_BROADCAST
from sandbox.wasm.net.ports import Binding

if TYPE_CHECKING:
    from sandbox.wasm.net.isolated import IsolatedStack, Route

MAX_DATAGRAM = 65507


class UdpSocket(Mailbox):
    """Connected, it hears only its peer and learns when nobody listens there (ECONNREFUSED)."""

    def __init__(self, stack: IsolatedStack) -> None:
        super().__init__(socket.SOCK_DGRAM, socket.IPPROTO_UDP)
        self.stack = stack
        self._binding: Binding | None = None
        self._bound: str = ANY
        self._source: str | None = None
        self._peer: Inet | None = None
        self._outbound: Outbound | None = None
        self._mute = False

    @property
    def shares(self) -> bool:
        """Whether others may have its port too."""
        return self.options.shares_port

    def bind(self, address: Address) -> None:
        ip, port = _inet(address)
        with self.lock:
            if self._binding is not None:
                fail(errno.EINVAL)
            if not self.stack.owns(ip):
                fail(errno.EADDRNOTAVAIL)
            self._binding = self.stack.udp.claim(self, ip, port)
            self._bound = ip

    def _hold(self) -> Binding:
        with self.lock:
            if self._binding is None:
                self._binding = self.stack.udp.claim(self, self._bound, 0)
            return self._binding

    def connect(self, address: Address | None) -> None:
        with self.lock:
            self._drop_outbound()
            binding = self._hold()
            if address is None:
                self._peer = binding.peer = self._source = None
                binding.address = self._bound
                return
            ip, port = _inet(address)
            peer = (ip if ip != ANY else LOOPBACK, port)
            route = self._route(peer)
            source = self._bound if self._bound != ANY else route.source
            self._peer = binding.peer = peer
            self._source = binding.address = source

    def _route(self, peer: Inet) -> Route:
        if self._broadcast(peer[0]) and not self.options.flag(SO_BROADCAST):
            fail(errno.EACCES)
        return self.stack.route(peer[0])

    def _broadcast(self, address: str) -> bool:
        return address == "255.255.255.255" or any(
            address == str(endpoint.network.subnet.broadcast_address) for endpoint in self.stack.endpoints
        )

    def send(
        self, views: Sequence[Buffer], flags: int, address: Address | None = None, rights: Sequence[object] = ()
    ) -> int:
        self.raise_error()
        if self._mute:
            fail(errno.EPIPE)
        data = bytes(views[0]) if len(views) == 1 else b"".join(views)
        if len(data) > MAX_DATAGRAM:
            fail(errno.EMSGSIZE)
        target = _inet(address) if address is not None else self._peer
        if target is None:
            fail(errno.EDESTADDRREQ)
        if target[0] == ANY:
            target = (LOOPBACK, target[1])
        if target[1] == 0:
            fail(errno.EINVAL)
        self._dispatch(data, target, self._hold().port)
        return len(data)

    def _dispatch(self, data: bytes, target: Inet, port: int) -> None:
        reply = self.stack.flows.find(port, target)
        if reply is not None:
            reply(data)
        elif self._broadcast(target[0]):
            self._shout(data, target, port)
        else:
            route = self._route(target)
            source = (self._source or (self._bound if self._bound != ANY else route.source), port)
            self.stack.meter.sent(source[0], len(data))
            if route.target is None:
                self._send_out(data, target, route)
            elif not route.target.take_datagram(data, target, source, self) and self._peer is not None:
                self.fail_with(errno.ECONNREFUSED)

    def _shout(self, data: bytes, target: Inet, port: int) -> None:
        if not self.options.flag(SO_BROADCAST):
            fail(errno.EACCES)
        reached = [
            (endpoint, other)
            for endpoint in self.stack.endpoints
            if target[0] in ("255.255.255.255", str(endpoint.network.subnet.broadcast_address))
            for other in endpoint.network.endpoints()
        ]
        if not reached:
            fail(errno.ENETUNREACH)
        for endpoint, other in reached:
            other.stack.take_datagram(data, (other.address, target[1]), (endpoint.address, port), self)

    def _send_out(self, data: bytes, target: Inet, route: Route) -> None:
        try:
            real = self.stack.real_address(route, socket.SOCK_DGRAM, target)
        except ConnectionRefusedError:
            if self._peer is not None:
                self.fail_with(errno.ECONNREFUSED)
            return
        with self.lock:
            if self._outbound is None:
                self._outbound = Outbound(self.stack.switch.loop, self)
            if self._peer is not None:
                self._outbound.only(real)
            self._outbound.send(data, real, target)

    def heard_outside(self, data: bytes, source: Inet) -> None:
        """A datagram came back from the real network."""
        self.stack.meter.received(self.stack.route(source[0]).source, len(data))
        self.deliver(data, source)

    def hears(self, source: Inet) -> bool:
        """Whether a datagram from `source` is for it."""
        return self._peer is None or source == self._peer

    def shutdown(self, how: int) -> None:
        if self._peer is None:
            fail(errno.ENOTCONN)
        self.hush(how)
        self._mute = self._mute or how != socket.SHUT_RD

    def local(self) -> Address:
        return self._source or self._bound, self._binding.port if self._binding else 0

    def peer(self) -> Address:
        if self._peer is None:
            fail(errno.ENOTCONN)
        return self._peer

    def _drop_outbound(self) -> None:
        if self._outbound is not None:
            self._outbound.close()
            self._outbound = None

    def release(self) -> None:
        with self.lock:
            self._drop_outbound()
            if self._binding is not None:
                self.stack.udp.release(self._binding)
        super().release()


def _inet(address: Address | None) -> Inet:
    if not isinstance(address, tuple):
        fail(errno.EAFNOSUPPORT)
    ipaddress.IPv4Address(address[0])
    return address[0], address[1]
