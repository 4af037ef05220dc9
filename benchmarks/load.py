"""A closed-loop HTTP/1.1 load generator over a Unix socket: each connection has one request under way, as a client has.

It does as little as it can in Python (one send, one receive, one search a request) and reports what share of a core it
took, so that a result that measures the generator is seen as such.
"""

from __future__ import annotations

import re
import selectors
import socket
import time
from dataclasses import dataclass

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
RECEIVE = 1 << 20


class BadAnswer(RuntimeError):
    """The engine answered something else than 200, or closed the connection."""


@dataclass(frozen=True)
class Load:
    """What a run gave: requests a second, the latencies in seconds (sorted), and the generator's share of one core."""

    rate: float
    latencies: list[float]
    share: float

    def percentile(self, part: float) -> float:
        return self.latencies[min(len(self.latencies) - 1, int(part * len(self.latencies)))]


class _Connection:
    def __init__(self, path: str, request: bytes) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.request = request
        self.buffer = b""
        self.sent = 0.0

    def send(self) -> None:
        self.sent = time.perf_counter()
        self.socket.sendall(self.request)

    def receive(self) -> bool:
        """Reads what is there; whether the answer is whole."""
        data = self.socket.recv(RECEIVE)
        if not data:
            raise BadAnswer("the connection was closed")
        self.buffer += data
        if not _whole(self.buffer):
            return False
        if not self.buffer.startswith(b"HTTP/1.1 200 "):
            raise BadAnswer(self.buffer[:200].decode(errors="replace"))
        self.buffer = b""
        return True


def run(path: str, target: str, *, connections: int, seconds: float) -> Load:
    """Asks for `target` over `connections` kept connections for so many seconds. Raises BadAnswer, OSError."""
    request = f"GET {target} HTTP/1.1\r\nHost: docker\r\n\r\n".encode()
    latencies: list[float] = []
    with selectors.EpollSelector() as selector:
        pool = [_Connection(path, request) for _ in range(connections)]
        for connection in pool:
            selector.register(connection.socket, selectors.EVENT_READ, connection)
            connection.send()
        start, busy = time.perf_counter(), time.process_time()
        while time.perf_counter() - start < seconds:
            for key, _ in selector.select(1):
                _answered(key.data, latencies)
        spent, busy = time.perf_counter() - start, time.process_time() - busy
        for connection in pool:
            connection.socket.close()
    return Load(len(latencies) / spent, sorted(latencies), busy / spent)


def _answered(connection: _Connection, latencies: list[float]) -> None:
    if connection.receive():
        latencies.append(time.perf_counter() - connection.sent)
        connection.send()


def _whole(buffer: bytes) -> bool:
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        return False
    head = buffer[:end]
    length = LENGTH.search(head)
    if length:
        return len(buffer) >= end + 4 + int(length[1])
    return bool(CHUNKED.search(head)) and buffer.endswith(b"0\r\n\r\n")
