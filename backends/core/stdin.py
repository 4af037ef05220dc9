"""A container's standard input, from creation on: what clients write before the start waits here for the process."""

from __future__ import annotations

import asyncio
from collections import deque

LIMIT = 1 << 20


class StdinQueue:
    """Bytes on their way into a container, with an end mark; bounded, writers wait for room.

    One run of the container consumes it; ``reset`` makes it ready for the next.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._closed = False
        self._run = 0
        self._changed: set[asyncio.Future[None]] = set()

    async def put(self, data: bytes) -> None:
        """Queue ``data``; waits while the queue is full. What comes after the end is dropped, as by a closed pipe."""
        run = self._run
        while self._size >= self._limit and not self._closed and run == self._run:
            await self._wait()
        if self._closed or not data or run != self._run:
            return
        self._chunks.append(data)
        self._size += len(data)
        self._notify()

    def close(self) -> None:
        """Mark the end: the reader gets what is queued, then None."""
        self._closed = True
        self._notify()

    async def get(self) -> bytes | None:
        """Return all that is queued, None at the end."""
        while not self._chunks:
            if self._closed:
                return None
            await self._wait()
        data = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        self._size = 0
        self._notify()
        return data

    def reset(self) -> None:
        """Forget everything, also what still waits for room: the run that it was meant for is over."""
        self._run += 1
        self._chunks.clear()
        self._size = 0
        self._closed = False
        self._notify()

    def _notify(self) -> None:
        for waiter in self._changed:
            if not waiter.done():
                waiter.set_result(None)
        self._changed.clear()

    async def _wait(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._changed.add(waiter)
        try:
            await waiter
        finally:
            self._changed.discard(waiter)
