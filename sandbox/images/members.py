"""Take an image archive apart as it streams in: each member becomes a file of its own in a scratch directory.

Names are only looked up, never used as paths. Symlinks and hard links between members (docker save used them for layers
that occur twice) are followed inside the archive.
"""

from __future__ import annotations

import hashlib
import posixpath
import sys
from collections.abc import Iterator
from pathlib import Path

from sandbox.images.errors import InvalidImage
from sandbox.images.layers import Blob
from sandbox.images.tarscan import Header, scan

MAX_MEMBERS = 100_000
MAX_JSON = 64 << 20
_PIECE = 1 << 20
_MAX_HOPS = 20


class Members:
    """The members of an archive by name, each a file in the scratch directory."""

    def __init__(self, files: dict[str, Blob], links: dict[str, str]) -> None:
        self._files = files
        self._links = links

    def find(self, name: str) -> Blob | None:
        """The file called ``name``, through links; None if there is none."""
        name = _normal(name)
        for _ in range(_MAX_HOPS):
            if name not in self._links:
                return self._files.get(name)
            name = self._links[name]
        return None

    def get(self, name: object) -> Blob:
        """The file called ``name``; InvalidImage."""
        found = self.find(name) if isinstance(name, str) else None
        if found is None:
            raise InvalidImage(f"invalid archive: {name!r} is missing")
        return found

    def read(self, name: object) -> bytes:
        """The content of a small member; InvalidImage."""
        blob = self.get(name)
        if blob.size > MAX_JSON:
            raise InvalidImage(f"invalid archive: {name!r} is too large")
        return blob.path.read_bytes()


def split(pieces: Iterator[bytes], scratch: Path) -> Members:
    """Write the members of a plain tar, given in pieces, into ``scratch``; InvalidImage."""
    stream = _Sequential(pieces)
    files: dict[str, Blob] = {}
    links: dict[str, str] = {}
    for count, header in enumerate(scan(stream.read_at, sys.maxsize)):
        if count >= MAX_MEMBERS:
            raise InvalidImage(f"invalid archive: more than {MAX_MEMBERS} members")
        name = _normal(header.name)
        if header.sparse is not None:
            raise InvalidImage(f"{header.name!r}: sparse entries are not supported here")
        if header.kind == ord("0"):
            files[name] = _extract(stream, header, scratch / f"member-{count}")
            links.pop(name, None)
        elif header.kind == ord("2"):
            links[name] = _normal(posixpath.join(posixpath.dirname(name), header.link))
        elif header.kind == ord("1"):
            links[name] = _normal(header.link)
    stream.drain()
    return Members(files, links)


def _normal(name: str) -> str:
    return posixpath.normpath("/" + name).lstrip("/")


def _extract(stream: _Sequential, header: Header, path: Path) -> Blob:
    hasher = hashlib.sha256()
    with path.open("wb") as file:
        left = header.size
        while left:
            data = stream.take(min(left, _PIECE))
            if not data:
                raise InvalidImage(f"truncated tar: unexpected EOF in {header.name!r}")
            hasher.update(data)
            file.write(data)
            left -= len(data)
    return Blob(f"sha256:{hasher.hexdigest()}", path, header.size)


class _Sequential:
    """Reads forward only, and looks like ``pread`` to the tar scanner, which never goes back."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._buffer = memoryview(b"")
        self._position = 0

    def take(self, most: int) -> bytes:
        """Between 1 and ``most`` bytes; b"" at the end."""
        while not self._buffer:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._buffer = memoryview(piece)
        data, self._buffer = self._buffer[:most], self._buffer[most:]
        self._position += len(data)
        return bytes(data)

    def read_at(self, count: int, offset: int) -> bytes:
        """At most ``count`` bytes from ``offset``, which is not behind what was read already."""
        while self._position < offset:
            if not self.take(min(offset - self._position, _PIECE)):
                return b""
        found = bytearray()
        while len(found) < count and (data := self.take(count - len(found))):
            found += data
        return bytes(found)

    def drain(self) -> None:
        """Read what follows the end of the archive: whoever sends it wants to get rid of it."""
        while self.take(_PIECE):
            pass
