from __future__ import annotations

import errno
import socket
import struct

import pytest

from sandbox.wasm.net.hostaddress import own_address
from sandbox.wasm.net.isolated import IsolatedStack

from .conftest import accept, listener, tcp, udp

ON = b"\1\0\0\0"


def test_facts_about_a_socket(web: IsolatedStack) -> None:
    one, two = tcp(web), udp(web)
    assert [one.options.get(1, name) for name in (3, 38, 39, 30)] == [ON, b"\6\0\0\0", b"\2\0\0\0", bytes(4)]
    assert [two.options.get(1, name) for name in (3, 38)] == [b"\2\0\0\0", b"\x11\0\0\0"]
    one.bind(("0.0.0.0", 80))
    one.listen(1)
    assert one.options.get(1, 30) == ON
    assert one.options.get(1, 4) == bytes(4)
    one.close()
    two.close()


@pytest.mark.parametrize("option", [(1, 2), (1, 9), (1, 15), (6, 1), (6, 4), (0, 1), (0, 2)])
def test_kept_options(web: IsolatedStack, option: tuple[int, int]) -> None:
    one = tcp(web)
    one.options.set(*option, ON)
    assert one.options.get(*option) == ON
    one.close()


def test_waiting_times_in_both_layouts(web: IsolatedStack) -> None:
    one = tcp(web)
    one.options.set(1, 66, struct.pack("<qq", 1, 500_000))
    one.options.set(1, 21, struct.pack("<ii", 2, 0))
    assert (one.timeouts.receive, one.timeouts.send) == (1.5, 2.0)
    assert one.options.get(1, 20) == struct.pack("<ii", 1, 500_000)
    one.options.set(1, 20, bytes(8))
    assert one.timeouts.receive is None
    one.close()


def test_refusals(web: IsolatedStack) -> None:
    one = tcp(web)
    cases = [(1, 9999, ON, errno.ENOPROTOOPT), (99, 1, ON, errno.ENOPROTOOPT), (1, 3, ON, errno.ENOPROTOOPT),
             (1, 2, b"\1", errno.EINVAL), (1, 66, ON, errno.EINVAL),
             (1, 66, struct.pack("<qq", 1, 1_000_000), errno.EDOM)]  # fmt: skip
    for level, name, value, number in cases:
        with pytest.raises(OSError) as caught:
            one.options.set(level, name, value)
        assert (level, name, caught.value.errno) == (level, name, number)
    with pytest.raises(OSError) as caught:
        one.options.get(1, 17)
    assert caught.value.errno == errno.ENOPROTOOPT
    one.close()


def test_buffer_sizes_are_real(web: IsolatedStack, client: IsolatedStack) -> None:
    server, one = listener(web, "0.0.0.0", 80), tcp(client)
    one.options.set(1, 7, (8192).to_bytes(4, "little"))
    one.connect(("10.5.0.2", 80))
    accept(server)[0].close()
    assert one.options.get(1, 7) == (16384).to_bytes(4, "little")
    one.close()
    server.close()


def test_options_reach_the_real_socket(client: IsolatedStack) -> None:
    address = own_address()
    assert address is not None
    server, one = socket.socket(), tcp(client)
    server.bind((address, 0))
    server.listen(1)
    one.options.set(6, 1, ON)
    with pytest.raises(BlockingIOError):
        one.connect(server.getsockname())
    assert one.io.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
    one.close()
    server.close()
