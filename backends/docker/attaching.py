"""Streams of containers and execs: the engine hands its connection over after an HTTP answer's head."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from backends.api.engine import Stream
from backends.api.errors import Unavailable
from backends.docker.daemon import error_of
from backends.docker.place import Connection, Place


async def attach(place: Place, path: str, query: dict[str, Any], body: Any, tty: bool) -> Stream:
    """POST and return the connection. Raises the error that the engine answers."""
    connection = await place.connect()
    try:
        await connection.write(_request(path, query, body))
        head, rest = await _head(connection)
        status = int(head.split(b" ", 2)[1])
        if status in (101, 200):
            return Handed(connection, rest, tty)
        while data := await connection.read():
            rest += data
        raise error_of(status, rest)
    except BaseException:
        await connection.close()
        raise


def _request(path: str, query: dict[str, Any], body: Any) -> bytes:
    flags = {key: int(value) if isinstance(value, bool) else value for key, value in query.items() if value is not None}
    data = json.dumps(body).encode() if body is not None else b""
    return (
        f"POST {path}?{urlencode(flags)} HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    ).encode() + data


async def _head(connection: Connection) -> tuple[bytes, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = await connection.read()
        if not piece:
            raise Unavailable("the Docker engine closed the connection without an answer")
        data += piece
    head, _, rest = data.partition(b"\r\n\r\n")
    return head, rest


class Handed:
    """The connection from behind the head on; see :class:`backends.api.engine.Stream`."""

    def __init__(self, connection: Connection, received: bytes, tty: bool) -> None:
        self._connection, self._received, self.tty = connection, received, tty
        self.write, self.write_eof, self.close = connection.write, connection.write_eof, connection.close

    async def read(self) -> bytes:
        """Return some bytes, b"" at the end."""
        if self._received:
            data, self._received = self._received, b""
            return data
        return await self._connection.read()
