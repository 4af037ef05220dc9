from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator

import pytest

from sandbox.wasm.net import netlink
from sandbox.wasm.net.base import Socket
from sandbox.wasm.net.isolated import IsolatedStack

from .conftest import read


@pytest.fixture
def route(web: IsolatedStack) -> Iterator[Socket]:
    made = web.socket(netlink.AF_NETLINK, socket.SOCK_RAW, netlink.NETLINK_ROUTE)
    made.bind((0, 0))
    yield made
    made.close()


def messages(data: bytes) -> list[tuple[int, bytes]]:
    found = []
    while data:
        size, kind = struct.unpack_from("<IH", data)
        found.append((kind, data[16:size]))
        data = data[size + -size % 4 :]
    return found


def attributes(data: bytes) -> dict[int, bytes]:
    found = {}
    while data:
        size, kind = struct.unpack_from("<HH", data)
        found[kind] = data[4:size]
        data = data[size + -size % 4 :]
    return found


def dump(sock: Socket, kind: int) -> list[tuple[int, bytes]]:
    sock.send([netlink.message(kind, netlink.NLM_F_DUMP | 1, 9, 0, bytes([0]))], 0, (0, 0))
    found = messages(read(sock))
    assert found.pop()[0] == netlink.NLMSG_DONE
    return found


def test_links(route: Socket) -> None:
    found = dump(route, netlink.RTM_GETLINK)
    assert [(kind, attributes(data[16:])[3]) for kind, data in found] == [(16, b"lo\0"), (16, b"eth0\0")]
    assert attributes(found[1][1][16:])[1] == bytes.fromhex("02420a050002")


def test_addresses(route: Socket) -> None:
    found = dump(route, netlink.RTM_GETADDR)
    assert [(data[1], socket.inet_ntoa(attributes(data[8:])[2])) for _, data in found] == [
        (8, "127.0.0.1"),
        (24, "10.5.0.2"),
    ]


def test_routes(route: Socket) -> None:
    found = [attributes(data[12:]) for _, data in dump(route, netlink.RTM_GETROUTE)]
    assert [socket.inet_ntoa(found[0][5]), socket.inet_ntoa(found[1][1])] == ["10.5.0.1", "10.5.0.0"]


def test_changes_are_refused(route: Socket) -> None:
    route.send([netlink.message(20, 1, 9, 0, bytes(8))], 0)
    ((kind, data),) = messages(read(route))
    assert (kind, struct.unpack_from("<i", data)[0]) == (netlink.NLMSG_ERROR, -errno.EPERM)
