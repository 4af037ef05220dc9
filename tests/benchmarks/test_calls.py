"""What the benchmarks read from an engine without a client between, and the order in which they measure."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks import calls
from benchmarks.__main__ import in_turn
from benchmarks.metrics import table

Serve = Callable[[bytes], str]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """The path of a socket that answers one request with these bytes and closes."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()

        def answer(data: bytes) -> str:
            threading.Thread(target=_answer, args=(listener, data), daemon=True).start()
            return str(listener.getsockname())

        yield answer


def _answer(listener: socket.socket, data: bytes) -> None:
    connection, _ = listener.accept()
    with connection:
        request = b""
        while not _whole(request):
            request += connection.recv(65536)
        connection.sendall(data)


def _whole(request: bytes) -> bool:
    """Whether the request is here to its end: an answer before that closes the connection on its sender."""
    head, end, body = request.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    return bool(end) and len(body) >= (int(length[1]) if length else 0)


def test_a_failure_is_no_answer(serve: Serve) -> None:
    path = serve(b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone")
    with pytest.raises(AssertionError, match="gone"):
        calls.create(path, {})


def test_created(serve: Serve) -> None:
    path = serve(b'HTTP/1.1 201 Created\r\nContent-Length: 11\r\n\r\n{"Id":"ab"}')
    assert calls.create(path, {}) == "ab"


def test_frames_are_found_whatever_the_chunks(serve: Serve) -> None:
    stream = b"\1\0\0\0\0\0\0\3one\1\0\0\0\0\0\0\5three"
    pieces = [stream[:5], stream[5:13], stream[13:]]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    path = serve(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")
    assert list(calls.frames(path, "/containers/x/logs")) == [b"one", b"three"]


def test_a_taken_over_connection_begins_behind_the_head(serve: Serve) -> None:
    path = serve(b"HTTP/1.1 101 UPGRADED\r\nUpgrade: tcp\r\n\r\nfirst")
    with calls.take_over(path, "/containers/x/attach") as connection:
        assert connection.recv(64, socket.MSG_WAITALL) == b"first"


def test_what_is_measured_idle_comes_first_and_many_containers_last() -> None:
    names = [metric.name for metric in in_turn(table())]
    assert names[:4] == ["frontend_rss_mb", "worker_rss_mb", "up_ready_s", "attach_1000_rss_mb"]
    assert names[-2:] == ["ps_p99_ms_200", "ps_p99_ms_1000"]
