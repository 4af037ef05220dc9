from __future__ import annotations

import errno
import os
import socket
import threading

import pytest

from sandbox.wasm.net import Switch
from sandbox.wasm.net.hostaddress import own_address
from sandbox.wasm.net.isolated import IsolatedStack

from .conftest import accept, listener, read_all, read_from, udp, write_all


def test_host_client_talks_to_the_container(web: IsolatedStack) -> None:
    server = listener(web, "0.0.0.0", 80)
    published = web.publish("tcp", "127.0.0.1", 0, 80)
    one = socket.create_connection(("127.0.0.1", published.host_port), timeout=10)
    other, peer = accept(server)
    assert peer == other.peer() == ("10.5.0.1", one.getsockname()[1])
    assert other.local() == ("10.5.0.2", 80)
    data = os.urandom(10 << 20)
    sender = threading.Thread(target=write_all, args=(other, data))
    sender.start()
    with one.makefile("rb") as stream:
        assert stream.read(len(data)) == data
    sender.join()
    one.sendall(b"bye")
    one.shutdown(socket.SHUT_WR)
    assert read_all(other) == b"bye"
    for sock in (one, other, server):
        sock.close()


def test_peer_from_elsewhere_keeps_its_address(web: IsolatedStack) -> None:
    address = own_address()
    assert address is not None
    server = listener(web, "0.0.0.0", 80)
    published = web.publish("tcp", address, 0, 80)
    one = socket.create_connection((address, published.host_port), timeout=10)
    other, peer = accept(server)
    assert peer == one.getsockname()
    for sock in (one, other, server):
        sock.close()


def test_nobody_listens_resets(web: IsolatedStack) -> None:
    published = web.publish("tcp", "127.0.0.1", 0, 80)
    with socket.socket() as one, pytest.raises(ConnectionResetError):
        one.settimeout(10)
        one.connect(("127.0.0.1", published.host_port))
        one.recv(1)


def test_listener_on_the_container_s_loopback_is_not_reached(web: IsolatedStack) -> None:
    server = listener(web, "127.0.0.1", 80)
    published = web.publish("tcp", "127.0.0.1", 0, 80)
    with socket.socket() as one, pytest.raises(ConnectionResetError):
        one.settimeout(10)
        one.connect(("127.0.0.1", published.host_port))
        one.recv(1)
    server.close()


def test_address_in_use_is_said(web: IsolatedStack) -> None:
    for protocol in ("tcp", "udp"):
        published = web.publish(protocol, "127.0.0.1", 0, 80)
        with pytest.raises(OSError) as caught:
            web.publish(protocol, "127.0.0.1", published.host_port, 81)
        assert caught.value.errno == errno.EADDRINUSE


def test_closing_frees_the_port_and_keeps_connections(web: IsolatedStack) -> None:
    server = listener(web, "0.0.0.0", 80)
    published = web.publish("tcp", "127.0.0.1", 0, 80)
    one = socket.create_connection(("127.0.0.1", published.host_port), timeout=10)
    other, _ = accept(server)
    published.close()
    published.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", published.host_port), timeout=10)
    again = web.publish("tcp", "127.0.0.1", published.host_port, 80)
    assert again.host_port == published.host_port
    one.sendall(b"still")
    one.close()
    assert read_all(other) == b"still"
    other.close()
    server.close()


def test_every_address_when_none_is_given(web: IsolatedStack) -> None:
    published = web.publish("tcp", "", 0, 80)
    assert published.host_ip == "0.0.0.0"


def test_ipv6_clients_appear_as_the_gateway(web: IsolatedStack) -> None:
    server = listener(web, "0.0.0.0", 80)
    published = web.publish("tcp", "::1", 0, 80)
    one = socket.create_connection(("::1", published.host_port), timeout=10)
    other, peer = accept(server)
    assert peer == ("10.5.0.1", one.getsockname()[1])
    for sock in (one, other, server):
        sock.close()


def test_datagrams_go_in_and_the_answers_find_their_client(web: IsolatedStack) -> None:
    server = udp(web)
    server.bind(("0.0.0.0", 53))
    published = web.publish("udp", "127.0.0.1", 0, 53)
    clients = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
    for number, one in enumerate(clients):
        one.settimeout(10)
        one.connect(("127.0.0.1", published.host_port))
        one.send(b"%d" % number)
    for _ in clients:
        data, source = read_from(server)
        assert source == ("10.5.0.1", clients[int(data)].getsockname()[1])
        server.send([b"answer " + data], 0, source)
    assert [one.recv(100) for one in clients] == [b"answer 0", b"answer 1"]
    for one in clients:
        one.close()
    server.close()


def test_unknown_protocol(web: IsolatedStack, switch: Switch) -> None:
    with pytest.raises(ValueError, match="sctp"):
        web.publish("sctp", "127.0.0.1", 0, 80)
