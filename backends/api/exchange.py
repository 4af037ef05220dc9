"""The client's half of one request and answer of the engine API, on a connection that serves one after another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httptools
import msgspec

from backends.api import http as wire
from backends.api.bytestream import ByteStream, Inbox, Writable
from backends.api.errors import error_for
from backends.api.http import Operation

_decode_failure = msgspec.json.Decoder(wire.Failure).decode


class Exchange(Writable):
    """One connection to a worker. Everything here raises OSError when the connection breaks.

    ``inbox`` holds the answer's body; ``complete`` says that all of it has arrived, so the connection may serve again
    unless it is ``last``.
    """

    def __init__(self) -> None:
        super().__init__()
        self._parser: Any = None
        self._status: asyncio.Future[int] | None = None
        self._early = b""
        self.headers: dict[bytes, bytes] = {}
        self.complete = False

    # -- asyncio's side

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._broken(exc or ConnectionResetError("the connection was closed"))

    def data_received(self, data: bytes) -> None:
        if self._status is None or self.complete:
            self.transport.abort()  # nobody asked
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._early = data[upgrade.args[0] :]
            self._status.set_result(101)
        except httptools.HttpParserError as error:
            self._broken(ConnectionError(f"malformed answer: {error}"))
            self.transport.abort()

    def _broken(self, error: Exception) -> None:
        if self._status is not None:
            if not self._status.done():
                self._status.set_exception(error)
                self._status.exception()  # retrieved here: the caller may have been cancelled
            self.inbox.end(error)

    # -- the parser's side

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        if self._status is not None and self._parser.get_status_code() != 101:
            self._status.set_result(self._parser.get_status_code())

    def on_body(self, data: bytes) -> None:
        self.inbox.feed(data)

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() != 101:
            self.complete = True
            self.inbox.end()

    # -- the caller's side

    @property
    def last(self) -> bool:
        """The worker answered before it had all of the request and closes the connection, or nobody reads from it."""
        return self.headers.get(b"connection") == b"close" or self.inbox.paused

    async def call(self, operation: Operation, parameters: bytes, upload: AsyncIterator[bytes] | None) -> None:
        """Send the request and wait for the answer's head. Raises the EngineError that the operation raised."""
        path = f"{wire.PREFIX}{operation.name}"
        if upload is None:
            await self.post(path, parameters)
        else:
            fields = f"{wire.PARAMETERS_HEADER}: {wire.to_header(parameters)}\r\nTransfer-Encoding: chunked"
            self._begin(path, fields, b"")
            await self._send(upload)
        if wire.ERROR_HEADER.lower().encode() in self.headers:
            failure = _decode_failure(await self.body())
            raise error_for(failure.kind, failure.message)

    async def post(self, path: str, body: bytes) -> None:
        """Send ``body`` to ``path`` and wait for the answer's head."""
        await self._begin(path, f"Content-Length: {len(body)}", body)

    def _begin(self, path: str, fields: str, body: bytes) -> asyncio.Future[int]:
        self._parser = httptools.HttpResponseParser(self)
        self._status = asyncio.get_running_loop().create_future()
        self.headers, self.complete = {}, False
        self.inbox = Inbox(self.transport)
        self.transport.write(f"POST {path} HTTP/1.1\r\nHost: worker\r\n{fields}\r\n\r\n".encode() + body)
        return self._status

    async def _send(self, upload: AsyncIterator[bytes]) -> None:
        """Send ``upload`` until its end or an early answer, whichever comes first."""
        assert self._status is not None
        sender = asyncio.create_task(self._send_chunks(upload))
        try:
            await asyncio.wait((sender, self._status), return_when=asyncio.FIRST_COMPLETED)
            if not self._status.done():
                sender.result()
            await self._status
        finally:
            sender.cancel()
            await asyncio.wait((sender,))

    async def _send_chunks(self, upload: AsyncIterator[bytes]) -> None:
        async for data in upload:
            if data:
                self.transport.writelines((b"%x\r\n" % len(data), data, b"\r\n"))
                await self.drain()
        self.transport.write(b"0\r\n\r\n")

    async def body(self) -> bytes:
        """Return what is left of the answer."""
        first = await self.inbox.read()
        if self.inbox.ended and self.inbox.empty and self.complete:
            return first
        return b"".join([first, *[part async for part in self.inbox]])

    def header(self, name: str) -> bytes:
        """Return a header's JSON."""
        return wire.from_header(self.headers[name.lower().encode()])

    def upgrade(self) -> ByteStream:
        """Return the connection as raw bytes, after a 101."""
        stream = ByteStream(self._early)
        stream.connection_made(self.transport)
        self.transport.set_protocol(stream)
        return stream
