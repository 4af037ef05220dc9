"""Passing a request on to the Docker engine behind a worker, and its answer back, as they are.

Method, path, query, headers and body go over unchanged but for what concerns one connection only (``Expect``, the
framing of a chunked body); the answer's bytes are the engine's own, its head and the chunks of its body included. Where
the engine hands over its connection (101, or 200 without an end, for attach and exec), the client's is handed over too.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

from backends.api.bytestream import ByteStream
from backends.api.client import EngineClient
from backends.api.engine import Stream
from backends.api.errors import EngineError
from backends.api.relay import relay
from frontend.docker.answers import encode
from frontend.relay import head_received
from frontend.routing.answer import Answer, BadAnswer, Kind
from frontend.server import EXTENSION, Takeover

log = logging.getLogger(__name__)
Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class PassThrough:
    """The ASGI application of an endpoint that has nothing but one Docker engine behind it."""

    def __init__(self, worker: EngineClient) -> None:
        self._worker = worker

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        takeover: Takeover = scope["extensions"][EXTENSION]
        takeover.cancel_on_disconnect(asyncio.current_task())
        try:
            await pass_on(self._worker, scope, receive, send)
        except asyncio.CancelledError:
            takeover.break_off()
        finally:
            takeover.cancel_on_disconnect(None)


async def pass_on(worker: EngineClient, scope: Scope, receive: Receive, send: Send) -> None:
    """Have the engine behind ``worker`` answer the request; 503 when it cannot be reached.

    An answer that breaks off in the middle breaks off the client's connection.
    """
    takeover: Takeover = scope["extensions"][EXTENSION]
    answer = Answer(scope["method"])
    try:
        engine = await worker.relay()
        try:
            await _Passage(engine, scope, receive, answer, takeover).run()
        finally:
            await engine.close()
    except (EngineError, BadAnswer) as error:
        reason = str(error) if isinstance(error, EngineError) else f"it gave a bad answer: {error}"
        log.warning("request failed", extra={"method": scope["method"], "path": scope["path"], "reason": reason})
        if answer.kind is None:
            await unavailable(send, str(error) if isinstance(error, EngineError) else str(worker.unavailable(reason)))
        else:
            takeover.break_off()
    except ConnectionError:
        takeover.break_off()


async def unavailable(send: Send, message: str) -> None:
    """Answer 503."""
    body = encode({"message": message}) + b"\n"
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def request_head(scope: Scope) -> bytes:
    """The request's head as the engine is to see it."""
    query: bytes = scope["query_string"]
    target = scope["raw_path"] + (b"?" + query if query else b"")
    lines = [b"%s %s HTTP/%s" % (scope["method"].encode(), target, scope["http_version"].encode())]
    lines += [b"%s: %s" % (name, value) for name, value in scope["headers"] if name != b"expect"]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def is_chunked(scope: Scope) -> bool:
    """Whether the request's body comes in chunks."""
    return any(name == b"transfer-encoding" for name, _ in scope["headers"])


class _Passage:
    """One request and answer over one connection to the engine."""

    def __init__(self, engine: Stream, scope: Scope, receive: Receive, answer: Answer, takeover: Takeover) -> None:
        self._engine, self._scope, self._receive = engine, scope, receive
        self._answer, self._takeover = answer, takeover

    async def run(self) -> None:
        sender = asyncio.create_task(self._send())
        try:
            head = await self._head()
            if self._answer.kind is Kind.SWITCHED or (self._answer.kind is Kind.OPEN and self._takeover.offered):
                await sender
                await self._hand_over(head)
            else:
                await self._pass_back(head)
        finally:
            sender.cancel()
            await asyncio.wait((sender,))

    async def _send(self) -> None:
        """The request. When the engine takes no more of it, its answer says why."""
        with suppress(EngineError):
            await self._engine.write(request_head(self._scope))
            async for piece in self._body():
                await self._engine.write(piece)

    async def _body(self) -> AsyncIterator[bytes]:
        chunked = is_chunked(self._scope)
        more = True
        while more:
            message = await self._receive()
            if message["type"] != "http.request":
                return
            body, more = message["body"], message["more_body"]
            if body:
                yield b"%x\r\n%s\r\n" % (len(body), body) if chunked else body
        if chunked:
            yield b"0\r\n\r\n"

    async def _head(self) -> bytes:
        while True:
            data = await self._engine.read()
            if not data:
                raise BadAnswer("the connection ended before an answer")
            if head := self._answer.feed(data):
                return head

    async def _pass_back(self, data: bytes) -> None:
        while data:
            await self._takeover.write(data)
            if self._answer.complete:
                self._takeover.finish(self._answer.keep_alive)
                return
            data = await self._engine.read()
            if data:
                self._answer.feed(data)
        if self._answer.kind is not Kind.OPEN:
            raise BadAnswer("the connection ended in the middle of the answer")
        self._takeover.finish(keep=False)

    async def _hand_over(self, data: bytes) -> None:
        end = data.find(b"\r\n\r\n") + 4
        client: ByteStream = self._takeover.raw(data[:end])
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in self._scope["headers"]}
        await head_received(self._takeover.socket, headers.get)
        async with client:
            if data[end:]:
                await client.write(data[end:])
            await relay(client, _Raw(self._engine), forward=True)


class _Raw:
    """A stream that says nothing of its own into what it carries: when it breaks, it just ends."""

    tty = False

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.write, self.write_eof, self.close = stream.write, stream.write_eof, stream.close

    async def read(self) -> bytes:
        try:
            return await self._stream.read()
        except EngineError as error:
            raise ConnectionResetError(error.message) from error
