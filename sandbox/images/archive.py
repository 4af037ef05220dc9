"""Images as archives: load and save (docker-archive and OCI layout), import of a root file system.

Streams are asynchronous at the edge; the work on files runs in a thread.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from sandbox.images import archivesave
from sandbox.images.archiveload import Loaded, load_members
from sandbox.images.compression import decompress
from sandbox.images.disk import storage_errors
from sandbox.images.errors import StorageFull
from sandbox.images.image import Image
from sandbox.images.layers import Cancelled
from sandbox.images.members import split
from sandbox.images.platforms import Platform
from sandbox.images.reference import Reference
from sandbox.images.store import Store
from sandbox.images.threads import in_thread, stoppable

STOP_POLL = 0.25

__all__ = ["Imported", "Loaded", "import_", "load", "save"]


@dataclass(frozen=True, slots=True)
class Imported:
    """How an imported image is described: ``config`` is the OCI image config's ``config`` object."""

    reference: Reference | None = None
    config: Mapping[str, Any] | None = None
    message: str = "Imported from -"
    platform: Platform | None = None


async def load(store: Store, stream: AsyncIterator[bytes], *, platform: Platform | None = None) -> list[Loaded]:
    """Load the archive that ``stream`` carries (plain, gzip, zstd, xz or bzip2); needs its size on disk once.

    Returns what was loaded in the archive's order; InvalidImage, StorageFull. Images before a broken one stay.
    """
    with _Feed(stream) as feed:
        wanted = platform or Platform.local()
        return await stoppable(feed.stop, lambda: _load(store, feed, wanted))


async def import_(store: Store, stream: AsyncIterator[bytes], how: Imported) -> Image:
    """Make an image of one layer from the tar (maybe compressed) of a root file system; InvalidImage, StorageFull."""
    with _Feed(stream) as feed:
        return await stoppable(feed.stop, lambda: _import(store, feed, how))


async def save(store: Store, refs: Sequence[str]) -> tuple[list[str], AsyncIterator[bytes]]:
    """The ids of images, and one tar of them in pieces; ImageNotFound, InvalidReference.

    A name without tag saves all tags of its repository; an id saves the image without names.
    """
    images = await in_thread(archivesave.wanted, store, refs)
    return [saved.image.id for saved in images], _pieces(archivesave.write(store, images))


async def _pieces(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    while (piece := await in_thread(next, pieces, None)) is not None:
        yield piece


def _load(store: Store, feed: _Feed, platform: Platform) -> list[Loaded]:
    with store.disk.scratch() as scratch, storage_errors():
        members = split(decompress(feed), scratch)
        return load_members(store, members, platform)


def _import(store: Store, feed: _Feed, how: Imported) -> Image:
    layer = store.layers.put_stream(decompress(feed))
    platform = how.platform or Platform.local()
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    config: dict[str, Any] = {
        "architecture": platform.architecture,
        "os": platform.os,
        "created": now,
        "config": dict(how.config or {}),
        "history": [{"created": now, "comment": how.message}],
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]},
    }
    if platform.variant:
        config["variant"] = platform.variant
    try:
        return store.add(msgspec.json.encode(config), references=[how.reference.tagged()] if how.reference else [])
    except StorageFull:
        store.drop_unused([layer.diff_id])
        raise


class _Feed:
    """Lets a thread read an asynchronous stream, one piece at a time (so the sender feels back-pressure)."""

    def __init__(self, stream: AsyncIterator[bytes]) -> None:
        self._stream = stream
        self._loop = asyncio.get_running_loop()
        self._rest = b""
        self.stop = threading.Event()

    def __enter__(self) -> _Feed:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()

    def read(self, size: int, /) -> bytes:
        """At most ``size`` bytes; b"" at the end. Cancelled if the reader is to stop."""
        while not self._rest:
            piece = self._wait(asyncio.run_coroutine_threadsafe(self._next(), self._loop))
            if piece is None:
                return b""
            self._rest = piece
        data, self._rest = self._rest[:size], self._rest[size:]
        return data

    def _wait(self, future: Future[bytes | None]) -> bytes | None:
        while True:
            if self.stop.is_set():
                future.cancel()
                raise Cancelled
            try:
                return future.result(STOP_POLL)
            except TimeoutError:
                if future.done():
                    raise  # the stream's own deadline

    async def _next(self) -> bytes | None:
        return await anext(self._stream, None)
