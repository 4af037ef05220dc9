"""Clients that vanish, half-close or never read, at every kind of stream: nothing of them stays behind."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from tests.faults.place import BASE, HOST, Place, open_stream, read_all, read_until
from tests.faults.tars import config, docker_archive, entry, tar
from tests.waiting import eventually

UPGRADE = b"Connection: Upgrade\r\nUpgrade: tcp\r\n"
BIG = tar(entry("zeros", bytes(8 << 20)))
ROUNDS = 40


@pytest.fixture
def talker(site: Place) -> Iterator[Place]:
    """A container that writes lines for ever, slowly enough, and reads nothing."""
    site.started("talker", "sh", "-c", "while :; do echo line; usleep 2000; done")
    eventually(lambda: b"line" in site.request("GET", "/containers/talker/logs?stdout=1&tail=1").body)
    yield site
    assert site.state("talker")["Running"] is True
    site.remove("talker")


def vanish(connection: socket.socket) -> None:
    """Close with everything unread, at once."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


STREAMS = {
    "attach": b"POST /containers/talker/attach?stream=1&stdout=1&stderr=1",
    "attach with the log": b"POST /containers/talker/attach?stream=1&stdout=1&logs=1",
    "logs": b"GET /containers/talker/logs?stdout=1&follow=1",
    "events": b"GET /events?since=1",
    "stats": b"GET /containers/talker/stats",
    "export": b"GET /containers/talker/export",
    "archive": b"GET /containers/talker/archive?path=/",
    "save": b"GET /images/%s/get" % BASE.encode(),
}


@pytest.mark.parametrize("kind", [*STREAMS])
def test_clients_that_vanish_in_a_stream(talker: Place, kind: str) -> None:
    for _ in range(ROUNDS):
        connection = open_stream(talker, STREAMS[kind])
        read_until(connection, b"\r\n\r\n")
        vanish(connection)


@pytest.mark.parametrize("kind", [*STREAMS])
def test_clients_that_vanish_before_an_answer(talker: Place, kind: str) -> None:
    for _ in range(ROUNDS):
        vanish(open_stream(talker, STREAMS[kind]))


def test_clients_that_vanish_while_they_wait(talker: Place) -> None:
    for condition in (b"not-running", b"next-exit", b"removed"):
        for _ in range(ROUNDS):
            connection = open_stream(talker, b"POST /containers/talker/wait?condition=" + condition)
            read_until(connection, b"\r\n\r\n")
            vanish(connection)


def ended(place: Place, exec_id: str) -> bool:
    return not place.request("GET", f"/exec/{exec_id}/json").json["Running"]


def test_clients_that_vanish_in_an_exec(talker: Place) -> None:
    """Its process ends by itself, as with Docker: here at the end of its input."""
    for upgrade in (b"", UPGRADE):
        for _ in range(10):
            exec_id = talker.request(
                "POST", "/containers/talker/exec",
                {"Cmd": ["cat"], "AttachStdin": True, "AttachStdout": True, "AttachStderr": True},
            ).json["Id"]  # fmt: skip
            connection = talker.connect()
            connection.sendall(
                b"POST /exec/%s/start HTTP/1.1\r\n" % exec_id.encode() + HOST + upgrade
                + b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}hello"
            )  # fmt: skip
            read_until(connection, b"hello")
            vanish(connection)
            eventually(partial(ended, talker, exec_id))
    top = talker.request("GET", "/containers/talker/top").json["Processes"]
    assert [row for row in top if "cat" in row[-1]] == []


UPLOADS = {
    "load": b"POST /images/load",
    "import": b"POST /images/create?fromSrc=-&repo=half",
    "put archive": b"PUT /containers/bystander/archive?path=/tmp",
}


@pytest.mark.parametrize("kind", [*UPLOADS])
def test_uploads_that_break_off(site: Place, kind: str) -> None:
    """Nothing of a half-sent image comes to be; of a copy, whole files at most."""
    for size in (0, 1, 511, 512, 100_000, 4 << 20):
        for chunked in (False, True):
            for _ in range(3):
                connection = site.connect()
                head = b"Transfer-Encoding: chunked\r\n" if chunked else b"Content-Length: %d\r\n" % len(BIG)
                connection.sendall(UPLOADS[kind] + b" HTTP/1.1\r\n" + HOST + head + b"\r\n")
                if chunked:
                    connection.sendall(b"%x\r\n" % len(BIG))
                connection.sendall(BIG[:size])
                vanish(connection)
    site.exec("bystander", "rm", "-rf", "/tmp/zeros")


def test_uploads_that_break_off_at_a_half_close(site: Place) -> None:
    for start in UPLOADS.values():
        request = start + b" HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % len(BIG) + BIG[: 1 << 20]
        assert site.sent(request, half_close=True) == b""
    site.exec("bystander", "rm", "-rf", "/tmp/zeros")


def test_a_load_that_breaks_off_in_its_second_layer(site: Place) -> None:
    layers = [tar(entry(name, bytes(1 << 20))) for name in "ab"]
    archive = docker_archive("half", config(*layers), *layers)
    for share in (3, 5, 9):
        connection = site.connect()
        connection.sendall(UPLOADS["load"] + b" HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % len(archive))
        connection.sendall(archive[: len(archive) * share // 10])
        vanish(connection)
    assert site.request("GET", "/images/half/json").status == 404


def test_half_closed_connections_get_their_answer(talker: Place) -> None:
    head, _, body = talker.sent(b"GET /_ping HTTP/1.1\r\n" + HOST + b"\r\n", half_close=True).partition(b"\r\n\r\n")
    assert (head.split(b"\r\n")[0], body) == (b"HTTP/1.1 200 OK", b"OK")
    for request, wanted in ((STREAMS["logs"], b"line"), (STREAMS["attach"], b"line"), (STREAMS["events"], b"start")):
        with open_stream(talker, request) as connection:
            connection.shutdown(socket.SHUT_WR)
            read_until(connection, wanted)
            read_until(connection, wanted if request != STREAMS["events"] else b"")


def test_input_after_a_half_close_is_whole(site: Place) -> None:
    site.create("counter", "wc", "-c", OpenStdin=True, StdinOnce=True, AttachStdin=True)
    data = bytes(1 << 20)
    connection = open_stream(site, b"POST /containers/counter/attach?stream=1&stdin=1&stdout=1")
    read_until(connection, b"\r\n\r\n")

    def send() -> None:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)

    sender = threading.Thread(target=send)
    sender.start()
    site.start("counter")
    assert read_all(connection) == b"\x01\0\0\0\0\0\0\x08" + b"1048576\n"
    sender.join()
    connection.close()
    assert site.wait("counter") == 0
    site.remove("counter")


class Peaks:
    """The highest memory of the processes while something goes on."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self.mb: dict[str, float] = {}
        self._before = {name: place.rss_mb(name) for name in ("frontend", "memory")}

    def look(self) -> None:
        for name, before in self._before.items():
            self.mb[name] = max(self.mb.get(name, 0), self._place.rss_mb(name) - before)

    def check(self, limit: float) -> None:
        assert {name: mb for name, mb in self.mb.items() if mb > limit} == {}


def unread(place: Place, request: bytes, *, until: Callable[[], bool]) -> None:
    """A client that reads nothing while ``until`` is not so, beside others that are served."""
    peaks = Peaks(place)
    with open_stream(place, request) as connection:
        read_until(connection, b"\r\n\r\n")
        while not until():
            peaks.look()
            began = time.monotonic()
            assert place.request("GET", "/info").status == 200
            assert time.monotonic() - began < 5
    peaks.check(64)


def held(place: Place, name: str) -> Callable[[], bool]:
    """Whether a program has been making no progress, as it counts it in a file, for a second."""
    seen: list[tuple[bytes, float]] = []

    def still() -> bool:
        count = place.exec(name, "cat", "/count")[1]
        if not seen or seen[-1][0] != count:
            seen.append((count, time.monotonic()))
        return time.monotonic() - seen[-1][1] > 1

    return still


def test_a_client_that_never_reads_holds_the_program_back(site: Place) -> None:
    script = "i=0; while :; do dd if=/dev/zero bs=1M count=1 2>/dev/null; i=$((i+1)); echo $i >/count; done"
    site.create("flood", "sh", "-c", f"sleep 0.1; {script}", host={"LogConfig": {"Type": "none"}})
    request = b"POST /containers/flood/attach?stream=1&stdout=1"
    with open_stream(site, request) as connection:
        read_until(connection, b"\r\n\r\n")
        site.start("flood")
        peaks = Peaks(site)
        still = held(site, "flood")
        while not still():
            peaks.look()
        peaks.check(64)
        before = site.exec("flood", "cat", "/count")[1]
    eventually(lambda: site.exec("flood", "cat", "/count")[1] != before)  # it goes on without the client
    site.remove("flood")


def test_a_gigabyte_to_a_client_that_reads(site: Place) -> None:
    site.create(
        "giga", "sh", "-c", "dd if=/dev/zero bs=64k count=16384 2>/dev/null", host={"LogConfig": {"Type": "none"}}
    )
    peaks = Peaks(site)
    with open_stream(site, b"POST /containers/giga/attach?stream=1&stdout=1") as connection:
        read_until(connection, b"\r\n\r\n")
        site.start("giga")
        size = 0
        while data := connection.recv(1 << 20):
            size += len(data)
            if size % 100 < 4:
                peaks.look()
    assert 1 << 30 <= size < (1 << 30) + (16 << 20)  # with the frames' heads
    assert site.wait("giga") == 0
    peaks.check(64)
    site.remove("giga")


def test_logs_that_nobody_reads_hold_nobody(site: Place) -> None:
    """Who follows the log is fed from the file: the program goes on, memory stays."""
    site.started(
        "logger", "sh", "-c", "i=0; while [ $i -lt 60 ]; do dd if=/dev/zero bs=1M count=1 2>/dev/null; i=$((i+1)); done"
    )
    done = lambda: not site.state("logger")["Running"]  # noqa: E731
    unread(site, b"GET /containers/logger/logs?stdout=1&follow=1", until=done)
    assert site.wait("logger") == 0
    site.remove("logger")


@pytest.mark.parametrize("path", [b"/containers/filled/archive?path=/zeros", b"/containers/filled/export"])
def test_downloads_that_nobody_reads(site: Place, path: bytes) -> None:
    site.started("filled", "sh", "-c", "dd if=/dev/zero of=/zeros bs=100k count=2000")
    assert site.wait("filled") == 0
    asked = iter(range(30))
    unread(site, b"GET " + path, until=lambda: next(asked, None) is None)
    site.remove("filled")


def test_uploads_that_nobody_takes(site: Place) -> None:
    """Input for a program that reads nothing stops at the client."""
    site.started("deaf", "sleep", "1000", OpenStdin=True)
    peaks = Peaks(site)
    with open_stream(site, b"POST /containers/deaf/attach?stream=1&stdin=1") as connection:
        read_until(connection, b"\r\n\r\n")
        connection.settimeout(2)
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < 200 << 20:
                sent += connection.send(bytes(1 << 16))
        peaks.look()
    assert sent < 64 << 20
    peaks.check(64)
    site.remove("deaf")


def test_many_clients_at_once_that_all_vanish(talker: Place) -> None:
    for request in (STREAMS["attach"], STREAMS["logs"], STREAMS["events"]):
        connections = [open_stream(talker, request) for _ in range(150)]
        for connection in connections:
            read_until(connection, b"\r\n\r\n")
        for connection in connections:
            vanish(connection)
