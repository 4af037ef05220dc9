"""The host's own network: real sockets, bound and connecting as asked."""

from __future__ import annotations

import errno
import fcntl
import ipaddress
import socket
import struct
from collections.abc import Sequence

from sandbox.wasm.net import options
from sandbox.wasm.net.base import Address, Buffer, Pending, Received, Socket, fail
from sandbox.wasm.net.interfaces import Interface
from sandbox.wasm.net.stack import Publication, Stack
from sandbox.wasm.net.unix import unix_socket

_KINDS = (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW)


class HostOptions(options.Options):
    """Straight to the real socket, but for waiting times: those are the kernel's that waits."""

    def __init__(self, owner: HostSocket) -> None:
        super().__init__(owner)
        self._io = owner.io

    def get(self, level: int, name: int) -> bytes:
        own = options.is_own(level, name)
        return super().get(level, name) if own else self._io.getsockopt(level, name, 256)

    def set(self, level: int, name: int, value: bytes) -> None:
        if options.is_own(level, name):
            super().set(level, name, value)
        else:
            self._io.setsockopt(level, name, value)


class HostSocket(Socket):
    """A real socket. Addresses are Python's, which for AF_INET and AF_INET6 are those of `Address`."""

    def __init__(self, io: socket.socket) -> None:
        super().__init__(io, io.family, io.type, io.proto)
        self.options = HostOptions(self)

    def bind(self, address: Address) -> None:
        self.io.bind(self._fit(address))

    def _fit(self, address: Address | None) -> tuple[object, ...]:
        wanted = 4 if self.family == socket.AF_INET6 else 2
        if not isinstance(address, tuple) or len(address) != wanted:
            fail(errno.EAFNOSUPPORT)
        return address

    def listen(self, backlog: int) -> None:
        self.io.listen(backlog)
        self.listening = True

    def accept(self) -> tuple[Socket, Address]:
        io, peer = self.io.accept()
        return HostSocket(io), peer

    def connect(self, address: Address | None) -> None:
        if address is None:
            _disconnect(self.io)
            return
        code = self.io.connect_ex(self._fit(address))
        if code in (errno.EINPROGRESS, errno.EALREADY):
            raise Pending(code)
        if code:
            fail(code)

    def receive(self, views: Sequence[memoryview], flags: int) -> Received:
        if self.kind == socket.SOCK_STREAM and len(views) == 1:
            return Received(self.io.recv_into(views[0], 0, flags) if len(views[0]) else 0)
        size, _, found, source = self.io.recvmsg_into(views, 0, flags)
        return Received(size, source or None, found)

    def send(
        self, views: Sequence[Buffer], flags: int, address: Address | None = None, rights: Sequence[object] = ()
    ) -> int:
        flags |= socket.MSG_NOSIGNAL
        if address is None or self.kind == socket.SOCK_STREAM:
            return self.io.sendmsg(views, (), flags)
        return self.io.sendmsg(views, (), flags, self._fit(address))

    def shutdown(self, how: int) -> None:
        self.io.shutdown(how)

    def local(self) -> Address:
        found: Address = self.io.getsockname()
        return found

    def peer(self) -> Address:
        found: Address = self.io.getpeername()
        return found


def _disconnect(io: socket.socket) -> None:
    """connect(AF_UNSPEC), which Python's sockets cannot express."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.connect(io.fileno(), bytes(16), 16):
        fail(ctypes.get_errno())


class HostStack(Stack):
    """See the module. Abstract Unix names are still the container's own."""

    def socket(self, family: int, kind: int, protocol: int) -> Socket:
        if family == socket.AF_UNIX:
            return unix_socket(self, kind, protocol)
        if family not in (socket.AF_INET, socket.AF_INET6):
            fail(errno.EAFNOSUPPORT)
        if kind not in _KINDS:
            fail(errno.ESOCKTNOSUPPORT)
        return HostSocket(socket.socket(family, kind, protocol))

    def interfaces(self) -> list[Interface]:
        found = []
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            for index, name in socket.if_nameindex():
                interface = _describe(probe, index, name)
                if interface is not None:
                    found.append(interface)
        return found

    def publish(self, protocol: str, host_ip: str, host_port: int, port: int) -> Publication:
        raise ValueError("ports cannot be published from the host's own network: they are there already")


def _describe(probe: socket.socket, index: int, name: str) -> Interface | None:
    """An interface of the host as ioctl tells; None when it has no IPv4 address."""

    def ask(request: int) -> bytes:
        return fcntl.ioctl(probe.fileno(), request, name.encode().ljust(40, b"\0"))[16:]

    try:
        address = socket.inet_ntoa(ask(0x8915)[4:8])
        mask = socket.inet_ntoa(ask(0x891B)[4:8])
    except OSError as error:
        if error.errno in (errno.EADDRNOTAVAIL, errno.ENODEV):
            return None
        raise
    prefix = ipaddress.IPv4Network(f"0.0.0.0/{mask}").prefixlen
    mtu, flags = struct.unpack_from("<i", ask(0x8921))[0], struct.unpack_from("<h", ask(0x8913))[0]
    return Interface(index, name, address, prefix, ask(0x8927)[2:8].hex(":"), mtu, bool(flags & 0x8))
