"""What the parts of one worker's engine share."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from backends.api.errors import EngineError
from backends.core.clock import Clock, system_clock
from backends.core.drivers import Drivers
from backends.core.events import EventBus
from backends.core.store import Store
from sandbox.images.store import Store as ImageStore

logger = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass
class Context:
    """``directory`` is the worker's data directory; ``images`` may be shared with other workers."""

    directory: Path
    drivers: Drivers
    store: Store
    events: EventBus
    images: ImageStore
    clock: Clock = system_clock
    tasks: set[asyncio.Task[Any]] = field(default_factory=set)
    closing: bool = False  # the worker is ending: what exits now is not started again

    def spawn(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Run ``work`` beside everything else; a failure is logged once, here."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self.tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    async def complete(self, work: Coroutine[Any, Any, T]) -> T:
        """Carry ``work`` out to its end, even if whoever asked for it goes away meanwhile: no half-made changes."""
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not task.done():
                task.add_done_callback(_unheard)
            raise

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("task %s failed", task.get_name(), exc_info=error)

    async def close(self) -> None:
        """Cancel every task and wait for it."""
        tasks = [task for task in self.tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _unheard(task: asyncio.Task[Any]) -> None:
    """Nobody waits for the outcome any more; what the user would have read is no failure of ours."""
    if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, EngineError):
        logger.error("an operation failed after its client had gone", exc_info=error)
