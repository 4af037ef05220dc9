"""One stream of events of several workers."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator

from backends.api import types as t
from backends.api.errors import EngineError, Unavailable
from backends.api.http import closing
from frontend.routing.asking import Said, answered, ask
from frontend.routing.workers import Worker

log = logging.getLogger(__name__)
AGAIN_SECONDS = 1.0
WAITING = 1024


class Events:
    """What the workers tell, in the order of its times: all of it when it is past, else what waits here together.

    A worker that goes away is asked again, from its last event on, until it is back; its part of the stream is missing
    meanwhile. With ``until`` the stream ends when everybody's has.
    """

    def __init__(self, since: int, until: int, filters: t.Filters) -> None:
        self._since, self._until, self._filters = since, until, filters
        self._queue: asyncio.Queue[t.Event | None] = asyncio.Queue(WAITING)
        self._tasks: list[asyncio.Task[None]] = []
        self._ready: list[t.Event] = []
        self._running = 0
        self._past = 0 < until <= time.time_ns()

    @classmethod
    async def begin(cls, workers: list[Worker], since: int, until: int, filters: t.Filters) -> Events:
        """Subscribe at every worker that can be reached; what they refuse is raised."""
        found = cls(since, until, filters)
        said = await asyncio.gather(*(found._subscribe(worker) for worker in workers))
        answered(list(said))
        found._tasks = [asyncio.create_task(found._follow(one)) for one in said]
        found._running = len(said)
        return found

    async def _subscribe(self, worker: Worker, since: int = 0) -> Said:
        return (await ask([worker], "events", since or self._since, self._until, self._filters))[0]

    async def _follow(self, said: Said) -> None:
        last = self._since or time.time_ns()
        while True:
            try:
                if said.error is not None:
                    raise said.error
                items: AsyncIterator[t.Event] = said.value
                async with closing(items):
                    async for event in items:
                        last = max(last, event.timeNano + 1)
                        await self._queue.put(event)
                break
            except Unavailable as error:
                log.info("events are missing", extra={"backend": said.worker.name, "reason": error.message})
            except EngineError as error:
                log.warning("events ended", extra={"backend": said.worker.name, "reason": error.message})
                break
            if self._until and time.time_ns() >= self._until:
                break
            await asyncio.sleep(AGAIN_SECONDS)
            said = await self._subscribe(said.worker, last)
        await self._queue.put(None)

    def __aiter__(self) -> Events:
        return self

    async def __anext__(self) -> t.Event:
        while not self._ready or (self._past and self._running):
            if not self._running:
                raise StopAsyncIteration
            self._take(await self._queue.get())
            while not self._queue.empty():
                self._take(self._queue.get_nowait())
            self._ready.sort(key=lambda event: event.timeNano, reverse=True)
        return self._ready.pop()

    def _take(self, event: t.Event | None) -> None:
        if event is None:
            self._running -= 1
        else:
            self._ready.append(event)

    async def aclose(self) -> None:
        """End all subscriptions."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
