"""The journal of a writable layer: one frame per change, appended with one write and never waited for.

A frame is its length and CRC-32 (little-endian, 4 bytes each) and then operations: an op byte, a fixed part, strings
and byte strings preceded by their length. What one system call did is one frame, so a worker that is killed in the
middle of a write loses that call whole: the reader stops at the first frame that is not whole and cuts it off.

Operations are plain assignments to the tables of the overlay (node numbers are the overlay's own):

    BIND   node, path               node is what the image has at this path (of the image, not of the container)
    NEW    node, attributes, rdev, target     a fresh inode
    PUT    directory, node, name    name in directory is node
    GONE   directory, name          name in directory is nothing, whatever the image says
    TOUCH  directory, time          its mtime and ctime
    SET    node, nlink, attributes
    XATTR  node, name, value        and with an op of its own, without value: removed
"""

from __future__ import annotations

import errno
import logging
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sandbox.wasm.vfs.inode import Attributes
from sandbox.wasm.vfs.node import fail

BIND, NEW, PUT, GONE, TOUCH, SET, XATTR, NO_XATTR = range(1, 9)

_FRAME = struct.Struct("<II")
_LENGTH = struct.Struct("<I")
_FIXED = {
    BIND: struct.Struct("<BQ"),
    NEW: struct.Struct("<BQIIIQQQQ"),
    PUT: struct.Struct("<BQQ"),
    GONE: struct.Struct("<BQ"),
    TOUCH: struct.Struct("<BQQ"),
    SET: struct.Struct("<BQIIIIQQQ"),
    XATTR: struct.Struct("<BQ"),
    NO_XATTR: struct.Struct("<BQ"),
}
_TAILS = {BIND: 1, NEW: 1, PUT: 1, GONE: 1, TOUCH: 0, SET: 0, XATTR: 2, NO_XATTR: 1}
_SIGN = 1 << 63
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Operation:
    """One operation read back: its op, the integers of its fixed part, and its strings."""

    op: int
    numbers: tuple[int, ...]
    tails: list[bytes]

    def text(self) -> str:
        """The first string, as a name."""
        return os.fsdecode(self.tails[0])


def bind(node: int, path: str) -> bytes:
    return _FIXED[BIND].pack(BIND, node) + _tail(os.fsencode(path))


def new(node: int, attributes: Attributes, rdev: int, target: str) -> bytes:
    mode, uid, gid, *times = attributes
    return _FIXED[NEW].pack(NEW, node, mode, uid, gid, rdev, *_times(times)) + _tail(os.fsencode(target))


def put(directory: int, node: int, name: str) -> bytes:
    return _FIXED[PUT].pack(PUT, directory, node) + _tail(os.fsencode(name))


def gone(directory: int, name: str) -> bytes:
    return _FIXED[GONE].pack(GONE, directory) + _tail(os.fsencode(name))


def touch(directory: int, time: int) -> bytes:
    return _FIXED[TOUCH].pack(TOUCH, directory, time + _SIGN)


def set_(node: int, nlink: int, attributes: Attributes) -> bytes:
    mode, uid, gid, *times = attributes
    return _FIXED[SET].pack(SET, node, nlink, mode, uid, gid, *_times(times))


def xattr(node: int, name: str, value: bytes | None) -> bytes:
    if value is None:
        return _FIXED[NO_XATTR].pack(NO_XATTR, node) + _tail(os.fsencode(name))
    return _FIXED[XATTR].pack(XATTR, node) + _tail(os.fsencode(name)) + _tail(value)


def _tail(data: bytes) -> bytes:
    return _LENGTH.pack(len(data)) + data


def _times(times: list[int]) -> list[int]:
    """Times before 1970 are negative: stored shifted."""
    return [time + _SIGN for time in times]


def parse(payload: bytes) -> Iterator[Operation]:
    """The operations of one frame."""
    position = 0
    while position < len(payload):
        op = payload[position]
        fixed = _FIXED[op]
        numbers = list(fixed.unpack_from(payload, position)[1:])
        position += fixed.size
        if op in (NEW, SET):
            numbers[-3:] = [time - _SIGN for time in numbers[-3:]]
        elif op == TOUCH:
            numbers[-1] -= _SIGN
        tails = []
        for _ in range(_TAILS[op]):
            (length,) = _LENGTH.unpack_from(payload, position)
            position += _LENGTH.size
            tails.append(payload[position : position + length])
            position += length
        yield Operation(op, tuple(numbers), tails)


class Journal:
    """An append-only file of frames. Not locked: its owner calls it under a lock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.length = 0
        self._fd = -1

    def replay(self) -> Iterator[bytes]:
        """Every whole frame's payload, from the beginning; what follows the last whole one is cut off."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return
        position = 0
        while (payload := _frame(data, position)) is not None:
            yield payload
            position += _FRAME.size + len(payload)
        self.length = position
        if position < len(data):
            _log.warning(
                "journal cut off after its last whole record: %s drops %d bytes", self.path.name, len(data) - position
            )
            os.truncate(self.path, position)

    def append(self, payload: bytes) -> None:
        """Write one frame; on failure (ENOSPC, ...) the file is as before."""
        if self._fd < 0:
            self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        frame = _FRAME.pack(len(payload), zlib.crc32(payload)) + payload
        try:
            complete = os.write(self._fd, frame) == len(frame)
        except OSError:
            os.ftruncate(self._fd, self.length)
            raise
        if not complete:
            os.ftruncate(self._fd, self.length)
            fail(errno.ENOSPC)
        self.length += len(frame)

    def replace(self, write: Callable[[Journal], None]) -> None:
        """Let the journal be what `write` appends to a fresh one; the old one counts until that is done."""
        fresh = Journal(self.path.with_name(self.path.name + ".new"))
        fresh.path.unlink(missing_ok=True)
        write(fresh)
        fresh.append(b"")
        os.replace(fresh.path, self.path)
        self.close()
        self._fd, self.length = fresh._fd, fresh.length

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _frame(data: bytes, position: int) -> bytes | None:
    if position + _FRAME.size > len(data):
        return None
    length, checksum = _FRAME.unpack_from(data, position)
    payload = data[position + _FRAME.size : position + _FRAME.size + length]
    return payload if len(payload) == length and zlib.crc32(payload) == checksum else None
