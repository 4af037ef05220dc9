"""One sandboxed process, as the engine sees it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from backends.core.drivers import ExitStatus
from backends.core.fdio import FdStreams
from backends.memory.streams import OrderedOutput
from sandbox.wasm.sandbox import ExitStatus as SandboxStatus
from sandbox.wasm.sandbox import Process

MEMORY_ERROR = "the program needed more memory than the container may have"


class MemoryProcess:
    """Implements :class:`backends.core.drivers.Process`; made on the event loop, told of the end by any thread."""

    def __init__(self, process: Process, tty: bool) -> None:
        self._process = process
        self._streams = FdStreams(process.stdin, process.output if tty else None)
        self._ordered = None if tty or process.output is None else OrderedOutput(process.output)
        self._loop = asyncio.get_running_loop()
        self._exited: asyncio.Future[ExitStatus] = self._loop.create_future()
        process.on_exit(self._ended)

    @property
    def pid(self) -> int:
        """Its number inside the container."""
        return self._process.pid

    def output(self) -> AsyncIterator[tuple[int, bytes]]:
        """What it writes, in the order written."""
        return self._ordered.chunks() if self._ordered is not None else self._streams.output()

    async def write(self, data: bytes) -> None:
        """Write to its standard input."""
        await self._streams.write(data)

    def close_stdin(self) -> None:
        """End its standard input."""
        self._streams.close_stdin()

    def resize(self, height: int, width: int) -> None:
        """Tell its terminal a new size."""
        self._process.resize(height, width)

    def signal(self, number: int) -> None:
        """Deliver a signal."""
        self._process.signal(number)

    async def wait(self) -> ExitStatus:
        """Wait for its end."""
        return await asyncio.shield(self._exited)

    def _ended(self, status: SandboxStatus) -> None:
        self._loop.call_soon_threadsafe(self._settle, status)

    def _settle(self, status: SandboxStatus) -> None:
        error = MEMORY_ERROR if status.out_of_memory else ""
        if not self._exited.done():
            self._exited.set_result(ExitStatus(status.code, error, status.out_of_memory))
