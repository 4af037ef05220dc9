"""Our busybox in containers on one network: its servers and clients find each other by name."""

from __future__ import annotations

import os
import urllib.request
from collections.abc import Iterator

import pytest

from sandbox.wasm.net import Network, Stack, Switch
from sandbox.wasm.net.isolated import IsolatedStack
from tests.waiting import eventually

from .containers import Container, Programmer, containers

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def programs() -> Programmer:
    return Programmer()


@pytest.fixture(scope="module")
def no_descriptor_is_left() -> Iterator[None]:
    """Processes end on threads of their own after these tests: descriptors are counted where there are none."""
    yield


@pytest.fixture(scope="module")
def pair(programs: Programmer, no_descriptor_is_left: None) -> Iterator[tuple[Container, Container, IsolatedStack]]:
    switch = Switch()
    net: Network = switch.network("app", "10.5.0.0/24", "10.5.0.1")
    web, client = Stack.isolated(switch), Stack.isolated(switch)
    net.attach(web, "10.5.0.2", "02:42:0a:05:00:02", ["web", "www"])
    net.attach(client, "10.5.0.3", "02:42:0a:05:00:03", ["client"])
    with containers(programs, web=web, client=client) as (one, two):
        yield one, two, web
    web.close()
    client.close()
    switch.close()


def until_listening(stack: IsolatedStack, port: int) -> None:
    eventually(lambda: stack.tcp.find("10.5.0.2", port, listening=True) is not None, 20, lambda: f"on {port}")


def test_web_server_by_name(pair: tuple[Container, Container, IsolatedStack]) -> None:
    web, client, stack = pair
    content = os.urandom(1 << 20)
    web.write("/www/data", content)
    web.write("/www/index.html", b"it works\n")
    assert web.run("httpd -p 80 -h /www") == (0, "")
    until_listening(stack, 80)
    assert client.run("wget -q -O - http://web/ && wget -q -O - http://WWW/index.html") == (0, "it works\nit works\n")
    assert client.run("wget -q -O /data http://web/data && cmp /data /data && wc -c < /data") == (0, "1048576\n")
    code, output = client.run("wget -q -O - http://web:81/")
    assert (code, output) == (1, "wget: can't connect to remote host (10.5.0.2): Connection refused\n")
    code, listening = web.run("netstat -tln 2>/dev/null")
    assert code == 0
    assert "0.0.0.0:80" in listening

    published = stack.publish("tcp", "127.0.0.1", 0, 80)
    with urllib.request.urlopen(f"http://127.0.0.1:{published.host_port}/data", timeout=20) as answer:
        assert answer.read() == content
    published.close()


def test_netcat_both_ways(pair: tuple[Container, Container, IsolatedStack]) -> None:
    web, client, stack = pair
    server = web.start("nc -l -p 5000 > /got; cat /got")
    until_listening(stack, 5000)
    assert client.run("nc web 5000", b"from the client\n") == (0, "")
    assert server.result() == (0, "from the client\n")
    server = web.start("echo from the server | nc -l -p 5001")
    until_listening(stack, 5001)
    assert client.run("nc web 5001 < /dev/null") == (0, "from the server\n")
    assert server.result() == (0, "")
    server = web.start("nc -l -p 5002 -e tr a-z A-Z")
    until_listening(stack, 5002)
    assert client.run("nc web 5002", b"echo\n") == (0, "ECHO\n")
    assert server.result() == (0, "")


def test_names_are_looked_up(pair: tuple[Container, Container, IsolatedStack]) -> None:
    _, client, _ = pair
    code, output = client.run("nslookup web")
    assert code == 0
    assert "Name:\tweb\nAddress: 10.5.0.2\n" in output
    code, output = client.run("nslookup 10.5.0.2")
    assert code == 0
    assert "2.0.5.10.in-addr.arpa\tname = web.app\n" in output
    assert client.run("hostname; hostname -i") == (0, "client\n10.5.0.3\n")


def test_ping_and_interfaces(pair: tuple[Container, Container, IsolatedStack]) -> None:
    _, client, _ = pair
    code, output = client.run("ping -c 1 -W 5 www")
    assert code == 0
    assert "1 packets transmitted, 1 packets received" in output
    code, output = client.run("ifconfig eth0")
    assert code == 0
    assert "inet addr:10.5.0.3  Bcast:10.5.0.255  Mask:255.255.255.0" in output
    assert "HWaddr 02:42:0A:05:00:03" in output
