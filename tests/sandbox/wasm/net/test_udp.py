from __future__ import annotations

import errno
import select
import socket

import pytest

from sandbox.wasm.net import Network
from sandbox.wasm.net.hostaddress import own_address
from sandbox.wasm.net.isolated import IsolatedStack

from .conftest import read, read_from, udp


def test_datagrams_carry_true_addresses(web: IsolatedStack, client: IsolatedStack) -> None:
    server, one = udp(web), udp(client)
    server.bind(("0.0.0.0", 53))
    assert one.send([b"que", b"ry"], 0, ("10.5.0.2", 53)) == 5
    data, source = read_from(server)
    assert (data, source) == (b"query", ("10.5.0.3", one.local()[1]))
    server.send([b""], 0, source)
    assert read_from(one) == (b"", ("10.5.0.2", 53))
    server.close()
    one.close()


def test_datagrams_keep_their_borders_and_are_cut(web: IsolatedStack) -> None:
    server, one = udp(web), udp(web)
    server.bind(("127.0.0.1", 9))
    one.connect(("127.0.0.1", 9))
    for data in (b"first", b"second"):
        one.send([data], 0)
    assert server.readable() == 5
    assert read(server, 3, socket.MSG_PEEK) == b"fir"
    buffer = bytearray(3)
    found = server.receive([memoryview(buffer)], 0)
    assert (found.size, found.flags, bytes(buffer)) == (3, socket.MSG_TRUNC, b"fir")
    assert server.receive([memoryview(buffer)], socket.MSG_TRUNC).size == 6
    with pytest.raises(BlockingIOError):
        server.receive([memoryview(buffer)], 0)
    server.close()
    one.close()


def test_connected_socket_learns_of_refusal(web: IsolatedStack, client: IsolatedStack) -> None:
    one = udp(client)
    one.connect(("10.5.0.2", 53))
    assert one.local()[0] == "10.5.0.3"
    one.send([b"x"], 0)
    poller = select.poll()
    poller.register(one.fd, select.POLLIN)
    assert poller.poll(0) == [(one.fd, select.POLLIN)]
    with pytest.raises(ConnectionRefusedError):
        one.receive([memoryview(bytearray(9))], 0)
    with pytest.raises(BlockingIOError):
        one.receive([memoryview(bytearray(9))], 0)
    one.send([b"x"], 0)
    assert one.take_error() == errno.ECONNREFUSED
    one.close()


def test_peeking_at_a_refusal_takes_it(web: IsolatedStack, client: IsolatedStack) -> None:
    one = udp(client)
    one.connect(("10.5.0.2", 53))
    one.send([b"x"], 0)
    with pytest.raises(ConnectionRefusedError):
        one.receive([memoryview(bytearray(9))], socket.MSG_PEEK)
    with pytest.raises(BlockingIOError):
        one.receive([memoryview(bytearray(9))], socket.MSG_PEEK)
    one.close()


def test_unconnected_socket_does_not(web: IsolatedStack, client: IsolatedStack) -> None:
    one = udp(client)
    one.send([b"x"], 0, ("10.5.0.2", 53))
    with pytest.raises(BlockingIOError):
        one.receive([memoryview(bytearray(9))], 0)
    one.close()


def test_connected_socket_hears_only_its_peer(web: IsolatedStack, client: IsolatedStack) -> None:
    server, stranger, one = udp(web), udp(web), udp(client)
    server.bind(("10.5.0.2", 53))
    one.connect(("10.5.0.2", 53))
    stranger.send([b"no"], 0, one.local())
    server.send([b"yes"], 0, one.local())
    assert read_from(one) == (b"yes", ("10.5.0.2", 53))
    one.connect(None)
    stranger.send([b"now"], 0, ("10.5.0.3", one.local()[1]))
    assert read(one) == b"now"
    for sock in (server, stranger, one):
        sock.close()


def test_errors(web: IsolatedStack) -> None:
    one, two = udp(web), udp(web)
    cases = [
        (b"x", None, errno.EDESTADDRREQ),
        (bytes(65508), ("127.0.0.1", 9), errno.EMSGSIZE),
        (b"x", ("10.5.0.77", 9), errno.EHOSTUNREACH),
        (b"x", ("10.5.0.255", 9), errno.EACCES),
    ]
    for data, address, number in cases:
        with pytest.raises(OSError) as caught:
            one.send([data], 0, address)
        assert caught.value.errno == number
    with pytest.raises(OSError) as caught:
        two.bind(("127.0.0.1", one.local()[1]))
    assert caught.value.errno == errno.EADDRINUSE
    one.close()
    two.close()


def test_broadcast_reaches_all_on_the_network(web: IsolatedStack, client: IsolatedStack) -> None:
    server, one = udp(web), udp(client)
    server.bind(("0.0.0.0", 67))
    one.options.set(1, 6, (1).to_bytes(4, "little"))
    one.send([b"who"], 0, ("10.5.0.255", 67))
    assert read_from(server) == (b"who", ("10.5.0.3", one.local()[1]))
    server.close()
    one.close()


def test_way_out_and_back(client: IsolatedStack) -> None:
    address = own_address()
    assert address is not None
    server, one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), udp(client)
    server.settimeout(10)
    server.bind((address, 0))
    one.send([b"out"], 0, server.getsockname())
    data, source = server.recvfrom(100)
    assert data == b"out"
    server.sendto(b"in", source)
    assert read_from(one) == (b"in", server.getsockname())
    server.close()
    one.close()


def test_refused_outside(client: IsolatedStack) -> None:
    address = own_address()
    assert address is not None
    probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    probe.bind((address, 0))
    target = probe.getsockname()
    probe.close()
    one = udp(client)
    one.connect(target)
    one.send([b"x"], 0)
    with pytest.raises(ConnectionRefusedError):
        read(one)
    one.close()


def test_gateway_answers_as_the_gateway(client: IsolatedStack, net: Network) -> None:
    server, one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), udp(client)
    server.settimeout(10)
    server.bind(("0.0.0.0", 0))
    target = (net.gateway, server.getsockname()[1])
    one.connect(target)
    one.send([b"out"], 0)
    data, source = server.recvfrom(100)
    server.sendto(data[::-1], source)
    assert read_from(one) == (b"tuo", target)
    server.close()
    one.close()
