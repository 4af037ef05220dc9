from __future__ import annotations

import errno
import os
import select
import socket
from pathlib import Path

import pytest

from sandbox.wasm.net import Stack, Switch
from sandbox.wasm.net.base import Credentials, Received
from sandbox.wasm.net.isolated import IsolatedStack
from sandbox.wasm.net.unix import Crowded, Place, UnixSocket, UnixStream, pair, unix_socket
from sandbox.wasm.net.unixdatagram import UnixDatagram

from .conftest import accept, read, read_all, read_from


class Passed:
    """Stands for an open file: counts its references."""

    def __init__(self) -> None:
        self.references = 1

    def release(self) -> None:
        self.references -= 1


def stream(stack: Stack, kind: int = socket.SOCK_STREAM) -> UnixStream:
    made = unix_socket(stack, kind, 0)
    assert isinstance(made, UnixStream)
    return made


def datagram(stack: Stack) -> UnixDatagram:
    made = unix_socket(stack, socket.SOCK_DGRAM, 0)
    assert isinstance(made, UnixDatagram)
    return made


def receive(sock: UnixSocket, size: int = 100, flags: int = 0) -> tuple[bytes, Received]:
    buffer = bytearray(size)
    found = sock.receive([memoryview(buffer)], flags)
    return bytes(buffer[: found.size]), found


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_SEQPACKET])
@pytest.mark.parametrize("place", [Place(b"/run/app.sock", ("fs", 7)), Place(b"\0abstract")])
def test_connection_by_name(web: IsolatedStack, kind: int, place: Place) -> None:
    server, one = stream(web, kind), stream(web, kind)
    server.credentials, one.credentials = Credentials(1, 0, 0), Credentials(2, 1000, 100)
    server.bind(place)
    server.listen(1)
    one.connect(place)
    other, peer = accept(server)
    assert (peer, one.peer(), other.local(), one.local()) == (b"", place.name, place.name, b"")
    one.send([b"hello"], 0)
    assert read(other) == b"hello"
    assert other.options.get(1, 17) == b"\2\0\0\0\xe8\3\0\0\x64\0\0\0"
    assert one.options.get(1, 17) == b"\1\0\0\0\0\0\0\0\0\0\0\0"
    other.close()
    assert read_all(one) == b""
    one.close()
    server.close()
    late = stream(web, kind)
    with pytest.raises(ConnectionRefusedError):
        late.connect(place)
    late.close()


def test_abstract_names_belong_to_the_stack(web: IsolatedStack, client: IsolatedStack) -> None:
    server, again, far, auto = (stream(stack) for stack in (web, web, client, web))
    server.bind(Place(b"\0name"))
    server.listen(1)
    with pytest.raises(OSError) as caught:
        again.bind(Place(b"\0name"))
    assert caught.value.errno == errno.EADDRINUSE
    with pytest.raises(ConnectionRefusedError):
        far.connect(Place(b"\0name"))
    auto.bind(Place(b""))
    assert auto.local() == b"\x0000000"
    for sock in (server, again, far, auto):
        sock.close()


def test_kinds_do_not_mix_and_full_queues_ask_to_come_back(web: IsolatedStack) -> None:
    server, one, two = stream(web), stream(web), datagram(web)
    server.bind(Place(b"\0name"))
    server.listen(0)
    with pytest.raises(OSError) as caught:
        two.connect(Place(b"\0name"))
    assert caught.value.errno == errno.EPROTOTYPE
    one.connect(Place(b"\0name"))
    three = stream(web)
    with pytest.raises(Crowded):
        three.connect(Place(b"\0name"))
    server.close()
    assert read(one) == b""
    for sock in (one, two, three):
        sock.close()


def test_open_files_travel_at_their_place_in_the_stream(web: IsolatedStack) -> None:
    one, two = pair(web, socket.SOCK_STREAM)
    files = [Passed(), Passed()]
    one.send([b"before"], 0)
    one.send([b"with"], 0, None, files)
    one.send([b"after"], 0)
    data, found = receive(two, 6)
    assert (data, found.rights) == (b"before", ())
    data, found = receive(two, 100, socket.MSG_PEEK)
    assert found.rights == ()
    data, found = receive(two)
    assert (data[:4], found.rights) == (b"with", tuple(files))
    assert [file.references for file in files] == [1, 1]
    one.close()
    two.close()


def test_open_files_that_nobody_takes_are_released(web: IsolatedStack) -> None:
    one, two = pair(web, socket.SOCK_STREAM)
    file, late = Passed(), Passed()
    one.send([b"x"], 0, None, [file])
    two.close()
    assert file.references == 0
    with pytest.raises(BrokenPipeError):
        one.send([b"x"], 0, None, [late])
    assert late.references == 1
    one.close()


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_SEQPACKET])
def test_pairs_keep_borders(web: IsolatedStack, kind: int) -> None:
    one, two = pair(web, kind)
    file = Passed()
    one.send([b"a", b"b"], 0)
    one.send([b"cd"], 0, None, [file])
    assert receive(two, 1)[1].flags & socket.MSG_TRUNC
    data, found = receive(two)
    assert (data, found.rights) == (b"cd", (file,))
    one.close()
    two.close()


def test_datagrams_by_name_carry_their_sender(web: IsolatedStack) -> None:
    server, one = datagram(web), datagram(web)
    server.bind(Place(b"/dev/log", ("fs", 8)))
    one.send([b"nameless"], 0, Place(b"/dev/log", ("fs", 8)))
    one.bind(Place(b"\0me"))
    one.connect(Place(b"/dev/log", ("fs", 8)))
    one.send([b"named"], 0)
    assert server.readable() == 8
    assert [read_from(server), read_from(server)] == [(b"nameless", b""), (b"named", b"\0me")]
    server.close()
    with pytest.raises(ConnectionRefusedError):
        one.send([b"late"], 0)
    one.close()


def test_full_mailbox_makes_the_sender_wait(web: IsolatedStack) -> None:
    one, two = pair(web, socket.SOCK_DGRAM)
    with pytest.raises(Crowded):
        for _ in range(10_000):
            one.send([bytes(1000)], 0)
    assert len(receive(two, 1000)[0]) == 1000
    assert one.send([bytes(1000)], 0) == 1000
    one.close()
    two.close()


def test_socket_of_the_host_is_connected_for_real(web: IsolatedStack, tmp_path: Path) -> None:
    path = tmp_path / "host.sock"
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen(1)
    handle = os.open(path, os.O_PATH)
    one = stream(web)
    one.connect(Place(b"/var/run/host.sock", ("host", 1), handle))
    os.close(handle)
    other, _ = server.accept()
    one.send([b"ping"], 0)
    assert other.recv(10) == b"ping"
    with pytest.raises(OSError) as caught:
        one.send([b"x"], 0, None, [Passed()])
    assert caught.value.errno == errno.EOPNOTSUPP
    reading, writing = os.pipe()
    os.write(writing, b"12345678")
    socket.send_fds(other, [b"real"], [reading, writing])
    data, found = receive(one)
    assert (data, found.rights) == (b"real", ())
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        assert pipe.read() == b"12345678"
    for sock in (server, other, one):
        sock.close()


def test_shutdown_of_datagrams(web: IsolatedStack) -> None:
    one, two = pair(web, socket.SOCK_DGRAM)
    two.shutdown(socket.SHUT_RD)
    poller = select.poll()
    poller.register(two.fd, select.POLLIN)
    assert poller.poll(0) == [(two.fd, select.POLLIN)]
    assert receive(two)[0] == b""
    one.shutdown(socket.SHUT_WR)
    with pytest.raises(BrokenPipeError):
        one.send([b"x"], 0)
    one.close()
    two.close()


def test_host_stacks_have_them_too(switch: Switch) -> None:
    one, two = pair(Stack.host(), socket.SOCK_STREAM)
    one.send([b"x"], 0)
    assert read(two) == b"x"
    one.close()
    two.close()
