"""Byte streams between the event loop and threads: the sandbox's file code blocks, the engine must not."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence

BATCH = 1 << 20


async def from_thread(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Yield what a blocking iterator yields, about a megabyte a thread switch."""
    while batch := await asyncio.to_thread(_take, pieces):
        yield batch


def _take(pieces: Iterator[bytes]) -> bytes:
    taken: list[bytes] = []
    size = 0
    for piece in pieces:
        taken.append(piece)
        size += len(piece)
        if size >= BATCH:
            break
    return b"".join(taken)


async def in_thread(
    work: Callable[[Iterator[bytes]], None], body: AsyncIterator[bytes], stop: threading.Event | None = None
) -> None:
    """Let ``work`` read ``body`` as a blocking iterator. What is short goes over at once.

    A cancelled caller, or ``stop`` from elsewhere, ends the iterator with ``Cancelled``; the former waits until the
    thread has let go.
    """
    head, ended = await _head(body)
    over, outside = threading.Event(), stop or threading.Event()
    loop = asyncio.get_running_loop()
    rest = iter(()) if ended else _pull(body, loop, (over, outside))
    running = asyncio.ensure_future(asyncio.to_thread(work, _chain(head, rest)))
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        over.set()
        await asyncio.wait([running])
        if not running.cancelled():
            running.exception()  # the thread's own complaint about the end is of no interest any more
        raise


class Cancelled(Exception):
    """The sender of a stream has gone away, or nobody wants it any more."""


async def _head(body: AsyncIterator[bytes]) -> tuple[list[bytes], bool]:
    head: list[bytes] = []
    size = 0
    async for piece in body:
        head.append(piece)
        size += len(piece)
        if size >= BATCH:
            return head, False
    return head, True


def _chain(head: list[bytes], rest: Iterator[bytes]) -> Iterator[bytes]:
    yield from head
    yield from rest


def _pull(
    body: AsyncIterator[bytes], loop: asyncio.AbstractEventLoop, stops: Sequence[threading.Event]
) -> Iterator[bytes]:
    async def following() -> bytes | None:
        return await anext(body, None)

    while True:
        future = asyncio.run_coroutine_threadsafe(following(), loop)
        while True:
            if any(stop.is_set() for stop in stops):
                future.cancel()
                raise Cancelled
            try:
                piece = future.result(0.2)
                break
            except concurrent.futures.TimeoutError:
                if future.done():
                    raise
        if piece is None:
            return
        yield piece
