"""struct sockaddr of a program (Linux, little endian) to and from `Address`."""

from __future__ import annotations

import errno
import socket
import struct

from sandbox.wasm.net.base import Address, fail

AF_UNSPEC, AF_UNIX, AF_INET, AF_INET6, AF_NETLINK = 0, 1, 2, 10, 16
MAX_SIZE = 128
_PATH_MAX = 108
_NETLINK = struct.Struct("<HHII")


def family_of(raw: bytes) -> int:
    """The address's family; EINVAL when there is not even that."""
    if len(raw) < 2:
        fail(errno.EINVAL)
    return raw[0] | raw[1] << 8


def unpack(raw: bytes, family: int) -> Address | None:
    """The address in `raw` for a socket of `family`; None is AF_UNSPEC. EINVAL: too short, EAFNOSUPPORT: another's."""
    found = family_of(raw)
    if found == AF_UNSPEC and family != AF_INET:
        return None
    if found == AF_UNSPEC and raw[4:8] == bytes(4) and len(raw) >= 8:
        return None
    if found != family:
        fail(errno.EAFNOSUPPORT if family != AF_UNIX else errno.EINVAL)
    if family == AF_INET:
        return _unpack_inet(raw)
    if family == AF_INET6:
        return _unpack_inet6(raw)
    if family == AF_NETLINK:
        return _NETLINK.unpack(raw[:12].ljust(12, b"\0"))[2:]
    return unix_name(raw)


def _unpack_inet(raw: bytes) -> Address:
    if len(raw) < 16:
        fail(errno.EINVAL)
    return socket.inet_ntoa(raw[4:8]), int.from_bytes(raw[2:4], "big")


def _unpack_inet6(raw: bytes) -> Address:
    if len(raw) < 24:
        fail(errno.EINVAL)
    port, flow = struct.unpack_from(">HI", raw, 2)
    scope = int.from_bytes(raw[24:28], "little") if len(raw) >= 28 else 0
    return socket.inet_ntop(socket.AF_INET6, raw[8:24]), port, flow, scope


def unix_name(raw: bytes) -> bytes:
    """A Unix address's path, or its abstract name with the zero in front; b"" if unnamed."""
    name = raw[2:]
    if len(name) > _PATH_MAX:
        fail(errno.EINVAL)
    return name if name[:1] == b"\0" else name.split(b"\0")[0]


def pack(address: Address | None, family: int) -> bytes:
    """`address` as a program reads it; b"" for None."""
    if address is None:
        return b""
    head = struct.pack("<H", family)
    if isinstance(address, bytes):
        terminated = address if not address or address[0] == 0 else address + b"\0"
        return head + terminated
    if family == AF_INET6:
        ip, port, flow, scope = address
        packed = socket.inet_pton(socket.AF_INET6, ip.partition("%")[0])
        return head + struct.pack(">HI", port, flow) + packed + struct.pack("<I", scope)
    if family == AF_NETLINK:
        return _NETLINK.pack(family, 0, *address)
    return head + struct.pack(">H", address[1]) + socket.inet_aton(address[0]) + bytes(8)
