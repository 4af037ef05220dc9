"""One image layer: its uncompressed tar, and an index that opens in milliseconds.

An index file is a sequence of msgpack blocks of at most ``BLOCK_ENTRIES`` entries, so that reading it never holds a
whole layer in memory. Whiteouts come first: they speak of the layers below, whatever their place in the tar.
"""

from __future__ import annotations

import os
import struct
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, Literal

import msgspec

from sandbox.images.disk import storage_errors

Kind = Literal["dir", "file", "symlink", "char", "block", "fifo", "hardlink", "whiteout", "opaque"]
NO_XATTRS: Mapping[str, bytes] = MappingProxyType({})
BLOCK_ENTRIES = 2048
_MAGIC = b"SKLIDX1\n"
_PREFIX = struct.Struct(">IB")


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One member of a layer.

    ``path`` has no leading slash and never escapes (``""`` is the root directory); names that are not UTF-8 carry
    surrogate escapes, as ``os.fsdecode`` makes them. ``offset`` is where the content starts in the uncompressed tar.
    ``link`` is a symlink's target as written, or the path of the earlier entry a hard link shares. ``device`` is a
    ``dev_t``. A ``whiteout`` hides ``path`` of the layers below, an ``opaque`` everything below the directory ``path``.
    """

    path: str
    kind: Kind
    mode: int = 0
    uid: int = 0
    gid: int = 0
    size: int = 0
    mtime_ns: int = 0
    offset: int = 0
    link: str = ""
    device: int = 0
    xattrs: dict[str, bytes] | None = None


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Entry])


class LayerIndex:
    """A layer opened for reading, for as long as this object lives. May be read from several threads at once."""

    __slots__ = ("__weakref__", "_blocks", "_fd", "diff_id")

    def __init__(self, fd: int, blocks: Callable[[], Iterable[list[Entry]]], diff_id: str = "") -> None:
        self.diff_id = diff_id
        self._blocks = blocks
        self._fd = fd

    @classmethod
    def open(cls, tar: Path, index: Path, diff_id: str = "") -> LayerIndex:
        """Open a stored layer; FileNotFoundError if either half is missing. Both stay readable if they are deleted."""
        file = index.open("rb")
        return cls(os.open(tar, os.O_RDONLY | os.O_CLOEXEC), lambda: read_index(file), diff_id)

    @classmethod
    def of_tar(cls, path: Path | str) -> LayerIndex:
        """Index any plain, uncompressed tar file in memory, without a store; InvalidImage, StorageFull."""
        from sandbox.images.layerbuild import index_tar
        from sandbox.images.sparse import Content

        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        content = Content(fd, lambda: _temporary(Path(path).parent))
        try:
            with storage_errors():
                entries = list(index_tar(fd, content))
        except BaseException:
            os.close(content.fd)
            raise
        finally:
            if content.fd != fd:
                os.close(fd)
        return cls(content.fd, lambda: [entries])

    def entries(self) -> Iterator[Entry]:
        """Whiteouts first, then every entry once, directories before what is in them, hard links after their target."""
        for block in self._blocks():
            yield from block

    def fd(self) -> int:
        """A descriptor of the uncompressed tar, for ``os.pread`` only. Owned by this object: do not close it."""
        return self._fd

    def __del__(self) -> None:
        os.close(self._fd)


def _temporary(directory: Path) -> int:
    with tempfile.TemporaryFile(dir=directory) as file:
        return os.dup(file.fileno())


def write_index(entries: Iterable[Entry], write: Callable[[bytes], object]) -> None:
    """Write ``entries`` as an index file. Each block: length, a flag (1: names are not all UTF-8), msgpack."""
    write(_MAGIC)
    block: list[Entry] = []
    for entry in entries:
        block.append(entry)
        if len(block) == BLOCK_ENTRIES:
            _write_block(block, write)
            block = []
    if block:
        _write_block(block, write)
    write(_PREFIX.pack(0, 0))


def read_index(file: BinaryIO) -> Iterator[list[Entry]]:
    """Yield the blocks of an index file; ValueError if it is not whole (a store never keeps one that is not)."""
    fd = file.fileno()
    position = len(_MAGIC)
    if os.pread(fd, position, 0) != _MAGIC:
        raise ValueError("not a layer index")
    while True:
        prefix = os.pread(fd, _PREFIX.size, position)
        if len(prefix) < _PREFIX.size:
            raise ValueError("layer index is cut off")
        length, escaped = _PREFIX.unpack(prefix)
        if not length:
            return
        position += _PREFIX.size + length
        block = _decoder.decode(os.pread(fd, length, position - length))
        yield [_transcode(entry, "latin-1", "utf-8") for entry in block] if escaped else block


def _write_block(block: list[Entry], write: Callable[[bytes], object]) -> None:
    escaped = 0
    try:
        data = _encoder.encode(block)
    except UnicodeEncodeError:
        data = _encoder.encode([_transcode(entry, "utf-8", "latin-1") for entry in block])
        escaped = 1
    write(_PREFIX.pack(len(data), escaped) + data)


def _transcode(entry: Entry, source: str, target: str) -> Entry:
    """msgpack strings are UTF-8; names that are not travel as Latin-1, one character a byte."""
    path = entry.path.encode(source, "surrogateescape").decode(target, "surrogateescape")
    link = entry.link.encode(source, "surrogateescape").decode(target, "surrogateescape")
    return msgspec.structs.replace(entry, path=path, link=link)
