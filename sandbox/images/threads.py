"""Run blocking work beside the event loop without ever leaving a thread behind that still works on closed files."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """As ``asyncio.to_thread``, but a cancellation takes effect only once ``work`` has returned."""
    return await stoppable(threading.Event(), lambda: work(*args, **kwargs))


async def stoppable(stop: threading.Event, work: Callable[[], T]) -> T:
    """Run ``work`` in a thread; a cancellation sets ``stop``, waits for ``work`` to end, then takes effect."""
    future = asyncio.get_running_loop().run_in_executor(None, work)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        stop.set()
        while not future.done():
            try:
                await asyncio.wait([future])
            except asyncio.CancelledError:
                continue  # the cancellation that brought us here is raised below
        if not future.cancelled():
            future.exception()
        raise
