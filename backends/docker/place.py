"""Where the engine listens, and raw connections to it."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from backends.api.errors import Unavailable

CONNECT_SECONDS = 5.0
PIECE = 1 << 18


@dataclass(frozen=True)
class Place:
    """An engine's address: a Unix socket's ``path``, or ``host`` and ``port`` (plain TCP)."""

    path: str = ""
    host: str = ""
    port: int = 0

    @classmethod
    def parse(cls, text: str) -> Place:
        """Read ``unix:///path`` or ``tcp://host:port``. Raises ValueError."""
        parts = urlsplit(text)
        if parts.scheme == "unix" and parts.path:
            return cls(path=parts.path)
        if parts.scheme == "tcp" and parts.hostname and parts.port:
            return cls(host=parts.hostname, port=parts.port)
        raise ValueError(f"{text!r} is neither unix:///path nor tcp://host:port")

    def __str__(self) -> str:
        return f"unix://{self.path}" if self.path else f"tcp://{self.host}:{self.port}"

    async def connect(self) -> Connection:
        """Return a new connection. Raises Unavailable, which names the engine and the reason."""
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                return Connection(await self._open())
        except (OSError, TimeoutError) as error:
            reason = getattr(error, "strerror", None) or str(error) or "no answer in time"
            raise Unavailable(f"cannot connect to the Docker engine at {self}: {reason}") from error

    async def _open(self) -> socket.socket:
        loop = asyncio.get_running_loop()
        if self.path:
            family, address = socket.AF_UNIX, self.path
        else:
            found = await loop.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
            family, address = found[0][0], found[0][4]  # type: ignore[assignment]
        connection = socket.socket(family, socket.SOCK_STREAM)
        try:
            connection.setblocking(False)
            await loop.sock_connect(connection, address)
        except BaseException:
            connection.close()
            raise
        return connection


class Connection:
    """A :class:`backends.api.engine.Stream` that is a socket.

    Plain socket calls and no transport: an engine may answer early and refuse the rest of a request, and a transport
    whose writing failed would drop the answer with it. Here each direction ends by itself.
    """

    tty = False

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._loop = asyncio.get_running_loop()

    async def read(self) -> bytes:
        """Return some bytes, b"" at the end. Raises Unavailable when the connection broke."""
        try:
            return await self._loop.sock_recv(self._socket, PIECE)
        except OSError as error:
            raise Unavailable(f"the Docker engine broke the connection: {error.strerror}") from error

    async def write(self, data: bytes) -> None:
        """Send; waits while the engine does not read. Raises Unavailable when it takes no more."""
        try:
            await self._loop.sock_sendall(self._socket, data)
        except OSError as error:
            raise Unavailable(f"the Docker engine takes no more: {error.strerror}") from error

    async def write_eof(self) -> None:
        """Close our sending side."""
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            return  # closed from the other side already

    async def close(self) -> None:
        """Close both sides, once what still waits on the socket has heard of its cancellation."""
        self._loop.call_soon(self._socket.close)
