"""A process's streams as host file descriptors: pipes, or one pseudo-terminal. For drivers that have such.

Reads are as large as the writer is fast (64 KiB to 1 MiB), straight from the descriptor on the event loop; nothing is
read while the consumer is busy, so a slow consumer holds the writer back.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import termios
from collections.abc import AsyncIterator

from backends.api.framing import STDERR, STDOUT

SMALL, LARGE = 1 << 16, 1 << 20


class FdStreams:
    """Owns its descriptors. ``stdin`` and ``stdout`` are the same number for a terminal."""

    def __init__(self, stdin: int | None, stdout: int | None, stderr: int | None = None) -> None:
        self._stdin = stdin
        self._tty = stdin is not None and stdin == stdout
        self._readers = {fd: stream for fd, stream in ((stdout, STDOUT), (stderr, STDERR)) if fd is not None}
        for fd in {*self._readers, *(() if stdin is None else (stdin,))}:
            os.set_blocking(fd, False)
            if not self._tty:
                with contextlib.suppress(OSError):
                    fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, LARGE)

    async def output(self) -> AsyncIterator[tuple[int, bytes]]:
        """Yield (stream, bytes) until every writer has gone."""
        sizes = dict.fromkeys(self._readers, SMALL)
        try:
            while self._readers:
                idle = True
                for fd, stream in tuple(self._readers.items()):
                    data = _read(fd, sizes[fd])
                    if data is None:
                        continue
                    idle = False
                    if not data:
                        self._close_reader(fd)
                        continue
                    sizes[fd] = LARGE if len(data) == sizes[fd] else SMALL
                    yield stream, data
                if idle:
                    await readable(tuple(self._readers))
        finally:
            for fd in tuple(self._readers):
                self._close_reader(fd)

    def _close_reader(self, fd: int) -> None:
        del self._readers[fd]
        if self._tty:
            self._stdin = None
        os.close(fd)

    async def write(self, data: bytes) -> None:
        """Write all of it; BrokenPipeError when nobody will read it."""
        rest = memoryview(data)
        while rest:
            if self._stdin is None:
                raise BrokenPipeError(errno.EPIPE, "standard input is closed")
            try:
                rest = rest[os.write(self._stdin, rest) :]
            except BlockingIOError:
                await _writable(self._stdin)
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                raise BrokenPipeError(errno.EPIPE, "the terminal has hung up") from None

    def close_stdin(self) -> None:
        """End a piped input; a terminal stays open."""
        if self._stdin is not None and not self._tty:
            os.close(self._stdin)
            self._stdin = None

    def resize(self, height: int, width: int) -> None:
        """Set a terminal's size; nothing without a terminal."""
        if self._tty and self._stdin is not None:
            termios.tcsetwinsize(self._stdin, (height, width))

    def close(self) -> None:
        """Close what is still open."""
        self.close_stdin()
        for fd in tuple(self._readers):
            self._close_reader(fd)


def _read(fd: int, size: int) -> bytes | None:
    """Return what is there, b"" at the end, None when nothing is there yet."""
    try:
        return os.read(fd, size)
    except BlockingIOError:
        return None
    except OSError as error:
        if error.errno == errno.EIO:  # a terminal whose last program has closed it
            return b""
        raise


async def readable(fds: tuple[int, ...]) -> None:
    """Wait until one of the descriptors can be read."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    for fd in fds:
        loop.add_reader(fd, _done, ready)
    try:
        await ready
    finally:
        for fd in fds:
            loop.remove_reader(fd)


async def _writable(fd: int) -> None:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    loop.add_writer(fd, _done, ready)
    try:
        await ready
    finally:
        loop.remove_writer(fd)


def _done(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
