"""Bounded byte streams over asyncio transports: both ends of the engine API, and connections a frontend takes over.

Reading is paused while more than ``LIMIT`` bytes wait to be read, writing waits while the transport holds more than
``LIMIT``: a stream that nobody reads costs at most twice that, whatever the peer sends.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import cast

from backends.api.hangup import hangup_watch, hung_up

LIMIT = 1 << 20
_JOIN = 1 << 16


class Inbox:
    """What was received and not read yet. One reader at a time."""

    def __init__(self, transport: asyncio.ReadTransport) -> None:
        self._transport = transport
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._paused = False
        self._ended = False
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None

    @property
    def ended(self) -> bool:
        """No more will come (some may still wait to be read)."""
        return self._ended

    @property
    def paused(self) -> bool:
        """As much waits to be read as may; the transport is not read meanwhile, so its end would go unseen."""
        return self._paused

    @property
    def empty(self) -> bool:
        """All that came was read."""
        return not self._chunks

    def feed(self, data: bytes) -> None:
        """Add what was received."""
        self._chunks.append(data)
        self._size += len(data)
        if self._size > LIMIT and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def end(self, error: Exception | None = None) -> None:
        """Nothing more comes; ``error`` is raised to the reader after what came before it."""
        if not self._ended:
            self._ended, self._error = True, error
            self._wake()

    async def read(self) -> bytes:
        """Return some bytes, b"" at the end."""
        while not self._chunks:
            if self._ended:
                if self._error is not None:
                    raise self._error
                return b""
            await self._wait()
        data = self._take()
        self._size -= len(data)
        if self._paused and self._size <= LIMIT // 2:
            self._paused = False
            self._transport.resume_reading()
        return data

    def take_all(self) -> bytes:
        """Return all that waits to be read."""
        data = b"".join(self._chunks)
        self._chunks.clear()
        self._size = 0
        return data

    def _take(self) -> bytes:
        data = self._chunks.popleft()
        if not self._chunks or len(data) >= _JOIN // 4:
            return data
        parts, size = [data], len(data)
        while self._chunks and size + len(self._chunks[0]) <= _JOIN:
            parts.append(self._chunks.popleft())
            size += len(parts[-1])
        return b"".join(parts)

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def __aiter__(self) -> Inbox:
        return self

    async def __anext__(self) -> bytes:
        if data := await self.read():
            return data
        raise StopAsyncIteration


class Writable(asyncio.Protocol):
    """The writing half of a connection. ``lost`` is set once the connection is gone.

    ``hung_up`` is called when the peer has closed both directions, which is seen even while the transport is not read.
    """

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.lost = False
        self._hung_up = False
        self._full: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=LIMIT)
        self._descriptor: int = transport.get_extra_info("socket").fileno()
        hangup_watch().add(self._descriptor, self.hung_up)

    def hung_up(self) -> None:
        """Nobody is there any more. What was sent before may still be on its way."""
        self._hung_up = True
        self.abort_unseen()

    @property
    def unseen(self) -> bool:
        """The transport is not read now, so it would not notice the peer's end."""
        return False

    def abort_unseen(self) -> None:
        """To be called when ``unseen`` may have become true: nobody else would end a connection whose peer is gone."""
        if self._hung_up and self.unseen:
            self.transport.abort()

    def pause_writing(self) -> None:
        if self._full is None:
            self._full = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        full, self._full = self._full, None
        if full is not None and not full.done():
            full.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        hangup_watch().remove(self._descriptor, self.hung_up)
        self.lost = True
        self.resume_writing()

    async def drain(self) -> None:
        """Wait until there is room to write. Raises ConnectionResetError once the connection is gone."""
        if self._full is not None:
            await asyncio.shield(self._full)
        if self.lost or self.transport.is_closing():
            raise ConnectionResetError("the peer closed the connection")


class ByteStream(Writable):
    """A connection as raw bytes both ways, half-closing both ways.

    Resource handling: the holder calls ``close`` (or leaves the ``async with``); ``on_lost`` is called when the
    connection is gone altogether, also when that happens after the peer's half-close. Error handling: ``read`` and
    ``write`` raise ConnectionError when the connection broke.
    """

    def __init__(self, received: bytes = b"", ended: bool = False) -> None:
        super().__init__()
        self._received, self._ended = received, ended
        self._closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.on_lost: Callable[[], object] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.inbox = Inbox(self.transport)
        if self._received:
            self.inbox.feed(self._received)
        if self._ended:
            self.eof_received()

    def data_received(self, data: bytes) -> None:
        self.inbox.feed(data)
        self.abort_unseen()

    def eof_received(self) -> bool:
        self.inbox.end()
        self.abort_unseen()
        return True

    @property
    def unseen(self) -> bool:
        return self.inbox.ended or self.inbox.paused

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.inbox.end(exc)
        if not self._closed.done():
            self._closed.set_result(None)
        if self.on_lost is not None:
            self.on_lost()

    @property
    def gone(self) -> bool:
        """The peer has closed both directions, not its sending side only."""
        return self.lost or hung_up(self._descriptor)

    async def read(self) -> bytes:
        """Return some bytes, b"" when the peer closed its side."""
        return await self.inbox.read()

    async def write(self, data: bytes) -> None:
        """Send; waits while the peer does not read."""
        if not self.lost:
            self.transport.write(data)
        await self.drain()

    async def flushed(self) -> None:
        """Wait until all that was written has gone out. Raises ConnectionResetError once the connection is gone."""
        self.transport.set_write_buffer_limits(high=0)
        await self.drain()
        self.transport.set_write_buffer_limits(high=LIMIT)

    def stop_reading(self) -> tuple[bytes, bool]:
        """Leave what still comes to another holder of the socket: (what was not read yet, whether the peer ended)."""
        self.transport.pause_reading()
        return self.inbox.take_all(), self.inbox.ended

    def write_eof(self) -> None:
        """Close our side; the peer reads the end after all that was written."""
        if not self.lost and not self.transport.is_closing():
            if self.transport.can_write_eof():
                self.transport.write_eof()
            else:
                self.transport.close()

    async def wait_lost(self) -> None:
        """Return when the connection is gone altogether."""
        await asyncio.shield(self._closed)

    def close(self) -> None:
        """Send what is buffered, then close both sides."""
        self.transport.close()

    def abort(self) -> None:
        """Close both sides now."""
        self.transport.abort()

    async def __aenter__(self) -> ByteStream:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
