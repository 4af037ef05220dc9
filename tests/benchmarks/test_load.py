"""The load generator counts whole answers only, however they arrive."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import load

SECONDS = 0.5


def _serve(listener: socket.socket, pieces: list[bytes]) -> None:
    connection, _ = listener.accept()
    with connection, contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the client ends in mid-answer
        while connection.recv(65536):
            for piece in pieces:
                connection.sendall(piece)


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        yield listener


def _run(listener: socket.socket, *pieces: bytes) -> load.Load:
    threading.Thread(target=_serve, args=(listener, list(pieces)), daemon=True).start()
    return load.run(listener.getsockname(), "/", connections=1, seconds=SECONDS)


def test_length_given(listener: socket.socket) -> None:
    result = _run(listener, b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", b"ab", b"cd")
    assert len(result.latencies) > 3
    assert 0 < result.rate <= len(result.latencies) / SECONDS
    assert result.percentile(0.99) >= result.percentile(0.5) > 0


def test_chunked(listener: socket.socket) -> None:
    result = _run(listener, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n", b"ab\r\n0\r\n\r\n")
    assert len(result.latencies) > 3


def test_failure_is_not_counted(listener: socket.socket) -> None:
    with pytest.raises(load.BadAnswer, match="500"):
        _run(listener, b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
