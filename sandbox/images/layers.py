"""The layers of a store: ``layers/<hex of the diff id>/`` holds ``tar``, ``index``, ``info`` and the blobs it came as.

A layer directory is made in scratch and renamed in as a whole, so it exists complete or not at all; whoever loses the
race to make it drops its own. A compressed blob is kept beside its tar (``blob-<hex>``) because packing again would not
give the same digest; a plain blob is the tar. ``content``, where a tar has sparse files, is the tar and behind it those
files whole: what the index's offsets mean then.
"""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from weakref import WeakValueDictionary

import msgspec

from sandbox.images.compression import MAGIC_LENGTH, decompress, sniff
from sandbox.images.disk import Disk, storage_errors
from sandbox.images.errors import InvalidImage, LayerMissing
from sandbox.images.layer import Entry, LayerIndex, write_index
from sandbox.images.layerbuild import index_tar
from sandbox.images.sparse import Content


class Cancelled(Exception):
    """The caller set ``stop`` while a layer was being unpacked."""


class Layer(msgspec.Struct, frozen=True):
    """A stored layer: ``size`` is the bytes of its files (Docker's notion), ``tar_size`` those of its archive."""

    diff_id: str
    size: int
    tar_size: int


class Blob(msgspec.Struct, frozen=True):
    """A file whose bytes have ``digest``."""

    digest: str
    path: Path
    size: int


class LayerStore:
    """Layers by diff id. Safe to use from several threads and processes."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._root = disk.root / "layers"
        self._open: WeakValueDictionary[str, LayerIndex] = WeakValueDictionary()
        self._opening = threading.Lock()
        self._infos: dict[str, Layer] = {}

    def has(self, diff_id: str) -> bool:
        """Whether the layer is here, whole."""
        return (self._directory(diff_id) / "info").exists()

    def renew(self, diff_id: str) -> bool:
        """Whether the layer is here; from now on it is as young as one that just came (see ``Store.collect``)."""
        try:
            os.utime(self._directory(diff_id))
        except FileNotFoundError:
            return False
        return self.has(diff_id)

    def info(self, diff_id: str) -> Layer:
        """Sizes of a layer; LayerMissing."""
        path = f"{self._root}/{diff_id.removeprefix('sha256:')}/info"
        known = self._infos.get(diff_id)
        if known is not None and os.path.exists(path):
            return known
        try:
            with open(path, "rb") as file:
                known = self._infos[diff_id] = msgspec.json.decode(file.read(), type=Layer)
            return known
        except FileNotFoundError:
            self._infos.pop(diff_id, None)
            raise LayerMissing(f"layer {diff_id} is not in the store") from None

    def open(self, diff_id: str) -> LayerIndex:
        """The layer's index; one object, and one descriptor, for all who have it open in this process."""
        with self._opening:
            layer = self._open.get(diff_id)
            if layer is None:
                directory = self._directory(diff_id)
                try:
                    whole = directory / "content"
                    tar = whole if whole.exists() else directory / "tar"
                    layer = LayerIndex.open(tar, directory / "index", diff_id)
                except FileNotFoundError:
                    raise LayerMissing(f"layer {diff_id} is not in the store") from None
                self._open[diff_id] = layer
            return layer

    def tar(self, diff_id: str) -> Blob:
        """The uncompressed archive; its digest is the diff id."""
        return Blob(diff_id, self._directory(diff_id) / "tar", self.info(diff_id).tar_size)

    def blobs(self, diff_id: str) -> list[Blob]:
        """The compressed blobs this layer came as, oldest first; none if it came plain."""
        found = sorted(self._directory(diff_id).glob("blob-*"), key=lambda path: path.stat().st_mtime_ns)
        return [Blob(f"sha256:{path.name[5:]}", path, path.stat().st_size) for path in found]

    def put(
        self,
        source: Path,
        *,
        digest: str | None = None,
        expected: str | None = None,
        stop: threading.Event | None = None,
    ) -> Layer:
        """Take the file ``source`` (plain or compressed tar; moved away) in as a layer.

        ``digest`` is what its bytes are known to hash to. InvalidImage if it is no valid layer or its uncompressed
        digest is not ``expected``; StorageFull; Cancelled once ``stop`` is set. After an error nothing is left but
        ``source`` itself.
        """
        if expected is not None and self.renew(expected):
            source.unlink()
            return self.info(expected)
        with self._disk.scratch() as scratch, storage_errors():
            made = scratch / "layer"
            made.mkdir()
            with source.open("rb") as file:
                plain = sniff(file.read(MAGIC_LENGTH)) == "plain"
            diff_id = (digest if plain else None) or _unpack(source, None if plain else made / "tar", stop)
            if expected is not None and diff_id != expected:
                raise InvalidImage(f"layer has diff id {diff_id}, its image says {expected}")
            layer = _write_index(source if plain else made / "tar", made, diff_id)
            name = "tar" if plain else f"blob-{(digest or _hash(source)).removeprefix('sha256:')}"
            os.link(source, made / name)  # who waits for `source`, locked by the caller, waits until the layer is here
            self._publish(made, diff_id)
            source.unlink()
        return layer

    def put_stream(self, pieces: Iterator[bytes], *, expected: str | None = None) -> Layer:
        """Take a layer in from the pieces of a plain or compressed tar, as ``put`` does."""
        with self._disk.scratch() as scratch, storage_errors():
            path = scratch / "incoming"
            with path.open("wb") as file:
                for piece in pieces:
                    file.write(piece)
            return self.put(path, expected=expected)

    def delete(self, diff_id: str) -> None:
        """Remove a layer (no error if it is not here). Who has it open keeps reading it."""
        self._disk.discard(self._directory(diff_id))

    def all(self) -> list[str]:
        """The diff ids of every layer here."""
        return [f"sha256:{path.name}" for path in self._root.iterdir()]

    def age(self, diff_id: str, now: float) -> float:
        """Seconds since the layer came or was last renewed."""
        return now - self._directory(diff_id).stat().st_mtime

    def _publish(self, made: Path, diff_id: str) -> None:
        try:
            os.rename(made, self._directory(diff_id))
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            self.renew(diff_id)

    def _directory(self, diff_id: str) -> Path:
        return self._root / diff_id.removeprefix("sha256:")


def _unpack(source: Path, target: Path | None, stop: threading.Event | None) -> str:
    """Decompress ``source`` into ``target`` (None: only hash it); returns the digest of what came out."""
    hasher = hashlib.sha256()
    with source.open("rb") as packed, open(target or os.devnull, "wb", buffering=0) as out:
        for piece in decompress(packed):
            if stop is not None and stop.is_set():
                raise Cancelled
            hasher.update(piece)
            if target is not None:
                _write_all(out.fileno(), piece)
    return f"sha256:{hasher.hexdigest()}"


def _write_all(fd: int, data: bytes) -> None:
    """A write may be short just before the disk is full or the size limit is reached."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def _write_index(tar: Path, made: Path, diff_id: str) -> Layer:
    size = 0

    def counted(entries: Iterator[Entry]) -> Iterator[Entry]:
        nonlocal size
        for entry in entries:
            size += len(os.fsencode(entry.link)) if entry.kind == "symlink" else entry.size
            yield entry

    with tar.open("rb") as file, (made / "index").open("wb") as index:
        content = Content(
            file.fileno(), lambda: os.open(made / "content", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        )
        try:
            write_index(counted(index_tar(file.fileno(), content)), index.write)
        finally:
            if content.fd != file.fileno():
                os.close(content.fd)
        layer = Layer(diff_id, size, os.fstat(file.fileno()).st_size)
    (made / "info").write_bytes(msgspec.json.encode(layer))
    return layer
