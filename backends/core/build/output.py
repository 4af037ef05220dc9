"""What a build says, in the lines of Docker's classic builder, from the task that builds to the client that reads."""

from __future__ import annotations

import asyncio
import codecs
from collections.abc import AsyncIterator

from backends.api import types as t

_PENDING = 256
_RED, _PLAIN = "\033[91m", "\033[0m"


class Output:
    """A bounded queue of progress lines. ``quiet`` holds all back; they come out only if the build fails."""

    def __init__(self, quiet: bool) -> None:
        self._queue: asyncio.Queue[t.Progress | None] = asyncio.Queue(_PENDING)
        self._held: list[t.Progress] | None = [] if quiet else None

    async def say(self, text: str) -> None:
        """Text as it is to be printed."""
        await self.send(t.Progress(stream=text))

    async def image(self, image_id: str) -> None:
        """The image of a finished stage."""
        await self.send(t.Progress(aux={"ID": image_id}))

    async def send(self, line: t.Progress) -> None:
        """Any line."""
        if self._held is not None:
            self._held.append(line)
        else:
            await self._queue.put(line)

    async def finish(self, last: t.Progress | None, failed: bool) -> None:
        """The end; ``last`` is told also in quiet."""
        if failed:
            for line in self._held or ():
                await self._queue.put(line)
        if last is not None:
            await self._queue.put(last)
        await self._queue.put(None)

    async def lines(self) -> AsyncIterator[t.Progress]:
        """Every line until the end."""
        while (line := await self._queue.get()) is not None:
            yield line


class ProcessOutput:
    """A process's bytes as text; standard error is red, as Docker has it."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._decoders = {stream: codecs.getincrementaldecoder("utf-8")("replace") for stream in (1, 2)}

    async def write(self, stream: int, data: bytes, final: bool = False) -> None:
        """What came from standard output (1) or error (2)."""
        text = self._decoders[stream].decode(data, final)
        if text:
            await self._output.say(f"{_RED}{text}{_PLAIN}" if stream == 2 else text)

    async def end(self) -> None:
        """Nothing more comes."""
        for stream in self._decoders:
            await self.write(stream, b"", final=True)
