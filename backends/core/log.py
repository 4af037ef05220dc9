"""A container's recorded output: append-only files of timed, line-aligned records.

A record is ``time in ns (8), stream (1), length (4), data, length (4)``, big-endian; the trailing length lets a reader
walk backwards for ``--tail``. A position in the log is a byte offset, so a reader that follows needs no memory in the
engine and neither loses nor repeats anything: it reads up to the end, waits for the end to move, reads on.

With a size limit the log is several files, ``path`` the newest, ``path.1`` before it and so on, of which the oldest is
dropped in time. Positions go on counting across them; a reader whose position is gone goes on with what is left.

Lines are cut as Docker's json-file driver does: a record ends at a newline, at 16 KiB of an unfinished line, or at the
end of a run. One record may hold many lines that arrived together; they share its time.

Resource handling: the file is opened by the first append and closed by ``close``; records survive the death of the
worker because they are written, not buffered. A torn last record is cut off when the log is opened again.
"""

from __future__ import annotations

import asyncio
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LINE_LIMIT = 16 * 1024
_HEAD = struct.Struct(">QBI")
_TAIL = struct.Struct(">I")
_EXTRA = _HEAD.size + _TAIL.size


@dataclass(frozen=True, slots=True)
class Record:
    """Line-aligned output. ``end`` is the position after it."""

    time: int
    stream: int
    data: bytes
    end: int


class Unwritten(Exception):
    """``lost`` bytes at the end of an append are not in the log; the rest of it and all before are."""

    def __init__(self, reason: str, lost: int) -> None:
        super().__init__(reason)
        self.lost = lost


class LineCutter:
    """Hold back the unfinished last line of a stream."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """Return what may be recorded now: whole lines and whole 16 KiB pieces of a longer one."""
        if self._held:
            data = self._held + data
        end = data.rfind(b"\n") + 1
        end += (len(data) - end) // LINE_LIMIT * LINE_LIMIT
        self._held = data[end:]
        return data[:end]

    @property
    def held(self) -> bytes:
        """The unfinished line."""
        return self._held

    def flush(self) -> bytes:
        """Return the unfinished line and forget it."""
        held, self._held = self._held, b""
        return held


def pieces(data: bytes) -> Iterator[bytes]:
    """Split a record into the lines that ``docker logs`` frames one by one; newlines are kept."""
    start = 0
    while start < len(data):
        newline = data.find(b"\n", start)
        end = len(data) if newline < 0 else newline + 1
        while end - start > LINE_LIMIT + 1:
            yield data[start : start + LINE_LIMIT]
            start += LINE_LIMIT
        yield data[start:end]
        start = end


@dataclass(slots=True)
class _Segment:
    """One file of a log; ``start`` and ``end`` are positions."""

    path: Path
    start: int
    end: int


class Log:
    """One container's log. ``max_size`` is that of a file in bytes (None = no limit), ``max_files`` counts them."""

    def __init__(self, path: Path, *, max_size: int | None = None, max_files: int = 1) -> None:
        self.path = path
        self._max_size = max_size
        self._max_files = max_files
        self._fd: int | None = None
        self._waiters: set[asyncio.Future[None]] = set()
        self._segments = _found(path)

    @property
    def start(self) -> int:
        """The position of the oldest record that is left."""
        return self._segments[0].start

    @property
    def end(self) -> int:
        """The position after the newest record."""
        return self._segments[-1].end

    def append(self, time: int, stream: int, data: bytes) -> None:
        """Write one record, or several where a file is full; Unwritten when the disk is (whole records stay)."""
        while data:
            try:
                data = self._append_some(time, stream, data)
            except OSError as error:
                raise Unwritten(error.strerror or str(error), len(data)) from error
        self.wake()

    def _append_some(self, time: int, stream: int, data: bytes) -> bytes:
        """Write what belongs into the present file: at least a line. Returns the rest."""
        current, cut = self._segments[-1], len(data)
        if self._max_size is not None:
            if current.end - current.start >= self._max_size:
                self._rotate()
                current = self._segments[-1]
            room = self._max_size - (current.end - current.start)
            cut = data.find(b"\n", room - 1) + 1 or len(data)
        self._write(current, time, stream, data[:cut])
        return data[cut:]

    def _write(self, current: _Segment, time: int, stream: int, data: bytes) -> None:
        if self._fd is None:
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        record = b"".join((_HEAD.pack(time, stream, len(data)), data, _TAIL.pack(len(data))))
        place = current.end - current.start
        rest = memoryview(record)
        while rest:
            rest = rest[os.pwrite(self._fd, rest, place + len(record) - len(rest)) :]
        current.end += len(record)

    def _rotate(self) -> None:
        """Begin a new file; the names of the others count up, the oldest goes."""
        self._close()
        end = self.end
        while len(self._segments) >= self._max_files:
            self._segments.pop(0).path.unlink(missing_ok=True)
        for number, segment in zip(range(len(self._segments), 0, -1), tuple(self._segments), strict=True):
            older = Path(f"{self.path}.{number}")
            if segment.path != older:
                segment.path.rename(older)
                segment.path = older
        self._segments.append(_Segment(self.path, end, end))

    def wake(self) -> None:
        """Let those who wait look again."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    async def changed(self) -> None:
        """Wait for the next append or ``wake``."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)

    def read(self, start: int, limit: int) -> Iterator[Record]:
        """Yield the records from position ``start`` up to position ``limit``; none once the files are removed."""
        position = max(start, self.start)
        while position < limit:
            segment = next(segment for segment in self._segments if position < segment.end)
            stop = min(limit, segment.end)
            try:
                file = segment.path.open("rb", buffering=0)
            except FileNotFoundError:
                return
            with file:
                yield from _forward(file.fileno(), position, stop, segment.start)
            position = max(stop, self.start)

    def tail_position(self, lines: int, limit: int) -> tuple[int, int]:
        """Return (position, lines to skip in the record there) so that ``lines`` lines follow up to ``limit``."""
        if lines <= 0:
            return limit, 0
        for segment in reversed(self._segments):
            if segment.start == min(limit, segment.end):
                continue
            with segment.path.open("rb", buffering=0) as file:
                position = min(limit, segment.end) - segment.start
                while position > 0:
                    (length,) = _TAIL.unpack(os.pread(file.fileno(), _TAIL.size, position - _TAIL.size))
                    position -= length + _EXTRA
                    data = os.pread(file.fileno(), length, position + _HEAD.size)
                    count = sum(1 for _ in pieces(data))
                    if count >= lines:
                        return segment.start + position, count - lines
                    lines -= count
        return self.start, 0

    def close(self) -> None:
        """Close the file; a later append opens it again."""
        self._close()
        self.wake()

    def _close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def _found(path: Path) -> list[_Segment]:
    """The files of a log that is opened, the newest last; what a dying worker left half written is cut off."""
    older = [file for file in path.parent.glob(f"{path.name}.*") if file.suffix[1:].isdigit()]
    files = sorted(older, key=lambda file: int(file.suffix[1:]), reverse=True)
    segments: list[_Segment] = []
    for file in (*files, path):
        start = segments[-1].end if segments else 0
        segments.append(_Segment(file, start, start + _sound_length(file)))
    return segments


def _sound_length(path: Path) -> int:
    """Return the length of the intact records; cut off what comes after them."""
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        return 0
    with path.open("rb") as file:
        if size == 0 or _ends_intact(file.fileno(), size):
            return size
        end = 0
        for record in _forward(file.fileno(), 0, size, 0):
            end = record.end
    os.truncate(path, end)
    return end


def _ends_intact(fd: int, size: int) -> bool:
    if size < _EXTRA:
        return False
    (length,) = _TAIL.unpack(os.pread(fd, _TAIL.size, size - _TAIL.size))
    start = size - length - _EXTRA
    if start < 0:
        return False
    _, stream, again = _HEAD.unpack(os.pread(fd, _HEAD.size, start))
    return bool(again == length and stream in (1, 2))


def _forward(fd: int, start: int, limit: int, base: int) -> Iterator[Record]:
    """Read records in blocks: many small ones cost one system call. ``base`` is the position of the file's first."""
    block = b""
    offset = start  # position of block[0]
    while start < limit:
        at = start - offset
        if len(block) - at < _HEAD.size:
            block, offset, at = os.pread(fd, max(1 << 18, _HEAD.size), start - base), start, 0
            if len(block) < _HEAD.size:
                return
        time, stream, length = _HEAD.unpack_from(block, at)
        whole = length + _EXTRA
        if start + whole > limit:
            return
        if len(block) - at < whole:
            block, offset, at = os.pread(fd, max(1 << 18, whole), start - base), start, 0
            if len(block) < whole:
                return
        start += whole
        yield Record(time, stream, block[at + _HEAD.size : at + _HEAD.size + length], start)
