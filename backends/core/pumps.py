"""Moving bytes between a process and the streams around it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from backends.core.drivers import Process
from backends.core.stdin import StdinQueue


async def pump_output(process: Process, sink: Callable[[int, bytes], Awaitable[None]]) -> None:
    """Give all output of a process to ``sink``, one chunk at a time; ends when all its writers are gone."""
    async for stream, data in process.output():
        await sink(stream, data)


async def pump_input(process: Process, queue: StdinQueue) -> None:
    """Write what clients send to a process; what comes after it closed its input is dropped, as by a pipe."""
    try:
        while (data := await queue.get()) is not None:
            await process.write(data)
    except (BrokenPipeError, ConnectionResetError):
        while await queue.get() is not None:
            pass
    finally:
        process.close_stdin()


class Drain:
    """Output and input of one process; ``finish`` waits for the last byte after the process is gone."""

    def __init__(
        self, process: Process, sink: Callable[[int, bytes], Awaitable[None]], stdin: StdinQueue | None
    ) -> None:
        loop = asyncio.get_running_loop()
        self._output = loop.create_task(pump_output(process, sink))
        self._input = loop.create_task(pump_input(process, stdin)) if stdin is not None else None

    async def finish(self, limit: float) -> None:
        """Wait for the end of the output, at most ``limit`` seconds; TimeoutError when a writer outlives it."""
        try:
            async with asyncio.timeout(limit):
                await asyncio.shield(self._output)
        finally:
            if self._input is not None:
                self._input.cancel()
                await asyncio.gather(self._input, return_exceptions=True)

    def leave(self) -> None:
        """Let the output run on unattended, so that whoever still writes is not stopped by it."""
        _UNATTENDED.add(self._output)
        self._output.add_done_callback(_UNATTENDED.discard)


_UNATTENDED: set[asyncio.Task[None]] = set()
