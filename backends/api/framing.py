"""Docker's stream framing: how stdout and stderr share one connection.

Each chunk is preceded by eight bytes: the stream's number, three zero bytes and the chunk's length, big-endian.
Terminals are not framed. Source: Docker Engine API, "Attach to a container", stream format.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

STDIN, STDOUT, STDERR, SYSTEMERR = 0, 1, 2, 3
_HEADER = struct.Struct(">BxxxI")
HEADER_SIZE = _HEADER.size


def frame(stream: int, data: bytes) -> bytes:
    """Return ``data`` as one frame of ``stream``."""
    return frame_header(stream, len(data)) + data


def frame_header(stream: int, size: int) -> bytes:
    """Return what stands before ``size`` bytes of ``stream``."""
    return _HEADER.pack(stream, size)


class Deframer:
    """Split a framed byte stream, fed in pieces of any size, into (stream, data) frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Add ``data`` and yield each frame that is complete."""
        self._buffer += data
        while len(self._buffer) >= HEADER_SIZE:
            stream, size = _HEADER.unpack_from(self._buffer)
            end = HEADER_SIZE + size
            if len(self._buffer) < end:
                return
            payload = bytes(self._buffer[HEADER_SIZE:end])
            del self._buffer[:end]
            yield stream, payload

    @property
    def pending(self) -> int:
        """How many bytes of an incomplete frame are held."""
        return len(self._buffer)
