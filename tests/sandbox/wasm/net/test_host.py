from __future__ import annotations

import errno
import select
import socket

import pytest

from sandbox.wasm.net import Stack

from .conftest import accept, read, read_from, tcp, udp, wait


def test_real_sockets_on_the_host_s_loopback() -> None:
    stack = Stack.host()
    server, one = tcp(stack), tcp(stack)
    server.bind(("127.0.0.1", 0))
    server.listen(1)
    wait(one, select.POLLOUT, lambda: one.connect(server.local()))
    other, peer = accept(server)
    assert peer == one.local()
    one.send([b"a", b"b"], 0)
    assert read(other) == b"ab"
    address = server.local()
    assert isinstance(address, tuple)
    with socket.create_connection(address, timeout=10) as plain:
        third, _ = accept(server)
        plain.sendall(b"from the host")
        assert read(third) == b"from the host"
        third.close()
    for sock in (server, one, other):
        sock.close()


def test_ipv6_and_datagrams() -> None:
    stack = Stack.host()
    server = stack.socket(socket.AF_INET6, socket.SOCK_DGRAM, 0)
    one = stack.socket(socket.AF_INET6, socket.SOCK_DGRAM, 0)
    server.bind(("::1", 0, 0, 0))
    one.connect(server.local())
    one.send([b"six"], 0)
    assert read_from(server) == (b"six", one.local())
    one.connect(None)
    with pytest.raises(OSError) as caught:
        one.peer()
    assert caught.value.errno == errno.ENOTCONN
    server.close()
    one.close()


def test_wrong_family_of_address() -> None:
    one = udp(Stack.host())
    with pytest.raises(OSError) as caught:
        one.bind(("::1", 0, 0, 0))
    assert caught.value.errno == errno.EAFNOSUPPORT
    one.close()


def test_interfaces_are_the_host_s() -> None:
    found = {interface.name: interface for interface in Stack.host().interfaces()}
    assert (found["lo"].address, found["lo"].prefix, found["lo"].loopback) == ("127.0.0.1", 8, True)


def test_options_are_the_host_s_but_for_waiting_times() -> None:
    one = tcp(Stack.host())
    one.options.set(6, 1, b"\1\0\0\0")
    assert one.io.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
    one.options.set(1, 66, b"\2" + bytes(7) + (500000).to_bytes(8, "little"))
    assert one.timeouts.receive == 2.5
    assert one.io.getsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, 16) == bytes(16)
    one.close()


def test_nothing_can_be_published() -> None:
    with pytest.raises(ValueError, match="there already"):
        Stack.host().publish("tcp", "127.0.0.1", 0, 80)
