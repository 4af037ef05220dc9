"""NETLINK_ROUTE, read-only: the dumps of links, addresses and routes that getifaddrs and `ip` ask for (rtnetlink(7)).

Changing anything is refused with EPERM, as in a container without CAP_NET_ADMIN.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from sandbox.wasm.net.base import Address, Buffer, Received, Socket, fail
from sandbox.wasm.net.interfaces import Interface

if TYPE_CHECKING:
    from sandbox.wasm.net.stack import Stack

AF_NETLINK, NETLINK_ROUTE = 16, 0
NLMSG_ERROR, NLMSG_DONE = 2, 3
RTM_NEWLINK, RTM_GETLINK = 16, 18
RTM_NEWADDR, RTM_GETADDR = 20, 22
RTM_NEWROUTE, RTM_GETROUTE = 24, 26
NLM_F_MULTI, NLM_F_DUMP = 2, 0x300
_HEADER = struct.Struct("<IHHII")
_PAGE = 16384


def attribute(kind: int, value: bytes) -> bytes:
    """struct rtattr with its value, padded."""
    return struct.pack("<HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def message(kind: int, flags: int, sequence: int, port: int, payload: bytes) -> bytes:
    """struct nlmsghdr with its payload, padded."""
    head = _HEADER.pack(_HEADER.size + len(payload), kind, flags, sequence, port)
    return head + payload + bytes(-len(payload) % 4)


def _text(name: str) -> bytes:
    return name.encode() + b"\0"


def _hardware(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def link(interface: Interface) -> bytes:
    """struct ifinfomsg: IFLA_IFNAME, MTU, TXQLEN, OPERSTATE, ADDRESS, BROADCAST."""
    up = interface.flags | 0x10000
    everybody = "00:00:00:00:00:00" if interface.loopback else "ff:ff:ff:ff:ff:ff"
    return struct.pack("<BxHiII", 0, interface.hardware, interface.index, up, 0) + b"".join(
        [
            attribute(3, _text(interface.name)),
            attribute(13, struct.pack("<I", 1000)),
            attribute(16, b"\0" if interface.loopback else b"\6"),
            attribute(4, struct.pack("<I", interface.mtu)),
            attribute(1, _hardware(interface.mac)),
            attribute(2, _hardware(everybody)),
        ]
    )


def address(interface: Interface) -> bytes:
    """struct ifaddrmsg: IFA_ADDRESS, LOCAL, BROADCAST, LABEL."""
    own = socket.inet_aton(interface.address)
    scope = 254 if interface.loopback else 0
    parts = [attribute(1, own), attribute(2, own)]
    if not interface.loopback:
        parts.append(attribute(4, interface.network.broadcast_address.packed))
    parts.append(attribute(3, _text(interface.name)))
    return struct.pack("<BBBBi", socket.AF_INET, interface.prefix, 0x80, scope, interface.index) + b"".join(parts)


def route(interface: Interface, gateway: str | None) -> bytes:
    """struct rtmsg: the interface's own subnet, or the default route by `gateway`."""
    out = attribute(4, struct.pack("<i", interface.index))
    if gateway is not None:
        head = struct.pack("<BBBBBBBBI", socket.AF_INET, 0, 0, 0, 254, 3, 0, 1, 0)
        return head + attribute(15, struct.pack("<I", 254)) + attribute(5, socket.inet_aton(gateway)) + out
    head = struct.pack("<BBBBBBBBI", socket.AF_INET, interface.prefix, 0, 0, 254, 2, 253, 1, 0)
    target = attribute(1, interface.network.network_address.packed)
    source = attribute(7, socket.inet_aton(interface.address))
    return head + attribute(15, struct.pack("<I", 254)) + target + source + out


class NetlinkSocket(Socket):
    """Answers are there as soon as the question is sent, page by page in its mailbox."""

    def __init__(self, stack: Stack, kind: int) -> None:
        io, self._slot = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._slot.setblocking(False)
        super().__init__(io, AF_NETLINK, kind, NETLINK_ROUTE)
        self.stack = stack
        self._port = 0

    def bind(self, address: Address) -> None:
        assert isinstance(address, tuple)
        self._port = address[0] or self.inode & 0x7FFFFFFF

    def connect(self, address: Address | None) -> None:
        if isinstance(address, tuple) and address[0] != 0:
            fail(errno.ECONNREFUSED)

    def send(
        self, views: Sequence[Buffer], flags: int, address: Address | None = None, rights: Sequence[object] = ()
    ) -> int:
        if isinstance(address, tuple) and address[0] != 0:
            fail(errno.ECONNREFUSED)
        data = b"".join(views)
        at = 0
        while at + _HEADER.size <= len(data):
            size, kind, wish, sequence, _ = _HEADER.unpack_from(data, at)
            if not _HEADER.size <= size <= len(data) - at:
                fail(errno.EINVAL)
            self._answer(kind, wish, sequence, data[at : at + size])
            at += size + -size % 4
        return len(data)

    def _answer(self, kind: int, wish: int, sequence: int, question: bytes) -> None:
        port = self._port
        if kind not in (RTM_GETLINK, RTM_GETADDR, RTM_GETROUTE):
            self._error(errno.EPERM, sequence, question)
            return
        family = question[_HEADER.size] if len(question) > _HEADER.size else 0
        if not wish & NLM_F_DUMP:
            self._single(kind, sequence, question)
            return
        page = b""
        for made, payload in self._dump(kind, family):
            part = message(made, NLM_F_MULTI, sequence, port, payload)
            if len(page) + len(part) > _PAGE:
                self._put(page)
                page = b""
            page += part
        self._put(page + message(NLMSG_DONE, NLM_F_MULTI, sequence, port, bytes(4)))

    def _single(self, kind: int, sequence: int, question: bytes) -> None:
        """One link by its number; nothing else is asked for one by one."""
        index = struct.unpack_from("<i", question, 20)[0] if len(question) >= 24 else 0
        found = next((i for i in self.stack.interfaces() if i.index == index), None)
        if kind != RTM_GETLINK or found is None:
            self._error(errno.ENODEV if kind == RTM_GETLINK else errno.EOPNOTSUPP, sequence, question)
            return
        self._put(message(RTM_NEWLINK, 0, sequence, self._port, link(found)))

    def _error(self, number: int, sequence: int, question: bytes) -> None:
        payload = struct.pack("<i", -number) + question[: _HEADER.size]
        self._put(message(NLMSG_ERROR, 0, sequence, self._port, payload))

    def _dump(self, kind: int, family: int) -> Iterator[tuple[int, bytes]]:
        for interface in self.stack.interfaces():
            if kind == RTM_GETLINK:
                yield RTM_NEWLINK, link(interface)
            elif kind == RTM_GETADDR and family in (0, socket.AF_INET):
                yield RTM_NEWADDR, address(interface)
            elif kind == RTM_GETROUTE and family in (0, socket.AF_INET) and not interface.loopback:
                gateway = self.stack.default_gateway(interface)
                if gateway is not None:
                    yield RTM_NEWROUTE, route(interface, gateway)
                yield RTM_NEWROUTE, route(interface, None)

    def _put(self, page: bytes) -> None:
        try:
            self._slot.send(page)
        except BlockingIOError:
            fail(errno.ENOBUFS)

    def receive(self, views: Sequence[memoryview], flags: int) -> Received:
        size, _, found, _ = self.io.recvmsg_into(views, 0, flags)
        return Received(size, (0, 0), found & socket.MSG_TRUNC)

    def shutdown(self, how: int) -> None:
        fail(errno.EOPNOTSUPP)

    def local(self) -> Address:
        return self._port, 0

    def peer(self) -> Address:
        return 0, 0

    def release(self) -> None:
        self._slot.close()
