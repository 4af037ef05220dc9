"""Ping: ICMP echo from an isolated stack, by datagram or raw sockets.

Addresses inside the switch answer if they exist. Outside, the host's own unprivileged ping socket asks; a host that
forbids those (net.ipv4.ping_group_range) makes sending fail with EPERM.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sandbox.wasm.net.base import ANY, Address, Buffer, fail
from sandbox.wasm.net.datagram import Mailbox
from sandbox.wasm.net.ports import Binding

if TYPE_CHECKING:
    from sandbox.wasm.net.isolated import IsolatedStack

_ECHO, _ECHO_REPLY = 8, 0
_HEADER = struct.Struct("!BBHHH")


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    padded = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def echo(kind: int, ident: int, sequence: int, payload: bytes) -> bytes:
    """An echo request or reply."""
    bare = _HEADER.pack(kind, 0, 0, ident, sequence) + payload
    return _HEADER.pack(kind, 0, checksum(bare), ident, sequence) + payload


def ip_packet(source: str, target: str, payload: bytes) -> bytes:
    """An IPv4 packet around an ICMP message, as raw sockets receive it."""
    ends = socket.inet_aton(source) + socket.inet_aton(target)
    bare = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0, 64, 1, 0) + ends
    return bare[:10] + struct.pack("!H", checksum(bare)) + bare[12:] + payload


class IcmpSocket(Mailbox):
    """A datagram socket's echo identifier is its port, which the kernel puts in; a raw one's is the program's own."""

    shares = False

    def __init__(self, stack: IsolatedStack, kind: int) -> None:
        super().__init__(kind, socket.IPPROTO_ICMP)
        self.stack = stack
        self._address = ANY
        self._binding: Binding | None = None
        self._peer: str | None = None
        self._outside: socket.socket | None = None

    @property
    def raw(self) -> bool:
        return self.kind == socket.SOCK_RAW

    def bind(self, address: Address) -> None:
        if not isinstance(address, tuple) or not self.stack.owns(address[0]):
            fail(errno.EADDRNOTAVAIL)
        self._address = address[0]
        self._hold(0 if self.raw else address[1])

    def _hold(self, port: int = 0) -> Binding:
        with self.lock:
            if self._binding is None:
                self._binding = self.stack.echo.claim(self, ANY, port)
            return self._binding

    def connect(self, address: Address | None) -> None:
        self._peer = None
        if isinstance(address, tuple):
            self.stack.route(address[0])
            self._peer = address[0]

    def send(
        self, views: Sequence[Buffer], flags: int, address: Address | None = None, rights: Sequence[object] = ()
    ) -> int:
        self.raise_error()
        data = b"".join(views)
        target = address[0] if isinstance(address, tuple) else self._peer
        if target is None:
            fail(errno.EDESTADDRREQ)
        if len(data) < _HEADER.size:
            fail(errno.EINVAL)
        kind, code, _, ident, sequence = _HEADER.unpack_from(data)
        if (kind, code) != (_ECHO, 0):
            fail(errno.EINVAL if not self.raw else errno.EPERM)
        self._ask(target, ident if self.raw else self._hold().port, sequence, data[_HEADER.size :])
        return len(data)

    def _ask(self, target: str, ident: int, sequence: int, payload: bytes) -> None:
        route = self.stack.route(target)
        if route.target is not None or route.gateway:
            self._answer(target, route.source, echo(_ECHO_REPLY, ident, sequence, payload))
        else:
            self._ask_outside(target, ident, sequence, payload)

    def _answer(self, source: str, own: str, message: bytes) -> None:
        if self._peer in (None, source):
            self.deliver(ip_packet(source, own, message) if self.raw else message, (source, 0))

    def _ask_outside(self, target: str, ident: int, sequence: int, payload: bytes) -> None:
        with self.lock:
            if self._outside is None:
                self._outside = _host_ping()
                self.stack.switch.loop.add(self._outside.fileno(), lambda: self._heard(ident))
            self._outside.sendto(echo(_ECHO, ident, sequence, payload), (target, 0))

    def _heard(self, ident: int) -> None:
        assert self._outside is not None
        try:
            data, source = self._outside.recvfrom(65536)
        except OSError:
            return  # closed a moment ago, or the network's own error: no answer, as on a wire
        _, _, _, _, sequence = _HEADER.unpack_from(data)
        own = self.stack.route(source[0]).source
        self._answer(source[0], own, echo(_ECHO_REPLY, ident, sequence, data[_HEADER.size :]))

    def shutdown(self, how: int) -> None:
        if self._peer is None:
            fail(errno.ENOTCONN)
        self.hush(how)

    def local(self) -> Address:
        return self._address, self._binding.port if self._binding and not self.raw else 0

    def peer(self) -> Address:
        if self._peer is None:
            fail(errno.ENOTCONN)
        return self._peer, 0

    def release(self) -> None:
        with self.lock:
            if self._outside is not None:
                self.stack.switch.loop.remove(self._outside.fileno())
                self._outside.close()
            if self._binding is not None:
                self.stack.echo.release(self._binding)
        super().release()


def _host_ping() -> socket.socket:
    try:
        io = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)
    except PermissionError:
        fail(errno.EPERM)
    io.setblocking(False)
    return io
