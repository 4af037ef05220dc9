"""One client attached to a container or exec: a bounded queue of framed output and a way into standard input."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator

from backends.api.errors import InvalidArgument
from backends.api.framing import STDERR, STDOUT, frame_header
from backends.core.stdin import StdinQueue

QUEUE_LIMIT = 4 << 20
MUCH = 1 << 16
_CONTROL = {"@": 0, "[": 27, "\\": 28, "]": 29, "^": 30, "_": 31} | {chr(97 + n): n + 1 for n in range(26)}
DEFAULT_DETACH_KEYS = "ctrl-p,ctrl-q"


def parse_detach_keys(text: str) -> bytes:
    """Return the byte sequence of "ctrl-p,ctrl-q"; InvalidArgument in Docker's words when it names no key."""
    sequence = bytearray()
    for key in (text or DEFAULT_DETACH_KEYS).split(","):
        if len(key) == 1:
            sequence += key.encode()
        elif key.startswith("ctrl-") and key[5:] in _CONTROL:
            sequence.append(_CONTROL[key[5:]])
        else:
            raise InvalidArgument(f"Invalid detach keys ({text}) provided")
    return bytes(sequence)


class DetachScanner:
    """Find the detach sequence in what a terminal types; keys of an unfinished sequence are held back."""

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._matched = 0

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """Return (what goes on to the program, whether to detach)."""
        passed = bytearray()
        for byte in data:
            if byte == self._keys[self._matched]:
                self._matched += 1
                if self._matched == len(self._keys):
                    return bytes(passed), True
                continue
            passed += self._keys[: self._matched]
            self._matched = 1 if byte == self._keys[0] else 0
            if not self._matched:
                passed.append(byte)
        return bytes(passed), False


class Attachment:
    """A client's two-way stream; implements :class:`backends.api.engine.Stream`.

    Output: the producer calls ``offer`` and then, if ``full``, awaits ``room``; a closed attachment always has room,
    so a dead client holds nothing back and a slow one holds the program back as a pipe would.
    """

    def __init__(
        self,
        *,
        tty: bool,
        stdout: bool,
        stderr: bool,
        stdin: StdinQueue | None = None,
        on_eof: Callable[[Attachment], None] | None = None,
        on_close: Callable[[Attachment], None] | None = None,
        on_detach: Callable[[Attachment], None] | None = None,
        detach_keys: bytes = b"",
    ) -> None:
        self.tty = tty
        self._wanted = {STDOUT: stdout, STDERR: stderr}
        self.stdin = stdin
        self._on_eof, self._on_close, self._on_detach = on_eof, on_close, on_detach
        self._scanner = DetachScanner(detach_keys) if tty and stdin is not None and detach_keys else None
        self._past: Iterator[tuple[int, bytes]] = iter(())
        self._queue: deque[bytes] = deque()
        self._size = 0
        self._ended = False
        self._released = False
        self.closed = False
        self._reader: asyncio.Future[None] | None = None
        self._drained: set[asyncio.Future[None]] = set()

    # -- the producer's side

    def wants(self, stream: int) -> bool:
        """Tell whether the client asked for this stream."""
        return not self._ended and self._wanted.get(stream, False)

    def precede(self, past: Iterator[tuple[int, bytes]]) -> None:
        """Let (stream, output) be read before all that is offered; taken from ``past`` only as the client reads."""
        self._past = past

    def offer(self, stream: int, data: bytes) -> None:
        """Queue output for the client, as a frame unless it is for a terminal. Much data is not copied for that."""
        if self._ended:
            return
        if not self.tty:
            header = frame_header(stream, len(data))
            if len(data) < MUCH:
                data = header + data
            else:
                self._queue.append(header)
                self._size += len(header)
        self._queue.append(data)
        self._size += len(data)
        self._wake_reader()

    @property
    def full(self) -> bool:
        """Whether the producer should wait before it reads more from the program."""
        return self._size >= QUEUE_LIMIT and not self._ended

    def release(self) -> None:
        """Let a producer that waits for room go on."""
        self._released = True
        self._wake_producer()

    async def room(self) -> None:
        """Wait until the client has taken some, or is gone, or ``release`` was called."""
        while self.full and not self._released:
            waiter = asyncio.get_running_loop().create_future()
            self._drained.add(waiter)
            try:
                await waiter
            finally:
                self._drained.discard(waiter)

    def end(self) -> None:
        """No more output: the client reads what is queued and then the end."""
        self._ended = True
        self._wake_reader()
        self._wake_producer()

    # -- the client's side

    async def read(self) -> bytes:
        """Return the next output, framed unless a terminal; b"" at its end."""
        if earlier := self._earlier():
            return earlier
        while not self._queue:
            if self._ended:
                return b""
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        data = self._queue.popleft()
        if self._queue and len(data) + len(self._queue[0]) < MUCH:
            parts, size = [data], len(data)
            while self._queue and size + len(self._queue[0]) < MUCH:
                parts.append(self._queue.popleft())
                size += len(parts[-1])
            data = b"".join(parts)
        self._size -= len(data)
        self._wake_producer()
        return data

    def _earlier(self) -> bytes:
        taken = bytearray()
        for stream, data in self._past:
            if self._wanted.get(stream, False):
                taken += data if self.tty else frame_header(stream, len(data)) + data
            if len(taken) >= MUCH:
                break
        return bytes(taken)

    async def write(self, data: bytes) -> None:
        """Send input to the program; dropped when the client did not attach to it, or the run it joined is over."""
        if self.stdin is None or self._ended:
            return
        detach = False
        if self._scanner is not None:
            data, detach = self._scanner.feed(data)
        await self.stdin.put(data)
        if detach:
            if self._on_detach is not None:
                self._on_detach(self)
            self.end()

    async def write_eof(self) -> None:
        """The client has closed its sending half."""
        if self._on_eof is not None and not self._ended:
            self._on_eof(self)

    async def close(self) -> None:
        """Detach; the program goes on."""
        if self.closed:
            return
        self.closed = True
        self._past = iter(())
        self._queue.clear()
        self._size = 0
        self.end()
        if self._on_close is not None:
            self._on_close(self)

    def _wake_reader(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def _wake_producer(self) -> None:
        for waiter in self._drained:
            if not waiter.done():
                waiter.set_result(None)
        self._drained.clear()
