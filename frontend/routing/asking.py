"""Asking several workers at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from backends.api.errors import EngineError, Unavailable
from frontend.routing.workers import Worker


@dataclass(frozen=True)
class Said:
    """One worker's answer: ``value``, or the ``error`` it raised."""

    worker: Worker
    value: Any = None
    error: EngineError | None = None


async def ask(workers: Iterable[Worker], operation: str, *args: Any, **kwargs: Any) -> list[Said]:
    """Have every worker perform ``operation``; their answers in the workers' order.

    An answer may take its time, but a worker that gives no sign of life meanwhile is Unavailable, at once while it
    stays silent: what hangs must not stop what is asked of everybody.
    """
    return list(await asyncio.gather(*(_ask(worker, operation, args, kwargs) for worker in workers)))


async def _ask(worker: Worker, operation: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Said:
    if worker.pulse.silent:
        return _silent(worker)
    call = asyncio.create_task(getattr(worker.engine, operation)(*args, **kwargs))
    try:
        while not (await asyncio.wait((call,), timeout=worker.patience))[0]:
            if not await worker.pulse.beats() and not call.done():
                return _silent(worker)
        return Said(worker, await call)
    except EngineError as error:
        return Said(worker, error=error)
    finally:
        call.cancel()


def _silent(worker: Worker) -> Said:
    return Said(worker, error=worker.engine.unavailable(""))


def answered(said: list[Said]) -> list[Said]:
    """Those that have an answer. A worker that cannot be reached costs what it has only; other errors are raised."""
    for one in said:
        if one.error is not None and not isinstance(one.error, Unavailable):
            raise one.error
    found = [one for one in said if one.error is None]
    if not found and said and said[0].error is not None:
        raise said[0].error
    return found
