from __future__ import annotations

import errno
import socket
import struct

import pytest

from sandbox.wasm.net import Switch, interfaces
from sandbox.wasm.net.isolated import IsolatedStack


def ask(stack: IsolatedStack, request: int, name: str) -> bytes:
    return interfaces.answer(stack.interfaces(), request, name.encode().ljust(32, b"\0"))[16:]


def test_loopback_and_one_interface_a_network(web: IsolatedStack) -> None:
    assert [(i.index, i.name, i.address, i.prefix, i.mac) for i in web.interfaces()] == [
        (1, "lo", "127.0.0.1", 8, "00:00:00:00:00:00"),
        (2, "eth0", "10.5.0.2", 24, "02:42:0a:05:00:02"),
    ]


def test_interfaces_keep_their_names(web: IsolatedStack, switch: Switch) -> None:
    second = switch.network("second", "10.6.0.0/24", "10.6.0.1")
    second.attach(web, "10.6.0.2", "02:42:0a:06:00:02", [])
    first = web.endpoints[0]
    first.network.detach(first)
    assert [(i.index, i.name) for i in web.interfaces()] == [(1, "lo"), (3, "eth1")]
    first.network.attach(web, "10.5.0.9", "02:42:0a:05:00:09", [])
    assert [(i.index, i.name, i.address) for i in web.interfaces()[1:]] == [
        (2, "eth0", "10.5.0.9"),
        (3, "eth1", "10.6.0.2"),
    ]


def test_requests(web: IsolatedStack) -> None:
    assert ask(web, 0x8915, "eth0")[:8] == b"\2\0\0\0" + socket.inet_aton("10.5.0.2")
    assert ask(web, 0x891B, "eth0")[4:8] == socket.inet_aton("255.255.255.0")
    assert ask(web, 0x8919, "eth0")[4:8] == socket.inet_aton("10.5.0.255")
    assert ask(web, 0x8927, "eth0")[:8] == b"\1\0\x02\x42\x0a\x05\x00\x02"
    assert struct.unpack_from("<h", ask(web, 0x8913, "eth0")) == (0x1043,)
    assert struct.unpack_from("<h", ask(web, 0x8913, "lo")) == (0x49,)
    assert struct.unpack_from("<i", ask(web, 0x8921, "lo")) == (65536,)
    assert struct.unpack_from("<i", ask(web, 0x8933, "eth0")) == (2,)
    with pytest.raises(OSError) as caught:
        ask(web, 0x8915, "eth1")
    assert caught.value.errno == errno.ENODEV


def test_name_by_number(web: IsolatedStack) -> None:
    ifreq = bytes(16) + struct.pack("<i", 2) + bytes(12)
    assert interfaces.answer(web.interfaces(), 0x8910, ifreq)[:5] == b"eth0\0"


def test_list_fits_the_room(web: IsolatedStack) -> None:
    whole = interfaces.configuration(web.interfaces(), 100)
    assert len(whole) == 64
    assert (whole[:3], whole[32:37]) == (b"lo\0", b"eth0\0")
    assert len(interfaces.configuration(web.interfaces(), 63)) == 32
