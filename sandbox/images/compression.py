"""Decompress a stream of unknown kind, a bounded piece at a time: gzip, zstd, xz, bzip2 or plain, told by the magic;
and compress one as gzip.

Output pieces are at most ``PIECE`` bytes however well the input is packed, so a compression bomb meets the disk's limit
and not the memory's.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Iterator
from typing import IO, Literal, Protocol, cast

import zstandard

from sandbox.images.errors import InvalidImage

PIECE = 1 << 20
_INPUT = 1 << 17
_GZIP = 31  # zlib's window of 15, with gzip's header
_XZ_MEMORY = 1 << 28
_ZSTD_WINDOW = 1 << 27
MAGIC_LENGTH = 6

Format = Literal["plain", "gzip", "zstd", "xz", "bzip2"]


class Reader(Protocol):
    """Anything that gives bytes; b"" at the end."""

    def read(self, size: int, /) -> bytes: ...


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


def sniff(start: bytes) -> Format:
    """The format a stream has that begins with ``start`` (at least MAGIC_LENGTH bytes, if it has so many)."""
    if start.startswith(b"\x1f\x8b"):
        return "gzip"
    if start.startswith(b"\x28\xb5\x2f\xfd") or (start[1:4] == b"\x2a\x4d\x18" and start[0] & 0xF0 == 0x50):
        return "zstd"
    if start.startswith(b"\xfd7zXZ\x00"):
        return "xz"
    return "bzip2" if start.startswith(b"BZh") else "plain"


def decompress(source: Reader) -> Iterator[bytes]:
    """Yield the plain bytes of ``source``; InvalidImage if the compressed stream is damaged (zstd: see _zstd)."""
    start = _read_start(source)
    joined = _Joined(start, source)
    kind = sniff(start)
    if kind == "plain":
        yield from iter(lambda: joined.read(PIECE), b"")
    elif kind == "zstd":
        yield from _zstd(joined)
    else:
        yield from _members(kind, joined)


def _read_start(source: Reader) -> bytes:
    start = b""
    while len(start) < MAGIC_LENGTH:
        data = source.read(_INPUT)
        if not data:
            break
        start += data
    return start


class _Joined:
    """What was read to sniff, then the rest."""

    def __init__(self, start: bytes, rest: Reader) -> None:
        self._start = start
        self._rest = rest

    def read(self, size: int = -1, /) -> bytes:
        if self._start:
            data, self._start = (self._start[:size], self._start[size:]) if size >= 0 else (self._start, b"")
            return data
        return self._rest.read(size)


class _Gzip:
    """zlib's object with the interface of the lzma and bz2 ones."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=_GZIP)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)


def _new(kind: Format) -> _Decompressor:
    if kind == "gzip":
        return _Gzip()
    if kind == "xz":
        return cast(_Decompressor, lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY))
    return cast(_Decompressor, bz2.BZ2Decompressor())


def _members(kind: Format, source: _Joined) -> Iterator[bytes]:
    """Concatenated members, as gzip, xz and bzip2 allow; zero padding after one ends the stream."""
    engine = _new(kind)
    pending = source.read(_INPUT)
    while True:
        try:
            out = engine.decompress(pending, PIECE)
        except (zlib.error, lzma.LZMAError, OSError) as error:
            raise InvalidImage(f"damaged {kind} stream: {error}") from error
        pending = b""
        if out:
            yield out
        if engine.eof:
            rest = engine.unused_data or source.read(_INPUT)
            if not rest.strip(b"\0"):
                return
            engine, pending = _new(kind), rest
        elif engine.needs_input and not out:
            pending = source.read(_INPUT)
            if not pending:
                raise InvalidImage(f"damaged {kind} stream: unexpected end")


def _zstd(source: _Joined) -> Iterator[bytes]:
    """NOTE: the library ends silently where its input is cut off; the tar inside and its digest then tell."""
    factory = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
    reader = factory.stream_reader(cast(IO[bytes], source), read_size=_INPUT, read_across_frames=True)
    while True:
        try:
            piece = reader.read(PIECE)
        except zstandard.ZstdError as error:
            raise InvalidImage(f"damaged zstd stream: {error}") from error
        if not piece:
            return
        yield piece


def pack(source: Reader) -> Iterator[bytes]:
    """Yield ``source`` as gzip. The same bytes give the same bytes: no name, no time (with one version of zlib)."""
    packer = zlib.compressobj(6, zlib.DEFLATED, _GZIP)
    while data := source.read(PIECE):
        if packed := packer.compress(data):
            yield packed
    yield packer.flush()
