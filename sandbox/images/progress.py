"""What a task tells of its work, passed on by a generator to the one who reads it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from typing import Any, Generic, TypeVar

Event = TypeVar("Event")

_ROOM = 64
"""Events that may wait for the reader."""


class Progress(Generic[Event]):
    """The events of one piece of work, in order."""

    def __init__(self) -> None:
        self._events: asyncio.Queue[Event | None] = asyncio.Queue(_ROOM)

    async def tell(self, event: Event) -> None:
        """Pass an event on; waits while the reader is far behind."""
        await self._events.put(event)

    def hint(self, event: Event) -> None:
        """Pass on an event that the next of its kind makes stale: dropped unless the reader keeps up."""
        if self._events.qsize() < _ROOM // 2:
            self._events.put_nowait(event)

    async def of(self, work: Coroutine[Any, Any, None]) -> AsyncGenerator[Event, None]:
        """Do ``work``, yield what it tells and raise what it raises. Closing the generator cancels it and waits."""
        task = asyncio.create_task(self._to_the_end(work))
        try:
            while (event := await self._events.get()) is not None:
                yield event
            await task
        finally:
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                task.exception()  # raised above, or nobody is left to hear it

    async def _to_the_end(self, work: Coroutine[Any, Any, None]) -> None:
        """Wakes the reader at the end; when nobody reads any more there may be no room, and no need."""
        try:
            await work
        finally:
            if not self._events.full():
                self._events.put_nowait(None)
            elif not asyncio.current_task().cancelling():  # type: ignore[union-attr]
                await self._events.put(None)
