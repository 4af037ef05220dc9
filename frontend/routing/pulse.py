"""Whether a worker, and the engine behind it, gives any sign of life."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from backends.api.client import EngineClient
from backends.api.errors import EngineError

PATIENCE_SECONDS = 5.0
_NOBODYS = "0" * 64


class Pulse:
    """The signs of life of ``engine``. ``silent`` from when it owes one for ``patience`` seconds until it gives it.

    The question that is open then stays open (no longer than any call may take), so that an engine that comes back to
    itself is heard at once and one that hangs is asked once. An engine that is away answers: by its refusal.
    """

    def __init__(self, engine: EngineClient, patience: float) -> None:
        self._engine, self._patience = engine, patience
        self._question: asyncio.Task[None] | None = None
        self.silent = False

    async def beats(self) -> bool:
        """Whether there is a sign of life in time."""
        if self._question is None:
            self._question = asyncio.create_task(self._ask())
        if not self.silent:
            self.silent = not (await asyncio.wait((self._question,), timeout=self._patience))[0]
        return not self.silent

    async def _ask(self) -> None:
        with suppress(EngineError):  # a refusal is an answer, too
            await self._engine.inspect_exec(_NOBODYS)
        self._question, self.silent = None, False
