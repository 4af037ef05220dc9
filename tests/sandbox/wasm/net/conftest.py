"""A switch with two networks, and ways to wait on sockets as the kernel does: by polling their descriptors."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

import pytest

from sandbox.wasm.net import Network, Stack, Switch
from sandbox.wasm.net.base import Address, Socket
from sandbox.wasm.net.isolated import IsolatedStack
from tests.sandbox.wasm.descriptors import at_most_more

Answer = TypeVar("Answer")
DEADLINE = 20_000


@pytest.fixture(autouse=True)
def no_descriptor_is_left() -> Iterator[None]:
    with at_most_more(0):
        yield


@pytest.fixture
def switch(no_descriptor_is_left: None) -> Iterator[Switch]:
    made = Switch()
    yield made
    made.close()


@pytest.fixture
def net(switch: Switch) -> Network:
    return switch.network("app", "10.5.0.0/24", "10.5.0.1")


@pytest.fixture
def web(net: Network, switch: Switch) -> Iterator[IsolatedStack]:
    stack = Stack.isolated(switch)
    net.attach(stack, "10.5.0.2", "02:42:0a:05:00:02", ["Web", "www", "0123456789ab"])
    yield stack
    stack.close()


@pytest.fixture
def client(net: Network, switch: Switch) -> Iterator[IsolatedStack]:
    stack = Stack.isolated(switch)
    net.attach(stack, "10.5.0.3", "02:42:0a:05:00:03", ["client"])
    yield stack
    stack.close()


def wait(sock: Socket, events: int, act: Callable[[], Answer]) -> Answer:
    """`act` as soon as the socket's descriptor says that it can be done."""
    while True:
        try:
            return act()
        except BlockingIOError:
            poller = select.poll()
            poller.register(sock.fd, events)
            assert poller.poll(DEADLINE), "never became ready"


def tcp(stack: Stack) -> Socket:
    return stack.socket(socket.AF_INET, socket.SOCK_STREAM, 0)


def udp(stack: Stack) -> Socket:
    return stack.socket(socket.AF_INET, socket.SOCK_DGRAM, 0)


def listener(stack: Stack, address: str, port: int, backlog: int = 5) -> Socket:
    made = tcp(stack)
    made.bind((address, port))
    made.listen(backlog)
    return made


def accept(sock: Socket) -> tuple[Socket, Address]:
    return wait(sock, select.POLLIN, sock.accept)


def read(sock: Socket, size: int = 65536, flags: int = 0) -> bytes:
    buffer = bytearray(size)
    found = wait(sock, select.POLLIN, lambda: sock.receive([memoryview(buffer)], flags))
    return bytes(buffer[: found.size])


def read_from(sock: Socket, size: int = 65536, flags: int = 0) -> tuple[bytes, Address | None]:
    buffer = bytearray(size)
    found = wait(sock, select.POLLIN, lambda: sock.receive([memoryview(buffer)], flags))
    return bytes(buffer[: found.size]), found.address


def read_all(sock: Socket) -> bytes:
    """Until the end of the stream."""
    found = bytearray()
    while chunk := read(sock):
        found += chunk
    return bytes(found)


def write_all(sock: Socket, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        sent = wait(sock, select.POLLOUT, partial(sock.send, [rest], 0))
        rest = rest[sent:]
