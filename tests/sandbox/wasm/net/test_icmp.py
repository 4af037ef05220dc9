from __future__ import annotations

import errno
import socket

import pytest

from sandbox.wasm.net import Network
from sandbox.wasm.net.icmp import checksum, echo
from sandbox.wasm.net.isolated import IsolatedStack

from .conftest import read_from


@pytest.mark.parametrize("target", ["10.5.0.2", "10.5.0.1", "127.0.0.1"])
def test_echo_by_datagram_has_the_port_as_identifier(web: IsolatedStack, client: IsolatedStack, target: str) -> None:
    one = client.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)
    one.send([echo(8, 999, 3, b"payload")], 0, (target, 0))
    data, source = read_from(one)
    assert source == (target, 0)
    assert data == echo(0, one.local()[1], 3, b"payload")
    assert checksum(data) == 0
    one.close()


def test_raw_echo_comes_in_an_ip_packet(web: IsolatedStack, client: IsolatedStack) -> None:
    one = client.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    one.send([echo(8, 999, 3, b"odd")], 0, ("10.5.0.2", 0))
    data, _ = read_from(one)
    assert data[20:] == echo(0, 999, 3, b"odd")
    assert (data[0], data[9], socket.inet_ntoa(data[12:16]), socket.inet_ntoa(data[16:20])) == (
        0x45, 1, "10.5.0.2", "10.5.0.3",
    )  # fmt: skip
    assert checksum(data[:20]) == 0
    one.close()


def test_nobody_there(client: IsolatedStack, net: Network) -> None:
    one = client.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)
    with pytest.raises(OSError) as caught:
        one.send([echo(8, 1, 1, b"")], 0, ("10.5.0.99", 0))
    assert caught.value.errno == errno.EHOSTUNREACH
    one.close()
