"""The frontend over the peer engine, listening on a Unix socket, and a client that sends exactly what it is told."""

from __future__ import annotations

import array
import asyncio
import fcntl
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uvicorn.server import ServerState

from frontend.__main__ import HEADERS, configuration
from frontend.app import Application
from frontend.server import HijackProtocol
from tests.backends.api.peer import Peer

SIOCOUTQ = 0x5411
PATIENCE = 5.0


@dataclass(frozen=True)
class Answer:
    """An HTTP answer; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def message(self) -> str:
        found: str = self.json["message"]
        return found


class Wire:
    """A client's socket."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._loop = asyncio.get_running_loop()
        self._unread = b""

    async def send(self, data: bytes) -> None:
        await asyncio.wait_for(self._loop.sock_sendall(self.socket, data), PATIENCE)

    async def flushed(self) -> None:
        """Wait until the server has read all that was sent."""
        unread = array.array("i", [1])
        while unread[0]:
            await asyncio.sleep(0)
            fcntl.ioctl(self.socket.fileno(), SIOCOUTQ, unread)

    def end(self) -> None:
        self.socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.socket.close()

    async def receive(self) -> bytes:
        """Some bytes, b"" at the end."""
        if self._unread:
            data, self._unread = self._unread, b""
            return data
        return await asyncio.wait_for(self._loop.sock_recv(self.socket, 65536), PATIENCE)

    async def exactly(self, size: int) -> bytes:
        data, self._unread = self._unread, b""
        while len(data) < size:
            part = await self.receive()
            assert part, f"the connection ended after {data!r}"
            data += part
        data, self._unread = data[:size], data[size:]
        return data

    async def rest(self) -> bytes:
        data = b""
        while part := await self.receive():
            data += part
        return data

    async def head(self) -> tuple[int, dict[str, str]]:
        """The status and headers of the next answer."""
        data = b""
        while b"\r\n\r\n" not in data:
            part = await self.receive()
            assert part, f"the connection ended after {data!r}"
            data += part
        head, _, self._unread = data.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        return int(first.split()[1]), {name.lower(): value for name, value in headers.items()}

    async def answer(self, method: str = "GET") -> Answer:
        """The next answer, chunked or with its length."""
        status, headers = await self.head()
        if method == "HEAD" or status in (204, 304):
            return Answer(status, headers, b"")
        if headers.get("transfer-encoding") == "chunked":
            return Answer(status, headers, b"".join([part async for part in self.chunks()]))
        return Answer(status, headers, await self.exactly(int(headers["content-length"])))

    async def chunks(self) -> AsyncIterator[bytes]:
        while part := await self.chunk():
            yield part

    async def chunk(self) -> bytes:
        size = b""
        while not size.endswith(b"\r\n"):
            size += await self.exactly(1)
        data = await self.exactly(int(size, 16) + 2)
        return data[:-2]


class Site:
    """A running frontend."""

    address: tuple[str, int]

    def __init__(self, path: Path, state: ServerState) -> None:
        self.path, self.state = path, state
        self._open: list[Wire] = []

    async def connect(self) -> Wire:
        connection = socket.socket(socket.AF_UNIX)
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, str(self.path))
        wire = Wire(connection)
        self._open.append(wire)
        return wire

    async def call(self, method: str, target: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        """One request on a connection of its own. A body that is not bytes is sent as JSON."""
        wire = await self.connect()
        await wire.send(request(method, target, body, headers))
        answer = await wire.answer(method)
        wire.close()
        return answer

    async def calm(self) -> None:
        """Wait until no request is being served."""
        if self.state.tasks:
            _, running = await asyncio.wait(self.state.tasks, timeout=PATIENCE)
            assert not running

    def close(self) -> None:
        for wire in self._open:
            wire.close()


def request(method: str, target: str, body: Any = None, headers: dict[str, str] | None = None) -> bytes:
    """An HTTP request."""
    fields = {"Host": "docker"}
    data = b""
    if body is not None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        fields["Content-Length"] = str(len(data))
        if not isinstance(body, bytes):
            fields["Content-Type"] = "application/json"
    fields |= headers or {}
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


@asynccontextmanager
async def frontend(engine: Peer, path: Path, tcp: socket.socket | None = None) -> AsyncIterator[Site]:
    """Serve ``engine`` at ``path``, and at ``tcp``; everything is over on the way out."""
    async with serving(Application(engine, "peer"), path, tcp) as site:  # type: ignore[arg-type]
        yield site


@asynccontextmanager
async def serving(application: Any, path: Path, tcp: socket.socket | None = None) -> AsyncIterator[Site]:
    """The same for an ASGI application."""
    config = configuration(application)
    config.load()
    state = ServerState()
    state.default_headers = [(name.encode(), value.encode()) for name, value in HEADERS]
    loop = asyncio.get_running_loop()
    servers = [await loop.create_unix_server(lambda: HijackProtocol(config, state, {}, loop), path)]
    site = Site(path, state)
    if tcp is not None:
        servers.append(await loop.create_server(lambda: HijackProtocol(config, state, {}, loop), sock=tcp))
        site.address = tcp.getsockname()
    try:
        yield site
    finally:
        site.close()
        for server in servers:
            server.close()
        for task in state.tasks:
            task.cancel()
        if state.tasks:
            await asyncio.wait(state.tasks, timeout=PATIENCE)
