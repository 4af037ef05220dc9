"""A worker's side of the engine API: an engine behind a Unix socket."""

from __future__ import annotations

import asyncio
import http
import itertools
import logging
import os
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httptools
import msgspec

from backends.api import handover
from backends.api import http as wire
from backends.api.bytestream import ByteStream, Inbox, Writable
from backends.api.engine import Download, Engine, Stream
from backends.api.errors import EngineError, InvalidArgument, NotFound
from backends.api.http import OPERATIONS, Answer, Operation
from backends.api.relay import relay
from backends.api.text import encode, legible

log = logging.getLogger(__name__)

LARGEST_PARAMETERS = 64 << 20
REMEMBERED_FAILURES = 256
FLUSH_SECONDS = 1.0
LINGER_SECONDS = 2.0
_CLOSE_GRACE = 5.0  # seconds that cancelled operations have to finish


async def serve(engine: Engine, socket_path: Path) -> Server:
    """Answer the engine API at ``socket_path`` (mode 0660) until the server is closed. Raises OSError (bind_socket)."""
    listener = wire.bind_socket(socket_path)
    return await Server(engine, socket_path, listener).start()


class Server:
    """A listening worker. ``close`` ends every operation that still runs."""

    def __init__(self, engine: Engine, path: Path, listener: socket.socket) -> None:
        self.engine, self.path = engine, path
        self.connections: set[_Connection] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self._listener, self._inode = listener, os.stat(path).st_ino
        self._boot, self._counter = secrets.token_hex(8), itertools.count()
        self._failures: dict[str, wire.Failure] = {}

    async def start(self) -> Server:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(lambda: _Connection(self), sock=self._listener, backlog=1024)
        return self

    async def close(self) -> None:
        """Stop listening, cancel what runs, close all connections, remove the socket."""
        wire.unlink_socket(self.path, self._inode)
        self._server.close()
        for task in list(self.tasks):
            task.cancel()
        if self.tasks:
            await asyncio.wait(self.tasks, timeout=_CLOSE_GRACE)
        for connection in list(self.connections):
            connection.transport.abort()

    def stream_id(self) -> str:
        return f"{self._boot}-{next(self._counter)}"

    def remember(self, stream_id: str, failure: wire.Failure) -> None:
        """Keep why a stream ended, for the client to ask."""
        if len(self._failures) >= REMEMBERED_FAILURES:
            del self._failures[next(iter(self._failures))]
        self._failures[stream_id] = failure

    def outcome(self, stream_id: str) -> wire.Failure | None:
        """Why a stream of this server ended, None = properly."""
        if not stream_id.startswith(self._boot):
            return wire.Failure("Unavailable", "the worker was restarted")
        return self._failures.pop(stream_id, None)


class _Connection(Writable):
    """One client connection: a request at a time, its operation a task that a disconnect cancels."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self._server = server
        self._parser: Any = httptools.HttpRequestParser(self)
        self._task: asyncio.Task[None] | None = None
        self._reset()

    def _reset(self) -> None:
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._operation: Operation | None = None
        self._body = bytearray()
        self._upload: Inbox | None = None
        self._started = self._complete = self._discarding = False
        self._last = False  # the answer has said that the connection is closed after it

    # -- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._server.connections.add(self)

    @property
    def unseen(self) -> bool:
        return self._upload is not None and self._upload.paused

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._server.connections.discard(self)
        if self._upload is not None:
            self._upload.end(ConnectionResetError("the client closed the connection"))
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            log.warning("request refused", extra={"reason": str(error)})
            self.transport.abort()
        self.abort_unseen()

    # -- the parser's side

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        if self._task is not None:
            raise ValueError("pipelined request")
        self._operation = OPERATIONS.get(self._url.decode("latin-1").removeprefix(wire.PREFIX))
        if self._operation is not None and self._operation.upload:
            self._upload = Inbox(self.transport)
            self._begin()

    def on_body(self, data: bytes) -> None:
        if self._discarding:
            return
        if self._upload is not None:
            self._upload.feed(data)
        elif len(self._body) + len(data) > LARGEST_PARAMETERS:
            raise ValueError("parameters are too large")
        else:
            self._body += data

    def on_message_complete(self) -> None:
        self._complete = True
        if self._discarding:
            self.transport.close()
        elif self._upload is not None:
            self._upload.end()
        else:
            self._begin()

    def _begin(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())
        self._server.tasks.add(self._task)
        self._task.add_done_callback(self._server.tasks.discard)

    # -- the operation's side

    async def _run(self) -> None:
        """The task edge: what fails here is answered and, when it is no EngineError, logged."""
        try:
            await self._perform()
        except asyncio.CancelledError:
            self.transport.abort()
            raise
        except ConnectionError:
            self.transport.abort()
        except Exception as error:
            self._fail(error)
        self._finish()

    def _finish(self) -> None:
        self._task = None
        if not self._last:
            self.transport.resume_reading()  # an upload that was not read to its end may have paused it
            self._reset()
        elif self._complete:
            self.transport.close()
        else:
            self._discard_upload()

    def _discard_upload(self) -> None:
        """The rest of an upload that nobody wants is read and dropped for a moment, then the connection is closed.

        Closing at once could break the client's writing before it has read the answer (RFC 9112, section 9.6).
        """
        self._discarding = True
        self.transport.resume_reading()
        asyncio.get_running_loop().call_later(LINGER_SECONDS, self.transport.abort)

    def _fail(self, error: Exception) -> None:
        failure = self._report(error)
        if self._started:
            self.transport.abort()
        else:
            status = EngineError.kinds[failure.kind].status
            self._answer(200 if status == 304 else status, encode(failure), failed=True)

    def _report(self, error: Exception) -> wire.Failure:
        """Return ``error`` for the wire; one that no operation should raise is logged."""
        if isinstance(error, EngineError):
            return wire.Failure(type(error).__name__, error.message)
        operation = self._operation.name if self._operation else self._url.decode("latin-1")
        log.error("operation failed", exc_info=error, extra={"operation": operation})
        return wire.Failure("EngineError", legible(f"internal error in {operation}: {type(error).__name__}: {error}"))

    async def _perform(self) -> None:
        operation = self._operation
        if operation is None:
            return self._answer_other()
        arguments = self._arguments(operation)
        result = await getattr(self._server.engine, operation.name)(**arguments)
        match operation.answer:
            case Answer.VALUE:
                self._answer(200, encode(result))
            case Answer.ITEMS:
                await self._send_items(result)
            case Answer.DOWNLOAD:
                await self._send_download(result)
            case Answer.STREAM:
                await self._carry(result)
        return None

    def _answer_other(self) -> None:
        path = self._url.decode("latin-1")
        if not path.startswith(wire.OUTCOMES):
            raise NotFound(f"no such operation: {path}")
        self._answer(200, encode(self._server.outcome(path.removeprefix(wire.OUTCOMES))))

    def _arguments(self, operation: Operation) -> dict[str, Any]:
        try:
            if self._upload is None:
                return operation.values(bytes(self._body))
            header = self._headers.get(wire.PARAMETERS_HEADER.lower().encode(), b"")
            return {**operation.values(wire.from_header(header)), str(operation.upload): self._upload}
        except (ValueError, msgspec.MsgspecError) as error:
            raise InvalidArgument(f"{operation.name}: {error}") from error

    def _answer(self, status: int, body: bytes, failed: bool = False) -> None:
        kind = f"\r\n{wire.ERROR_HEADER}: 1" if failed else ""
        self._head(status, f"Content-Type: application/json\r\nContent-Length: {len(body)}{kind}", body)

    def _head(self, status: int, headers: str, body: bytes = b"") -> None:
        """An answer that begins before the request has ended is the connection's last, and says so."""
        self._started = True
        phrase = http.HTTPStatus(status).phrase
        if not self._complete:
            self._last = True
            headers += "\r\nConnection: close"
        self.transport.write(f"HTTP/1.1 {status} {phrase}\r\n{headers}\r\n\r\n".encode("latin-1") + body)

    async def _send_items(self, items: AsyncIterator[Any]) -> None:
        async with wire.closing(items):
            self._head(200, "Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked")
            try:
                async for item in items:
                    await self._chunk(b'{"item":' + encode(item) + b"}\n")
            except (ConnectionError, asyncio.CancelledError):
                raise
            except Exception as error:
                await self._chunk(encode(wire.Line(error=self._report(error))) + b"\n")
        self._end_chunks()

    async def _send_download(self, download: Download) -> None:
        headers = f"{wire.RESULT_HEADER}: {wire.to_header(encode(download.meta))}"
        async with wire.closing(download.body):
            self._head(200, f"Content-Type: application/octet-stream\r\nTransfer-Encoding: chunked\r\n{headers}")
            async for data in download.body:
                if data:
                    await self._chunk(data)
        self._end_chunks()

    def _end_chunks(self) -> None:
        """Only when the source is closed: after the last chunk the client may send its next request."""
        self.transport.write(b"0\r\n\r\n")

    async def _chunk(self, data: bytes) -> None:
        self.transport.writelines((b"%x\r\n" % len(data), data, b"\r\n"))
        await self.drain()

    async def _carry(self, stream: Stream) -> None:
        """Hand the connection to ``stream`` until it ends or the client goes away."""
        head = wire.StreamHead(self._server.stream_id(), stream.tty)
        try:
            connection = self._take_over(head)
            client = await handover.taker(self.transport)
            self.transport.resume_reading()
            if client is None:
                await self._relay(connection, stream, head.id)
            else:
                await self._serve_client(connection, stream, client)
        finally:
            await stream.close()

    def _take_over(self, head: wire.StreamHead) -> ByteStream:
        """Send the head; what comes next is read by :func:`handover.taker`, not by the transport."""
        self.transport.pause_reading()
        self._head(
            101,
            "Connection: Upgrade\r\nUpgrade: sockerless-stream\r\n"
            f"{wire.STREAM_HEADER}: {wire.to_header(encode(head))}",
        )
        self._server.connections.discard(self)
        connection = ByteStream()
        connection.connection_made(self.transport)
        self.transport.set_protocol(connection)
        connection.on_lost = self._task.cancel if self._task else None
        return connection

    async def _serve_client(self, control: ByteStream, stream: Stream, connection: socket.socket) -> None:
        """Talk to the client that was handed over, until it, its process's output or the frontend is gone."""
        client, forward = await handover.take(control, connection)
        async with client:
            carrying = asyncio.create_task(relay(client, stream, forward))
            control.on_lost = carrying.cancel
            try:
                await asyncio.wait((carrying,))
            finally:
                carrying.cancel()
                await asyncio.wait((carrying,))
        control.on_lost = None
        if not carrying.cancelled():
            carrying.result()
        with suppress(ConnectionError):
            await control.write(handover.OVER)
        control.close()
        await control.wait_lost()

    async def _relay(self, connection: ByteStream, stream: Stream, stream_id: str) -> None:
        feeder = asyncio.create_task(_feed(connection, stream))
        try:
            while data := await stream.read():
                await connection.write(data)
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception as error:
            self._server.remember(stream_id, self._report(error))
        finally:
            if connection.lost:  # what the client sent before it went away still goes in
                await asyncio.wait((feeder,), timeout=FLUSH_SECONDS)
            feeder.cancel()
            await asyncio.wait((feeder,))  # an inbox has one reader at a time
        connection.on_lost = None
        connection.write_eof()
        with suppress(ConnectionError):
            while await connection.read():
                pass
        await connection.wait_lost()


async def _feed(connection: ByteStream, stream: Stream) -> None:
    """Input, from the client to the process. When the process no longer takes it, the rest is read and dropped."""
    with suppress(ConnectionError):
        try:
            async for data in connection.inbox:
                await stream.write(data)
            if not (stream.tty and connection.gone):  # who leaves a terminal detaches from it
                await stream.write_eof()
        except EngineError as error:
            log.debug("input refused", extra={"reason": error.message})
            async for _ in connection.inbox:
                pass
