"""Pull an image: resolve, download three layers at a time, unpack, register; told as typed events.

What is here already is not fetched again. Layers that came stay when the registry fails or the pull is abandoned: the
next one needs only the rest (``Store.collect`` removes what stays unused). A bad image or a full disk leaves nothing.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Literal

from sandbox.images.credentials import Credentials
from sandbox.images.download import Partial, download, open_partial
from sandbox.images.errors import ImageNotFound, InvalidImage, LayerMissing, StorageFull, first_failure
from sandbox.images.image import Image, diff_ids, digest_of, parse_config
from sandbox.images.manifests import Descriptor
from sandbox.images.platforms import Platform
from sandbox.images.progress import Progress
from sandbox.images.reference import Reference
from sandbox.images.registry import Found, Repository, open_repository
from sandbox.images.store import Store
from sandbox.images.threads import in_thread, stoppable
from sandbox.images.transport import RegistryConfig

ATTEMPTS = 3

Kind = Literal["pulling", "layer", "digest", "status"]


@dataclass(frozen=True, slots=True)
class PullEvent:
    """One thing a pull has to say, in the order and words of ``docker pull``.

    ``pulling``: the first, ``layer`` is the tag or digest. ``layer``: ``layer`` is the short blob digest, ``current``
    and ``total`` bytes where known. ``digest``: of what was pulled. ``status``: the last, ``image`` is the image's id.
    """

    kind: Kind
    status: str
    layer: str = ""
    current: int = 0
    total: int = 0
    image: str = ""


async def pull(
    store: Store,
    reference: Reference,
    *,
    platform: Platform | None = None,
    credentials: Credentials | None = None,
    config: RegistryConfig | None = None,
) -> AsyncIterator[PullEvent]:
    """Pull ``reference`` (``latest`` if it has no tag) into ``store``.

    Whatever keeps the image from being found (see ``Repository.find``) is raised before the first event. Later:
    RegistryUnavailable, RegistryError, InvalidImage, StorageFull. Closing the iterator abandons the pull.
    """
    reference = reference.tagged()
    async with open_repository(reference, config=config, credentials=credentials) as repository:
        found = await repository.find(platform or Platform.local())
        run = _Pull(store, reference, repository, found)
        async with aclosing(run.progress.of(run.run())) as events:
            async for event in events:
                yield event


class _Pull:
    def __init__(self, store: Store, reference: Reference, repository: Repository, found: Found) -> None:
        self.progress: Progress[PullEvent] = Progress()
        self._store = store
        self._reference = reference
        self._repository = repository
        self._found = found
        self._downloads = asyncio.Semaphore(repository.config.downloads)
        self._unpacking = asyncio.Semaphore(2)
        self._brought: list[str] = []

    async def run(self) -> None:
        try:
            await self._run()
        except BaseExceptionGroup as group:
            error = first_failure(group)
            if isinstance(error, InvalidImage | StorageFull):
                await in_thread(self._store.drop_unused, self._brought)
            else:
                await in_thread(self._store.collect)
            raise error from None

    async def _run(self) -> None:
        reference = self._reference
        tag = reference.digest or reference.tag or ""
        await self._say("pulling", f"Pulling from {reference.path}", layer=tag)
        before = await in_thread(self._present)
        image = await self._bring()
        await self._say("digest", f"Digest: {self._found.digest}")
        news = "Image is up to date for" if image.id == before else "Downloaded newer image for"
        await self._say("status", f"Status: {news} {reference.familiar}", image=image.id)

    def _present(self) -> str:
        try:
            return self._store.resolve(str(self._reference)).id
        except ImageNotFound:
            return ""

    async def _bring(self) -> Image:
        """Bring all layers and register the image; again if another process deleted one of them in between."""
        for _ in range(ATTEMPTS):
            await self._layers()
            try:
                return await in_thread(self._register)
            except LayerMissing:
                continue
        raise LayerMissing("the image's layers keep being deleted while it is pulled")

    def _register(self) -> Image:
        reference = self._reference
        names = [reference.with_digest(self._found.digest)]
        if not reference.digest:
            names.append(reference)
        manifest = self._found.manifest.raw
        return self._store.add(self._found.config, references=names, manifest=manifest)

    def _known(self) -> bool:
        """Whether the very image is here, whole."""
        try:
            self._store.get(digest_of(self._found.config))
        except (ImageNotFound, LayerMissing):
            return False
        return True

    async def _layers(self) -> None:
        if await in_thread(self._known):
            return
        config = parse_config(self._found.config)
        wanted = diff_ids(config)
        system = config.get("os") or "linux"
        if system.lower() != "linux":
            raise InvalidImage(f'image operating system "{system}" cannot be used on this platform')
        blobs = self._found.manifest.layers
        if len(wanted) != len(blobs):
            raise InvalidImage("the manifest does not have as many layers as the image config")
        missing: dict[str, tuple[Descriptor, str]] = {}
        for blob, diff_id in zip(blobs, wanted, strict=True):
            if self._store.layers.renew(diff_id):
                await self._layer(blob, "Already exists")
            elif diff_id not in missing:
                missing[diff_id] = (blob, diff_id)
                await self._layer(blob, "Pulling fs layer")
        async with asyncio.TaskGroup() as group:
            for blob, diff_id in missing.values():
                group.create_task(self._one(blob, diff_id))

    async def _one(self, blob: Descriptor, diff_id: str) -> None:
        if self._downloads.locked():
            await self._layer(blob, "Waiting")
        async with open_partial(self._store.disk, blob.digest) as partial:
            if self._store.layers.renew(diff_id):
                partial.remove()
                await self._layer(blob, "Already exists")
                return
            async with self._downloads:
                await download(
                    self._repository,
                    blob,
                    partial,
                    lambda here, total: self._progress(blob, "Downloading", here, total),
                )
            await self._layer(blob, "Verifying Checksum")
            await self._layer(blob, "Download complete")
            async with self._unpacking:
                self._progress(blob, "Extracting", 0, blob.size)
                await self._unpack(blob, diff_id, partial)
                self._progress(blob, "Extracting", blob.size, blob.size)
            await self._layer(blob, "Pull complete")

    async def _unpack(self, blob: Descriptor, diff_id: str, partial: Partial) -> None:
        stop = threading.Event()
        put = self._store.layers.put
        self._brought.append(diff_id)
        try:
            await stoppable(stop, lambda: put(partial.path, digest=blob.digest, expected=diff_id, stop=stop))
        except (InvalidImage, StorageFull):
            partial.remove()
            raise

    async def _layer(self, blob: Descriptor, status: str) -> None:
        await self._say("layer", status, layer=_short(blob))

    async def _say(self, kind: Kind, status: str, *, layer: str = "", image: str = "") -> None:
        await self.progress.tell(PullEvent(kind, status, layer, image=image))

    def _progress(self, blob: Descriptor, status: str, current: int, total: int) -> None:
        self.progress.hint(PullEvent("layer", status, _short(blob), current, total))


def _short(blob: Descriptor) -> str:
    return blob.digest[7:19]
