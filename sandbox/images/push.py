"""Push images to a registry: layers five at a time, the topmost first, then config and manifest, told as typed events.

An image that came from a registry is pushed as it came: the same blobs and the same manifest, so the same digest. Where
that cannot be, and for images made here, layers are packed with gzip and described by a manifest as dockerd writes it.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from sandbox.images import manifests
from sandbox.images.compression import pack
from sandbox.images.credentials import Credentials
from sandbox.images.disk import storage_errors
from sandbox.images.errors import ImageNotFound, InvalidReference, LayerMissing, first_failure
from sandbox.images.image import Image
from sandbox.images.layers import Cancelled
from sandbox.images.manifests import Descriptor
from sandbox.images.progress import Progress
from sandbox.images.reference import Reference
from sandbox.images.sources import LayerSource, Plan, local, plan
from sandbox.images.store import Store
from sandbox.images.threads import in_thread, stoppable
from sandbox.images.transport import RegistryConfig
from sandbox.images.upload import Content, Target, open_target

CHECKS = 3
MOUNTS = 3
STEP = 1 << 19  # of progress, in bytes
_PACKING = 2

Kind = Literal["pushing", "layer", "tag"]


@dataclass(frozen=True, slots=True)
class PushEvent:
    """One thing a push has to say, in the order and words of ``docker push``.

    ``pushing``: the first. ``layer``: ``layer`` is the short diff id, ``current`` and ``total`` bytes where known.
    ``tag``: a tag is there; its name, the digest of its manifest and that one's size.
    """

    kind: Kind
    status: str
    layer: str = ""
    current: int = 0
    total: int = 0
    tag: str = ""
    digest: str = ""
    size: int = 0


async def push(
    store: Store,
    reference: Reference,
    *,
    credentials: Credentials | None = None,
    config: RegistryConfig | None = None,
) -> AsyncIterator[PushEvent]:
    """Push a tag, or without one every tag of the repository; each is recorded in the store as it arrives.

    After the first event: ImageNotFound, InvalidReference (a digest), Unauthorized, RegistryUnavailable, RegistryError,
    LayerMissing, StorageFull. Closing the iterator abandons the push.
    """
    yield PushEvent("pushing", f"The push refers to repository [{reference.name}]")
    tags = await in_thread(_tags, store, reference)
    async with open_target(reference, config=config, credentials=credentials) as target:
        run = _Push(store, target, config or RegistryConfig())
        async with aclosing(run.progress.of(run.run(tags))) as events:
            async for event in events:
                yield event


def _tags(store: Store, reference: Reference) -> list[tuple[Reference, str]]:
    """What to push, in dockerd's words if there is nothing."""
    if not store.repository(reference.name, digests=True):
        raise ImageNotFound(f"An image does not exist locally with the tag: {reference.familiar_name}")
    if reference.digest:
        raise InvalidReference("cannot push a digest reference")
    found = store.repository(reference.name)
    if not reference.tag:
        if not found:
            raise ImageNotFound(f"no tags to push for {reference.familiar_name}")
        return found
    wanted = [(ref, image_id) for ref, image_id in found if ref.tag == reference.tag]
    if not wanted:
        raise ImageNotFound(f"tag does not exist: {reference.familiar}")
    return wanted


class _Push:
    def __init__(self, store: Store, target: Target, config: RegistryConfig) -> None:
        self.progress: Progress[PushEvent] = Progress()
        self._store = store
        self._target = target
        self._uploads = asyncio.Semaphore(config.uploads)
        self._packing = asyncio.Semaphore(_PACKING)
        self._there: dict[str, Descriptor] = {}

    async def run(self, tags: list[tuple[Reference, str]]) -> None:
        try:
            for reference, image_id in tags:
                await self._tag(reference, await in_thread(self._store.get, image_id))
        except BaseExceptionGroup as group:
            raise first_failure(group) from None

    async def _tag(self, reference: Reference, image: Image) -> None:
        found = await in_thread(plan, self._store, image, reference)
        await self._layers(found)
        config = Content.of(await in_thread(self._store.blob, image.id))
        if not await self._target.has(config.digest):
            await self._target.upload(config, lambda sent: None)
        raw = self._manifest(found, config)
        await self._target.put_manifest(reference.tag or "", raw, manifests.media_type(raw))
        await in_thread(self._store.pushed, image.id, reference, raw)
        digest = manifests.parse(raw).digest
        status = f"{reference.tag}: digest: {digest} size: {len(raw)}"
        await self.progress.tell(PushEvent("tag", status, tag=reference.tag or "", digest=digest, size=len(raw)))

    def _manifest(self, found: Plan, config: Content) -> bytes:
        layers = tuple(self._there[source.diff_id] for source in found.layers)
        if found.manifest is not None and found.manifest.layers == layers:
            return found.manifest.raw
        return manifests.schema2(Descriptor(config.digest, config.size), layers)

    async def _layers(self, found: Plan) -> None:
        sources = {source.diff_id: source for source in reversed(found.layers)}
        for source in sources.values():
            await self._say(source, "Preparing")
        async with asyncio.TaskGroup() as group:
            for source in sources.values():
                group.create_task(self._one(source))

    async def _one(self, source: LayerSource) -> None:
        if self._uploads.locked():
            await self._say(source, "Waiting")
        async with self._uploads:
            known = self._there.get(source.diff_id)
            if known is not None and known == (source.preferred or known):
                await self._say(source, "Layer already exists")
                return
            found = await self._seen(source) or await self._mounted(source)
            self._there[source.diff_id] = found or await self._uploaded(source)

    async def _seen(self, source: LayerSource) -> Descriptor | None:
        for blob in source.known[:CHECKS]:
            if await self._target.has(blob.digest):
                await self._say(source, "Layer already exists")
                return blob
        return None

    async def _mounted(self, source: LayerSource) -> Descriptor | None:
        by_digest = {blob.digest: blob for blob in source.known}
        places = [place for place in source.repositories if place[0] in by_digest]
        for digest, path in places[:MOUNTS]:
            if await self._target.mount(digest, path):
                await self._say(source, f"Mounted from {path}")
                return by_digest[digest]
        return None

    async def _uploaded(self, source: LayerSource) -> Descriptor:
        here = await in_thread(local, self._store, source)
        if here is not None:
            descriptor, blob = here
            await self._upload(source, Content(blob.digest, blob.size, blob.path))
            return descriptor
        with self._store.disk.scratch() as scratch:
            async with self._packing:
                content = await self._pack(source.diff_id, scratch / "layer")
            descriptor = Descriptor(content.digest, content.size, manifests.DOCKER_LAYER)
            descriptor = next((blob for blob in source.known if blob.digest == content.digest), descriptor)
            if await self._target.has(content.digest):
                await self._say(source, "Layer already exists")
            else:
                await self._upload(source, content)
        return descriptor

    async def _pack(self, diff_id: str, path: Path) -> Content:
        stop = threading.Event()
        return await stoppable(stop, lambda: _packed(self._store, diff_id, path, stop))

    async def _upload(self, source: LayerSource, content: Content) -> None:
        await self._target.upload(content, lambda sent: self._progress(source, sent, content.size))
        await self._say(source, "Pushed")

    async def _say(self, source: LayerSource, status: str) -> None:
        await self.progress.tell(PushEvent("layer", status, _short(source)))

    def _progress(self, source: LayerSource, sent: int, total: int) -> None:
        """Progress is only worth telling now and then."""
        if sent % STEP == 0 or sent == total:
            self.progress.hint(PushEvent("layer", "Pushing", _short(source), sent, total))


def _packed(store: Store, diff_id: str, path: Path, stop: threading.Event) -> Content:
    hasher, size = hashlib.sha256(), 0
    with storage_errors(), _open(store, diff_id) as tar, path.open("wb") as out:
        for piece in pack(tar):
            if stop.is_set():
                raise Cancelled
            hasher.update(piece)
            size += len(piece)
            out.write(piece)
    return Content(f"sha256:{hasher.hexdigest()}", size, path)


def _open(store: Store, diff_id: str) -> BinaryIO:
    try:
        return store.layers.tar(diff_id).path.open("rb")
    except FileNotFoundError:
        raise LayerMissing(f"layer {diff_id} is not in the store") from None


def _short(source: LayerSource) -> str:
    return source.diff_id[7:19]
