"""Network interfaces as programs ask for them, and the SIOCGIF* requests of ioctl."""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass

from sandbox.wasm.net.base import fail

IFF_UP, IFF_BROADCAST, IFF_LOOPBACK, IFF_RUNNING, IFF_MULTICAST = 0x1, 0x2, 0x8, 0x40, 0x1000
ARPHRD_ETHER, ARPHRD_LOOPBACK = 1, 772

SIOCGIFNAME, SIOCGIFCONF = 0x8910, 0x8912
_IFREQ = 32


@dataclass(frozen=True)
class Interface:
    """One interface with its IPv4 address; `prefix` in bits, `mac` as aa:bb:cc:dd:ee:ff."""

    index: int
    name: str
    address: str
    prefix: int
    mac: str = "00:00:00:00:00:00"
    mtu: int = 1500
    loopback: bool = False

    @property
    def flags(self) -> int:
        """IFF_* bits."""
        up = IFF_UP | IFF_RUNNING
        return up | IFF_LOOPBACK if self.loopback else up | IFF_BROADCAST | IFF_MULTICAST

    @property
    def network(self) -> ipaddress.IPv4Network:
        return ipaddress.IPv4Network(f"{self.address}/{self.prefix}", strict=False)

    @property
    def hardware(self) -> int:
        """ARPHRD_* number."""
        return ARPHRD_LOOPBACK if self.loopback else ARPHRD_ETHER


def _address(text: str) -> bytes:
    return struct.pack("<H2x4s8x", socket.AF_INET, socket.inet_aton(text))


def _hardware(interface: Interface) -> bytes:
    return struct.pack("<H6s8x", interface.hardware, bytes.fromhex(interface.mac.replace(":", "")))


def _broadcast(interface: Interface) -> bytes:
    return _address("0.0.0.0" if interface.loopback else str(interface.network.broadcast_address))


_ANSWERS: dict[int, Callable[[Interface], bytes]] = {
    0x8913: lambda i: struct.pack("<h", i.flags),
    0x8915: lambda i: _address(i.address),
    0x8917: lambda _: _address("0.0.0.0"),
    0x8919: _broadcast,
    0x891B: lambda i: _address(str(i.network.netmask)),
    0x891D: lambda _: struct.pack("<i", 0),
    0x8921: lambda i: struct.pack("<i", i.mtu),
    0x8927: _hardware,
    0x8933: lambda i: struct.pack("<i", i.index),
    0x8942: lambda i: struct.pack("<i", 0 if i.loopback else 1000),
    0x8970: lambda _: struct.pack("<IIHBBB", 0, 0, 0, 0, 0, 0),
}
"""By request: FLAGS, ADDR, DSTADDR, BRDADDR, NETMASK, METRIC, MTU, HWADDR, INDEX, TXQLEN, MAP."""


def is_interface_request(request: int) -> bool:
    """Whether `answer` or `configuration` knows an ioctl."""
    return request in (SIOCGIFNAME, SIOCGIFCONF) or request in _ANSWERS


def answer(interfaces: list[Interface], request: int, ifreq: bytes) -> bytes:
    """Fill in a struct ifreq (32 bytes: 16 of the name, 16 of the answer); ENODEV."""
    if request == SIOCGIFNAME:
        (index,) = struct.unpack_from("<i", ifreq, 16)
        found = next((i for i in interfaces if i.index == index), None)
        return found.name.encode().ljust(16, b"\0") + ifreq[16:] if found else fail(errno.ENODEV)
    name = ifreq[:16].split(b"\0")[0].decode("utf-8", "surrogateescape")
    found = next((i for i in interfaces if i.name == name), None)
    if found is None:
        fail(errno.ENODEV)
    value = _ANSWERS[request](found)
    return ifreq[:16] + value + ifreq[16 + len(value) : _IFREQ]


def configuration(interfaces: list[Interface], room: int) -> bytes:
    """SIOCGIFCONF: as many whole struct ifreq with names and addresses as fit into `room` bytes."""
    entries = [i.name.encode().ljust(16, b"\0") + _address(i.address) for i in interfaces]
    return b"".join(entries[: room // _IFREQ])
