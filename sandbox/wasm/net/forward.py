"""Asking the host's own name servers, for names that are not of the containers."""

from __future__ import annotations

import secrets
import socket
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandbox.wasm.net.loop import Loop

PER_SERVER = 1.5
"""Seconds for one server; then the next is asked. Short, for all to be heard within a client's patience (5 s)."""
_MAX_SERVERS = 3
RESOLV_CONF = Path("/etc/resolv.conf")
SYSTEMD_RESOLV_CONF = Path("/run/systemd/resolve/resolv.conf")

Reply = Callable[[bytes], None]


def nameservers(path: Path = RESOLV_CONF) -> list[str]:
    """The addresses on the nameserver lines of a resolv.conf; none when there is no such file."""
    try:
        lines = path.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return []
    fields = (line.split() for line in lines)
    return [field[1] for field in fields if len(field) > 1 and field[0] == "nameserver"]


class Query:
    """One question on its way through a list of servers. Calls `reply` or `failed`, once, from the loop's thread."""

    def __init__(
        self, loop: Loop, servers: Sequence[str], query: bytes, reply: Reply, failed: Callable[[], None], port: int = 53
    ) -> None:
        self._loop = loop
        self._servers = list(servers[:_MAX_SERVERS])
        self._asked = query[:2]
        self._ident = secrets.token_bytes(2)
        self._query = self._ident + query[2:]
        self._reply = reply
        self._failed = failed
        self._port = port
        self._io: socket.socket | None = None
        self._done = False
        loop.later(0, self._next)

    def _next(self) -> None:
        self._drop()
        if self._done:
            return
        while self._servers:
            server = self._servers.pop(0)
            if self._ask(server):
                self._timer = self._loop.later(PER_SERVER, self._next)
                return
        self._done = True
        self._failed()

    def _ask(self, server: str) -> bool:
        family = socket.AF_INET6 if ":" in server else socket.AF_INET
        io = socket.socket(family, socket.SOCK_DGRAM)
        io.setblocking(False)
        try:
            io.connect((server, self._port))
            io.send(self._query)
        except OSError:
            io.close()
            return False
        self._io = io
        self._loop.add(io.fileno(), self._heard)
        return True

    def _heard(self) -> None:
        if self._io is None:
            return
        try:
            answer = self._io.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            self._timer.cancel()
            self._next()
            return
        if len(answer) < 12 or answer[:2] != self._ident:
            return
        self._timer.cancel()
        self._done = True
        self._drop()
        self._reply(self._asked + answer[2:])

    def _drop(self) -> None:
        if self._io is not None:
            self._loop.remove(self._io.fileno())
            self._io.close()
            self._io = None


def ask_stream(server: str, query: bytes, deadline: float, port: int = 53) -> bytes:
    """One question over TCP, waiting at most `deadline` seconds for each step; OSError."""
    with socket.create_connection((server, port), timeout=deadline) as io:
        io.sendall(struct.pack("!H", len(query)) + query)
        with io.makefile("rb") as stream:
            head = stream.read(2)
            size = int.from_bytes(head, "big")
            answer = stream.read(size)
    if len(head) < 2 or len(answer) < size:
        raise ConnectionError("the name server closed the connection")
    return answer
