"""A frontend's side of the engine API: an ``Engine`` that is a worker behind a Unix socket."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from backends.api import handover
from backends.api import http as wire
from backends.api.bytestream import ByteStream
from backends.api.engine import Download, Engine
from backends.api.errors import EngineError, Unavailable, error_for
from backends.api.exchange import Exchange
from backends.api.http import OPERATIONS, Answer, Operation

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 120.0
# Seconds. The rest has ANSWER_SECONDS; uploads, and what a container's own stop timeout bounds, have no deadline.
SLOW_ANSWERS = {
    "start_container": 900.0,  # a cloud may have to find a machine and pull an image first
    "restart_container": None,
    "stop_container": None,
    "prune_images": 900.0,
    "disk_usage": 900.0,
    "pull_image": 900.0,
}
IDLE_CONNECTIONS = 64

_decode_outcome = msgspec.json.Decoder(wire.Failure | None).decode
_decode_line = msgspec.json.Decoder(wire.Line).decode


class EngineClient(Engine):
    """The engine of the worker that listens at ``socket_path``; its methods are those of :class:`Engine`.

    Resource handling: connections are pooled; a cancelled call closes its connection, which ends the operation on the
    other side. Call ``close`` at the end. Error handling: a worker that cannot be reached, or that goes away during a
    call, raises Unavailable, which names it.
    """

    def __init__(self, socket_path: Path, backend: str = "") -> None:
        self._path = os.fspath(socket_path)
        self.backend = backend or socket_path.stem
        self._idle: list[Exchange] = []

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop().transport.abort()

    def unavailable(self, reason: object) -> Unavailable:
        """Return the error that says this worker cannot be reached."""
        return Unavailable(f"the {self.backend} backend is not available: {reason or 'no answer in time'}")

    async def acquire(self) -> Exchange:
        """Return an idle connection, or a new one."""
        while self._idle:
            exchange = self._idle.pop()
            if not exchange.lost and not exchange.transport.is_closing():
                return exchange
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                return (await loop.create_unix_connection(Exchange, self._path))[1]
        except (OSError, TimeoutError) as error:
            raise self.unavailable(error) from error

    def release(self, exchange: Exchange) -> None:
        """Take back a connection; one whose answer is not complete is closed."""
        if exchange.complete and not (exchange.lost or exchange.last) and len(self._idle) < IDLE_CONNECTIONS:
            self._idle.append(exchange)
        else:
            exchange.transport.abort()

    async def call(self, operation: Operation, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Perform one operation."""
        parameters, upload = operation.bind(args, kwargs)
        deadline = None if upload is not None else SLOW_ANSWERS.get(operation.name, ANSWER_SECONDS)
        exchange = await self.acquire()
        try:
            async with asyncio.timeout(deadline):
                await exchange.call(operation, parameters, upload)
                return await self._result(operation, exchange)
        except TimeoutError as error:
            exchange.transport.abort()
            raise self.unavailable("") from error
        except OSError as error:
            raise self.unavailable(error) from error
        except EngineError:
            self.release(exchange)
            raise
        except BaseException:
            exchange.transport.abort()
            raise

    async def _result(self, operation: Operation, exchange: Exchange) -> Any:
        match operation.answer:
            case Answer.VALUE:
                data = await exchange.body()
                self.release(exchange)
                return operation.results.decode(data)
            case Answer.ITEMS:
                return _Items(self, exchange, operation.results.decode)
            case Answer.DOWNLOAD:
                meta = operation.results.decode(exchange.header(wire.RESULT_HEADER))
                return Download(meta, _Body(self, exchange))
            case Answer.STREAM:
                head: wire.StreamHead = operation.results.decode(exchange.header(wire.STREAM_HEADER))
                return RemoteStream(self, head, exchange.upgrade())

    async def outcome(self, stream_id: str) -> None:
        """Raise the reason why a stream ended, if it did not end properly."""
        exchange = await self.acquire()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await exchange.post(wire.OUTCOMES + stream_id, b"")
                failure = _decode_outcome(await exchange.body())
        except OSError as error:
            raise self.unavailable(error) from error
        finally:
            self.release(exchange)
        if failure is not None:
            raise error_for(failure.kind, failure.message)


def connect(socket_path: Path, backend: str = "") -> EngineClient:
    """Return the engine of the worker at ``socket_path``; nothing is sent yet."""
    return EngineClient(socket_path, backend)  # type: ignore[abstract]


class _Body:
    """A download's bytes. An early end of iteration, or ``aclose``, closes the connection."""

    def __init__(self, client: EngineClient, exchange: Exchange) -> None:
        self._client, self._exchange = client, exchange
        self._open = True

    def __aiter__(self) -> _Body:
        return self

    async def __anext__(self) -> bytes:
        data = await self.read() if self._open else b""
        if not data:
            raise StopAsyncIteration
        return data

    async def read(self) -> bytes:
        try:
            data = await self._exchange.inbox.read()
        except OSError as error:
            await self.aclose()
            raise self._client.unavailable(error) from error
        if not data:
            await self.aclose()
        return data

    async def aclose(self) -> None:
        """Give the connection back."""
        if self._open:
            self._open = False
            self._client.release(self._exchange)


class _Items:
    """The items of an answer as they come."""

    def __init__(self, client: EngineClient, exchange: Exchange, decode: Callable[[bytes], Any]) -> None:
        self._body, self._decode = _Body(client, exchange), decode
        self._lines: list[bytes] = []
        self._rest = b""

    def __aiter__(self) -> _Items:
        return self

    async def __anext__(self) -> Any:
        while not self._lines:
            data = await anext(self._body)
            *lines, self._rest = (self._rest + data).split(b"\n")
            self._lines = lines[::-1]
        line = _decode_line(self._lines.pop())
        if line.error is not None:
            await self.aclose()
            raise error_for(line.error.kind, line.error.message)
        return self._decode(line.item)

    async def aclose(self) -> None:
        """Give the connection back."""
        await self._body.aclose()


class RemoteStream:
    """See :class:`backends.api.engine.Stream`. Its end is proper only if the worker says so when asked.

    Either ``hand_over`` is called, or the others are.
    """

    def __init__(self, client: EngineClient, head: wire.StreamHead, connection: ByteStream) -> None:
        self._client, self._head, self._connection = client, head, connection
        self._begun = self._asked = False

    @property
    def tty(self) -> bool:
        return self._head.tty

    async def hand_over(self, client: ByteStream, forward: bool) -> None:
        """Let the worker talk to the client itself (handover.py); returns when that is over. Raises Unavailable."""
        try:
            await handover.give(self._connection, client, forward)
            said = await self._connection.read()
        except OSError as error:
            raise self._client.unavailable(error) from error
        if said != handover.OVER:
            raise self._client.unavailable("the connection was closed")

    async def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            await self._connection.write(handover.RELAY)

    async def read(self) -> bytes:
        try:
            await self._begin()
            data = await self._connection.read()
        except OSError as error:
            raise self._client.unavailable(error) from error
        if not data and not self._asked:
            self._asked = True
            await self._client.outcome(self._head.id)
        return data

    async def write(self, data: bytes) -> None:
        try:
            await self._begin()
            await self._connection.write(data)
        except OSError as error:
            raise self._client.unavailable(error) from error

    async def write_eof(self) -> None:
        try:
            await self._begin()
        except OSError as error:
            raise self._client.unavailable(error) from error
        self._connection.write_eof()

    async def close(self) -> None:
        self._connection.close()


def _method(operation: Operation) -> Callable[..., Any]:
    async def method(self: EngineClient, *args: Any, **kwargs: Any) -> Any:
        return await self.call(operation, args, kwargs)

    method.__name__ = operation.name
    method.__doc__ = getattr(Engine, operation.name).__doc__
    return method


for _operation in OPERATIONS.values():
    setattr(EngineClient, _operation.name, _method(_operation))
