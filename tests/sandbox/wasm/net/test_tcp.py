from __future__ import annotations

import errno
import os
import select
import socket
import threading
from collections.abc import Callable

import pytest

from sandbox.wasm.net import Network, Stack, Switch
from sandbox.wasm.net.base import Pending
from sandbox.wasm.net.hostaddress import own_address
from sandbox.wasm.net.isolated import IsolatedStack

from .conftest import accept, listener, read, read_all, tcp, wait, write_all


def refusal(act: Callable[[], object]) -> int | None:
    with pytest.raises(OSError) as caught:
        act()
    return caught.value.errno


def test_both_ends_know_the_true_addresses(web: IsolatedStack, client: IsolatedStack) -> None:
    server, one = listener(web, "0.0.0.0", 80), tcp(client)
    one.connect(("10.5.0.2", 80))
    other, peer = accept(server)
    assert one.peer() == other.local() == ("10.5.0.2", 80)
    assert one.local() == other.peer() == peer
    assert peer[0] == "10.5.0.3"
    assert 32768 <= peer[1] <= 60999
    for sock in (server, one, other):
        sock.close()


def test_ten_megabytes_each_way_at_once(web: IsolatedStack, client: IsolatedStack) -> None:
    server, one = listener(web, "10.5.0.2", 80), tcp(client)
    one.connect(("10.5.0.2", 80))
    other, _ = accept(server)
    there, back = os.urandom(10 << 20), os.urandom(10 << 20)
    got: dict[str, bytes] = {}

    def send(sock: object, data: bytes) -> None:
        write_all(sock, data)  # type: ignore[arg-type]
        sock.shutdown(socket.SHUT_WR)  # type: ignore[attr-defined]

    def receive(name: str, sock: object) -> None:
        got[name] = read_all(sock)  # type: ignore[arg-type]

    work = [
        threading.Thread(target=send, args=(one, there)),
        threading.Thread(target=send, args=(other, back)),
        threading.Thread(target=receive, args=("there", other)),
        threading.Thread(target=receive, args=("back", one)),
    ]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()
    assert got["there"] == there
    assert got["back"] == back
    for sock in (server, one, other):
        sock.close()


def test_half_close_leaves_the_other_direction_open(web: IsolatedStack, client: IsolatedStack) -> None:
    server, one = listener(web, "0.0.0.0", 80), tcp(client)
    one.connect(("10.5.0.2", 80))
    other, _ = accept(server)
    one.send([b"question"], 0)
    one.shutdown(socket.SHUT_WR)
    assert read_all(other) == b"question"
    other.send([b"answer"], 0)
    other.close()
    assert read_all(one) == b"answer"
    one.close()
    server.close()


def test_loopback_is_the_stack_s_own(web: IsolatedStack, client: IsolatedStack) -> None:
    server, one, far = listener(web, "127.0.0.1", 80), tcp(web), tcp(client)
    one.connect(("127.0.0.1", 80))
    other, peer = accept(server)
    assert peer == one.local()
    assert peer[0] == "127.0.0.1"
    assert refusal(lambda: far.connect(("127.0.0.1", 80))) == errno.ECONNREFUSED
    assert refusal(lambda: far.connect(("10.5.0.2", 80))) == errno.ECONNREFUSED
    for sock in (server, one, other, far):
        sock.close()


def test_zero_address_means_this_stack(web: IsolatedStack) -> None:
    server, one = listener(web, "0.0.0.0", 80), tcp(web)
    one.connect(("0.0.0.0", 80))
    assert one.peer() == ("127.0.0.1", 80)
    one.close()
    server.close()


def test_errors_of_connecting(web: IsolatedStack, client: IsolatedStack, switch: Switch) -> None:
    switch.network("other", "10.6.0.0/24", "10.6.0.1")
    lonely = Stack.isolated(switch)
    cases = [
        (client, "10.5.0.2", errno.ECONNREFUSED),
        (client, "10.5.0.99", errno.EHOSTUNREACH),
        (client, "10.6.0.2", errno.EHOSTUNREACH),
        (client, "224.0.0.1", errno.ENETUNREACH),
        (lonely, "10.5.0.2", errno.ENETUNREACH),
        (lonely, "192.0.2.77", errno.ENETUNREACH),
    ]
    for stack, address, number in cases:
        sock = tcp(stack)
        assert (address, refusal(lambda s=sock, a=address: s.connect((a, 80)))) == (address, number)  # type: ignore[misc]
        assert sock.local() == ("0.0.0.0", 0)
        sock.close()


def test_internal_network_leads_nowhere(switch: Switch) -> None:
    inner = switch.network("inner", "10.7.0.0/24", "10.7.0.1", internal=True)
    stack = Stack.isolated(switch)
    inner.attach(stack, "10.7.0.2", "02:42:00:00:00:01", [])
    sock = tcp(stack)
    assert refusal(lambda: sock.connect(("192.0.2.77", 80))) == errno.ENETUNREACH
    sock.close()
    stack.close()


def test_full_backlog_refuses(web: IsolatedStack, client: IsolatedStack) -> None:
    server = listener(web, "0.0.0.0", 80, backlog=1)
    clients = [tcp(client) for _ in range(3)]
    clients[0].connect(("10.5.0.2", 80))
    clients[1].connect(("10.5.0.2", 80))
    assert refusal(lambda: clients[2].connect(("10.5.0.2", 80))) == errno.ECONNREFUSED
    accept(server)[0].close()
    clients[2].connect(("10.5.0.2", 80))
    for sock in (*clients, server):
        sock.close()


def test_binding(web: IsolatedStack) -> None:
    first, second = tcp(web), tcp(web)
    assert refusal(lambda: first.bind(("10.5.0.99", 80))) == errno.EADDRNOTAVAIL
    first.bind(("0.0.0.0", 80))
    assert refusal(lambda: first.bind(("0.0.0.0", 81))) == errno.EINVAL
    assert refusal(lambda: second.bind(("127.0.0.1", 80))) == errno.EADDRINUSE
    first.close()
    second.bind(("127.0.0.1", 80))
    second.close()


def test_bind_to_port_zero_takes_an_ephemeral_one(web: IsolatedStack) -> None:
    sock = tcp(web)
    sock.bind(("0.0.0.0", 0))
    address = sock.local()
    assert address[0] == "0.0.0.0"
    assert 32768 <= address[1] <= 60999
    sock.close()


def test_reuse_lets_a_server_come_back_beside_its_connections(web: IsolatedStack, client: IsolatedStack) -> None:
    on = (1).to_bytes(4, "little")
    server, one, again = tcp(web), tcp(client), tcp(web)
    server.options.set(1, 2, on)
    server.bind(("0.0.0.0", 80))
    server.listen(1)
    again.options.set(1, 2, on)
    assert refusal(lambda: again.bind(("0.0.0.0", 80))) == errno.EADDRINUSE
    one.connect(("10.5.0.2", 80))
    other, _ = accept(server)
    server.close()
    strict = tcp(web)
    assert refusal(lambda: strict.bind(("0.0.0.0", 80))) == errno.EADDRINUSE
    again.bind(("0.0.0.0", 80))
    again.listen(1)
    for sock in (one, other, again, strict):
        sock.close()


def test_calls_on_the_wrong_state(web: IsolatedStack, client: IsolatedStack) -> None:
    server, one = listener(web, "0.0.0.0", 80), tcp(client)
    assert refusal(lambda: one.receive([memoryview(bytearray(1))], 0)) == errno.ENOTCONN
    assert refusal(lambda: one.send([b"x"], 0)) == errno.EPIPE
    assert refusal(one.peer) == errno.ENOTCONN
    assert refusal(one.accept) == errno.EINVAL
    assert refusal(lambda: one.shutdown(socket.SHUT_WR)) == errno.ENOTCONN
    one.connect(("10.5.0.2", 80))
    assert refusal(lambda: one.connect(("10.5.0.2", 80))) == errno.EISCONN
    assert refusal(lambda: one.listen(1)) == errno.EINVAL
    one.close()
    server.close()


def test_descriptor_tells_what_a_listener_and_a_connection_have(web: IsolatedStack, client: IsolatedStack) -> None:
    server, one = listener(web, "0.0.0.0", 80), tcp(client)
    number = one.fd
    poller = select.poll()
    poller.register(server.fd, select.POLLIN)
    assert poller.poll(0) == []
    one.connect(("10.5.0.2", 80))
    assert one.fd == number
    assert poller.poll(0) == [(server.fd, select.POLLIN)]
    other, _ = accept(server)
    assert poller.poll(0) == []
    poller.register(other.fd, select.POLLIN)
    one.send([b"x"], 0)
    assert poller.poll(0) == [(other.fd, select.POLLIN)]
    assert other.readable() == 1
    for sock in (server, one, other):
        sock.close()


def test_closing_a_listener_ends_waiting_connections(web: IsolatedStack, client: IsolatedStack) -> None:
    server, one = listener(web, "0.0.0.0", 80), tcp(client)
    one.connect(("10.5.0.2", 80))
    server.close()
    assert read(one) == b""
    one.close()


def test_shutdown_of_a_listener_wakes_who_accepts(web: IsolatedStack) -> None:
    server = listener(web, "0.0.0.0", 80)
    server.shutdown(socket.SHUT_RD)
    poller = select.poll()
    poller.register(server.fd, select.POLLIN)
    assert poller.poll(0) == [(server.fd, select.POLLIN)]
    assert refusal(server.accept) == errno.EINVAL
    server.close()


def test_peek_leaves_the_bytes(web: IsolatedStack, client: IsolatedStack) -> None:
    server, one = listener(web, "0.0.0.0", 80), tcp(client)
    one.connect(("10.5.0.2", 80))
    other, _ = accept(server)
    one.send([b"ab", b"cd"], 0)
    assert read(other, 3, socket.MSG_PEEK) == b"abc"
    assert read(other) == b"abcd"
    for sock in (server, one, other):
        sock.close()


def outside(address: str) -> socket.socket:
    made = socket.socket()
    made.bind((address, 0))
    made.listen(1)
    made.settimeout(10)
    return made


def test_way_out_through_the_host(client: IsolatedStack) -> None:
    address = own_address()
    assert address is not None
    server, one = outside(address), tcp(client)
    target = server.getsockname()
    try:
        one.connect(target)
    except Pending:
        wait(one, select.POLLOUT, lambda: one.connect(target))
    other, seen = server.accept()
    assert seen[0] == address
    assert one.peer() == target
    assert one.local()[0] == "10.5.0.3"
    one.send([b"out"], 0)
    assert other.recv(10) == b"out"
    other.sendall(b"in")
    assert read(one) == b"in"
    for sock in (server, other, one):
        sock.close()


def test_refused_outside_and_tried_again(client: IsolatedStack) -> None:
    address = own_address()
    assert address is not None
    server = outside(address)
    target = server.getsockname()
    server.close()
    one = tcp(client)

    def attempt() -> int | None:
        return refusal(lambda: wait(one, select.POLLOUT, lambda: one.connect(target)))

    assert attempt() == errno.ECONNREFUSED
    assert one.local() == ("0.0.0.0", 0)
    assert attempt() == errno.ECONNREFUSED
    one.close()


def test_gateway_reaches_what_the_host_offers_to_all(client: IsolatedStack, net: Network) -> None:
    server, private, one, two = outside("0.0.0.0"), outside("127.0.0.1"), tcp(client), tcp(client)
    target = (net.gateway, server.getsockname()[1])
    wait(one, select.POLLOUT, lambda: one.connect(target))
    other, seen = server.accept()
    assert one.peer() == target
    assert seen[0] == own_address()
    assert refusal(lambda: two.connect((net.gateway, private.getsockname()[1]))) == errno.ECONNREFUSED
    for sock in (server, private, other, one, two):
        sock.close()


def test_host_loopback_is_out_of_reach(client: IsolatedStack) -> None:
    server, one = outside("127.0.0.1"), tcp(client)
    assert refusal(lambda: one.connect(server.getsockname())) == errno.ECONNREFUSED
    one.close()
    server.close()
