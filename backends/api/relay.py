"""Between a client's raw connection and a process's stream, both ways, until one of them ends.

A worker does it for the connections that a frontend hands over to it, a frontend for those that it keeps (handover.py).

- The process's output ends: our side is closed after the last byte, and input that still comes is read and dropped, for
  closing a socket with unread data would destroy output that the client has not read yet.
- The client closes its sending side: the process's input ends, output goes on.
- The client goes away altogether: the process stays, the stream is closed.

Detach keys are the engine's: it ends the stream when it reads them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable
from contextlib import suppress
from typing import Protocol

from backends.api.engine import Stream
from backends.api.errors import EngineError
from backends.api.framing import STDERR, frame

LINGER_SECONDS = 10.0
FLUSH_SECONDS = 1.0


class Connection(Protocol):
    """What is asked of a client's connection; see :class:`backends.api.bytestream.ByteStream`."""

    on_lost: Callable[[], object] | None

    @property
    def lost(self) -> bool: ...

    @property
    def inbox(self) -> AsyncIterable[bytes]: ...

    async def read(self) -> bytes: ...

    async def write(self, data: bytes) -> None: ...

    def write_eof(self) -> None: ...


async def relay(client: Connection, stream: Stream, forward: bool) -> None:
    """Carry output, and input if ``forward``, until the output's end or the client's loss; then end both sides.

    An EngineError that ends the output is told to the client; any other error is raised.
    """
    task = asyncio.current_task()
    client.on_lost = task.cancel if task else None
    output = asyncio.create_task(_output(client, stream))
    entry = asyncio.create_task(_input(client, stream, forward))
    try:
        await asyncio.wait((output,))
    finally:
        client.on_lost = None
        if client.lost:  # what the client sent before it went away still goes in
            await asyncio.wait((entry,), timeout=FLUSH_SECONDS)
        entry.cancel()
        output.cancel()
        await asyncio.wait((entry, output))
        await stream.close()
    output.result()
    await _part(client)


async def _output(client: Connection, stream: Stream) -> None:
    with suppress(ConnectionError):
        try:
            while data := await stream.read():
                await client.write(data)
        except EngineError as error:
            await tell(client, stream, error)


async def tell(client: Connection, stream: Stream, error: EngineError) -> None:
    """Say why the output ends, as the engine does: on standard error. Raises ConnectionError."""
    text = f"{error.message}\r\n".encode()
    await client.write(text if stream.tty else frame(STDERR, text))


async def _input(client: Connection, stream: Stream, forward: bool) -> None:
    with suppress(ConnectionError):
        try:
            async for data in client.inbox:
                if forward:
                    await stream.write(data)
            if forward and not stream.tty:  # the end of a terminal's input is a key, not a closed connection
                await stream.write_eof()
        except EngineError:  # the process takes no more; what it says and how it exits still reaches the client
            async for _ in client.inbox:
                pass


async def _part(client: Connection) -> None:
    client.write_eof()
    with suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            while await client.read():
                pass
