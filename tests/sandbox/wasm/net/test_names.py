from __future__ import annotations

import errno
import select
import socket
import struct
import threading
from collections.abc import Iterator

import pytest

from sandbox.wasm.net import Network, Stack, Switch
from sandbox.wasm.net import dns_message as dns
from sandbox.wasm.net.dns_message import Code, Message, Question, Type
from sandbox.wasm.net.isolated import DNS, IsolatedStack

from .conftest import read, read_from, tcp, udp, wait, write_all


def ask(stack: Stack, name: str, kind: int = Type.A, ident: int = 77) -> Message:
    """As a C library does: one datagram to the name server and its answer."""
    one = udp(stack)
    one.send([dns.pack(Message(ident, dns.RD, (Question(name, kind),)))], 0, DNS)
    data, source = read_from(one)
    one.close()
    assert source == DNS
    found = dns.parse(data)
    assert found.ident == ident
    return found


def addresses(message: Message) -> list[str]:
    return sorted(socket.inet_ntoa(record.data) for record in message.answers)


@pytest.mark.parametrize("name", ["web", "WEB", "www", "0123456789ab", "web.app", "web."])
def test_names_of_containers(client: IsolatedStack, web: IsolatedStack, name: str) -> None:
    found = ask(client, name)
    assert (found.code, addresses(found)) == (Code.NOERROR, ["10.5.0.2"])
    assert found.answers[0].ttl == 600


def test_other_records_are_empty_not_absent(client: IsolatedStack, web: IsolatedStack) -> None:
    for kind in (Type.AAAA, Type.MX, Type.TXT):
        found = ask(client, "web", kind)
        assert (found.code, found.answers) == (Code.NOERROR, ())


def test_address_and_ipv6_question_in_parallel(client: IsolatedStack, web: IsolatedStack) -> None:
    one = udp(client)
    for ident, kind in ((1, Type.A), (2, Type.AAAA)):
        one.send([dns.pack(Message(ident, dns.RD, (Question("web", kind),)))], 0, DNS)
    found = {message.ident: message for message in (dns.parse(read(one)) for _ in range(2))}
    assert addresses(found[1]) == ["10.5.0.2"]
    assert (found[2].code, found[2].answers) == (Code.NOERROR, ())
    one.close()


def test_names_for_addresses(client: IsolatedStack, web: IsolatedStack) -> None:
    found = ask(client, "2.0.5.10.in-addr.arpa", Type.PTR)
    assert [dns.unpack_name(record.data) for record in found.answers] == ["web.app"]


def test_network_may_be_known_by_another_name(switch: Switch) -> None:
    net = switch.network("0123abcd", "10.8.0.0/24", "10.8.0.1", domain="Shop")
    stack = Stack.isolated(switch)
    net.attach(stack, "10.8.0.2", "02:42:0a:08:00:02", ["till"])
    assert addresses(ask(stack, "till.shop")) == ["10.8.0.2"]
    found = ask(stack, "2.0.8.10.in-addr.arpa", Type.PTR)
    assert [dns.unpack_name(record.data) for record in found.answers] == ["till.Shop"]
    stack.close()


def test_shared_alias_gives_all_addresses(client: IsolatedStack, web: IsolatedStack, net: Network) -> None:
    client.endpoints[0].names = ["client", "www"]
    assert addresses(ask(client, "www")) == ["10.5.0.2", "10.5.0.3"]


def test_names_change_while_running(client: IsolatedStack, web: IsolatedStack) -> None:
    client.nameservers = ["127.0.0.1"]
    client.nameserver_port = 9
    web.endpoints[0].names = ["db"]
    assert addresses(ask(client, "db")) == ["10.5.0.2"]
    assert ask(client, "web").code == Code.SERVFAIL


def test_names_end_at_the_network(switch: Switch, web: IsolatedStack) -> None:
    bridge = switch.network("bridge", "172.17.0.0/16", "172.17.0.1")
    one, two = Stack.isolated(switch), Stack.isolated(switch)
    bridge.attach(one, "172.17.0.2", "02:42:ac:11:00:02", ["one"])
    bridge.attach(two, "172.17.0.3", "02:42:ac:11:00:03", ["two"])
    one.nameservers = ["127.0.0.1"]
    one.nameserver_port = 9
    assert ask(one, "two").code == Code.SERVFAIL
    assert ask(one, "web").code == Code.SERVFAIL
    one.close()
    two.close()


def test_over_tcp(client: IsolatedStack, web: IsolatedStack) -> None:
    one = tcp(client)
    one.connect(DNS)
    for ident in (5, 6):
        query = dns.pack(Message(ident, 0, (Question("web", Type.A),)))
        write_all(one, struct.pack("!H", len(query)) + query)
        head = read(one, 2, socket.MSG_WAITALL)
        message = dns.parse(read(one, int.from_bytes(head, "big")))
        assert (message.ident, addresses(message)) == (ident, ["10.5.0.2"])
    one.shutdown(socket.SHUT_WR)
    assert read(one) == b""
    one.close()


def test_too_long_for_a_datagram_is_cut_and_whole_over_tcp(client: IsolatedStack, switch: Switch, net: Network) -> None:
    many = [Stack.isolated(switch) for _ in range(40)]
    for number, stack in enumerate(many):
        net.attach(stack, f"10.5.0.{100 + number}", "02:42:00:00:00:00", ["many"])
    found = ask(client, "many")
    assert (found.flags & dns.TC, found.answers) == (dns.TC, ())
    assert len(client.resolver.lookup("many")) == 40
    for stack in many:
        stack.close()


def test_malformed_and_unusual_queries(client: IsolatedStack) -> None:
    one = udp(client)
    one.send([b"\0\7\1\0\0\1\0\0\0\0\0\0"], 0, DNS)
    assert dns.parse(read(one)).code == Code.FORMERR
    one.send([dns.pack(Message(8, 0x2000, (Question("web", Type.A),)))], 0, DNS)
    assert dns.parse(read(one)).code == Code.NOTIMP
    one.send([dns.pack(Message(9, dns.QR))], 0, DNS)
    one.send([b"short"], 0, DNS)
    with pytest.raises(BlockingIOError):
        one.receive([memoryview(bytearray(100))], 0)
    one.close()


def _one_port() -> tuple[socket.socket, socket.socket]:
    """A UDP and a TCP socket of the same port: one that is free for the first may be taken for the second."""
    while True:
        datagrams, streams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket()
        datagrams.bind(("127.0.0.1", 0))
        try:
            streams.bind(datagrams.getsockname())
        except OSError as error:
            datagrams.close()
            streams.close()
            assert error.errno == errno.EADDRINUSE
        else:
            return datagrams, streams


class Upstream:
    """A name server of the host: over UDP it answers, stays silent or refuses to say more; over TCP it tells all."""

    def __init__(self) -> None:
        self.datagrams, self.streams = _one_port()
        self.port = self.datagrams.getsockname()[1]
        self.streams.listen(1)
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self) -> None:
        while True:
            data, source = self.datagrams.recvfrom(512)
            if data == b"stop":
                return
            query = dns.parse(data)
            if query.questions[0].name == "gone.example":
                self.datagrams.sendto(dns.pack(query.reply(Code.NXDOMAIN)), source)
            elif query.questions[0].name != "silent.example":
                answer = query.reply(Code.NOERROR, [dns.address_record(query.questions[0].name, "192.0.2.9", 5)])
                forged = query.reply(Code.NXDOMAIN)
                self.datagrams.sendto(bytes([data[0] ^ 1]) + dns.pack(forged)[1:], source)
                self.datagrams.sendto(dns.pack(answer), source)

    def serve_stream(self) -> None:
        io, _ = self.streams.accept()
        with io:
            size = int.from_bytes(io.recv(2), "big")
            query = dns.parse(io.recv(size))
            answer = dns.pack(query.reply(Code.NOERROR, [dns.address_record("x", "192.0.2.8", 5)]))
            io.sendall(len(answer).to_bytes(2, "big") + answer)

    def close(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            one.sendto(b"stop", ("127.0.0.1", self.port))
        self.thread.join()
        self.datagrams.close()
        self.streams.close()


@pytest.fixture
def upstream(no_descriptor_is_left: None) -> Iterator[Upstream]:
    made = Upstream()
    yield made
    made.close()


def test_other_names_are_asked_of_the_host_s_servers(client: IsolatedStack, upstream: Upstream) -> None:
    client.nameservers, client.nameserver_port = ["127.0.0.1"], upstream.port
    assert addresses(ask(client, "there.example")) == ["192.0.2.9"]
    assert ask(client, "gone.example").code == Code.NXDOMAIN


def test_silent_server_is_given_up_soon(client: IsolatedStack, upstream: Upstream) -> None:
    client.nameservers, client.nameserver_port = ["127.0.0.1"], upstream.port
    assert ask(client, "silent.example").code == Code.SERVFAIL


def test_the_next_server_is_asked(client: IsolatedStack, upstream: Upstream) -> None:
    client.nameservers, client.nameserver_port = ["127.0.0.2", "127.0.0.1"], upstream.port
    assert addresses(ask(client, "there.example")) == ["192.0.2.9"]


def test_tcp_questions_are_asked_over_tcp(client: IsolatedStack, upstream: Upstream) -> None:
    client.nameservers, client.nameserver_port = ["127.0.0.1"], upstream.port
    server = threading.Thread(target=upstream.serve_stream)
    server.start()
    one = tcp(client)
    one.connect(DNS)
    query = dns.pack(Message(3, 0, (Question("x", Type.A),)))
    write_all(one, struct.pack("!H", len(query)) + query)
    wait(one, select.POLLIN, lambda: one.receive([memoryview(bytearray(2))], 0))
    message = dns.parse(read(one))
    assert (message.ident, addresses(message)) == (3, ["192.0.2.8"])
    one.shutdown(socket.SHUT_WR)
    assert read(one) == b""
    one.close()
    server.join()


def test_internal_networks_do_not_ask_outside(switch: Switch) -> None:
    inner = switch.network("inner", "10.7.0.0/24", "10.7.0.1", internal=True)
    stack = Stack.isolated(switch)
    inner.attach(stack, "10.7.0.2", "02:42:00:00:00:01", ["one"])
    assert addresses(ask(stack, "one")) == ["10.7.0.2"]
    assert ask(stack, "example.com").code == Code.SERVFAIL
    stack.close()


def test_attaching_is_checked(switch: Switch, net: Network, web: IsolatedStack) -> None:
    stack = Stack.isolated(switch)
    for address in ("10.5.0.2", "10.5.0.1", "10.9.0.9"):
        with pytest.raises(ValueError, match=address):
            net.attach(stack, address, "02:42:00:00:00:01", [])
    with pytest.raises(ValueError, match="host"):
        net.attach(Stack.host(), "10.5.0.9", "02:42:00:00:00:01", [])
    with pytest.raises(ValueError, match="active endpoints"):
        switch.remove("app")
    with pytest.raises(ValueError, match="overlaps"):
        switch.network("two", "10.5.0.0/16", "10.5.0.1")
    web.close()
    switch.remove("app")


def test_detached_is_gone(web: IsolatedStack, client: IsolatedStack, net: Network) -> None:
    net.detach(web.endpoints[0])
    one = tcp(client)
    with pytest.raises(OSError) as caught:
        one.connect(("10.5.0.2", 80))
    assert caught.value.errno == errno.EHOSTUNREACH
    one.close()
