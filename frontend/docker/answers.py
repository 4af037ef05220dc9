"""How answers leave: JSON, streams whose end is awaited, errors."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import msgspec
from falcon.asgi import Response

from backends.api.engine import Engine
from backends.api.errors import EngineError, NotModified, Unavailable, Unsupported
from backends.api.http import closing

log = logging.getLogger(__name__)
encode = msgspec.json.Encoder().encode
T = TypeVar("T")
_finishing: set[asyncio.Task[Any]] = set()


class Area:
    """Base of the resources: what they all work on."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine


def reply(resp: Response, value: Any, status: int = 200) -> None:
    """Answer JSON, with the line feed that Docker's encoder adds."""
    resp.status = status
    resp.data = encode(value) + b"\n"


def fail(resp: Response, error: EngineError) -> None:
    """Answer an error; 304 has no body."""
    resp.status = error.status
    if not isinstance(error, NotModified):
        resp.data = encode({"message": error.message}) + b"\n"


async def finish(work: Coroutine[Any, Any, T]) -> T:
    """Await a change that is completed even when its client goes away meanwhile."""
    task = asyncio.ensure_future(work)
    _finishing.add(task)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.add_done_callback(_report)
        raise
    finally:
        task.add_done_callback(_finishing.discard)


def _report(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.warning("a change failed after its client had gone", extra={"reason": str(error)})


class Body(AsyncIterator[bytes]):
    """An answer's body as Falcon sends it: whatever becomes of the client, the source is closed."""

    def __init__(self, source: AsyncIterator[bytes]) -> None:
        self._source = source

    async def __anext__(self) -> bytes:
        return await anext(self._source)

    async def close(self) -> None:
        """Called by Falcon at the end."""
        async with closing(self._source):
            pass


class Rendered:
    """Items of the engine as bytes, one object a line. ``keep`` tells which, None = all of them."""

    def __init__(
        self, items: AsyncIterator[T], render: Callable[[T], Any], keep: Callable[[T], bool] | None = None
    ) -> None:
        self._items, self._render, self._keep = items, render, keep

    def __aiter__(self) -> Rendered:
        return self

    async def __anext__(self) -> bytes:
        item = await anext(self._items)
        while self._keep is not None and not self._keep(item):
            item = await anext(self._items)
        return encode(self._render(item)) + b"\n"

    async def aclose(self) -> None:
        """Close the source."""
        async with closing(self._items):
            pass


class Progress:
    """A stream of progress lines. Once it has begun, a failure is told inside it, as Docker does."""

    def __init__(self, items: AsyncIterator[Any], first: bytes) -> None:
        self._items, self._first = items, first
        self._failed = False

    @classmethod
    async def begin(cls, start: Awaitable[AsyncIterator[Any]]) -> Progress:
        """Wait for the first line: until then a failure still has its HTTP status."""
        items = await start
        try:
            first = encode(await anext(items)) + b"\r\n"
        except StopAsyncIteration:
            first = b""
        return cls(items, first)

    @classmethod
    async def begin_whatever_happens(cls, start: Awaitable[AsyncIterator[Any]]) -> Progress:
        """The same for an operation that tells its failure inside from the start: not that it was not tried at all."""
        try:
            return await cls.begin(start)
        except (Unavailable, Unsupported):
            raise
        except EngineError as error:
            return cls(_nothing(), _failure(error))

    def __aiter__(self) -> Progress:
        return self

    async def __anext__(self) -> bytes:
        if self._first:
            first, self._first = self._first, b""
            return first
        if self._failed:
            raise StopAsyncIteration
        try:
            return encode(await anext(self._items)) + b"\r\n"
        except EngineError as error:
            self._failed = True
            return _failure(error)

    async def aclose(self) -> None:
        """Close the source."""
        async with closing(self._items):
            pass


async def _nothing() -> AsyncIterator[Any]:
    nothing: tuple[Any, ...] = ()
    for item in nothing:
        yield item


def _failure(error: EngineError) -> bytes:
    return encode({"errorDetail": {"message": error.message}, "error": error.message}) + b"\r\n"
