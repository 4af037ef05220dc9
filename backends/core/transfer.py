"""Images coming and going: pull, load, save, import, with Docker's progress lines."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from backends.api import types as t
from backends.api.engine import Download
from backends.api.errors import InvalidArgument, NotFound
from backends.core.build.changes import change_config
from backends.core.build.images import BLANK
from backends.core.context import Context
from backends.core.downloads import PIECE, open_url
from backends.core.images import announce, check_image_platform, image_failures, read_platform
from backends.core.validate import check_platform
from sandbox.images.errors import ImageNotFound
from sandbox.images.progress import Progress
from sandbox.images.reference import Reference, parse

if TYPE_CHECKING:
    from sandbox.images.archive import Imported, Loaded
    from sandbox.images.credentials import Credentials
    from sandbox.images.pull import PullEvent
    from sandbox.images.transport import RegistryConfig


class Transfer:
    """``registry`` configures mirrors and insecure registries (sandbox.images.transport.RegistryConfig)."""

    def __init__(self, context: Context, registry: RegistryConfig | None = None) -> None:
        self._context = context
        self._registry = registry

    async def pull(self, name: str, tag: str, platform: str, auth: t.Json) -> AsyncIterator[t.Progress]:
        """Docker's POST /images/create?fromImage; what keeps the image from being found is raised at once.

        A name without a tag or digest is all of its repository's tags.
        """
        from sandbox.images.credentials import Credentials, from_docker_config
        from sandbox.images.platforms import Platform
        from sandbox.images.pull import pull

        with image_failures():
            reference = _reference(name, tag)
            parts = check_platform(platform)  # first, as it refuses in Docker's words
            wanted = Platform.parse(platform) if platform else None
            credentials = Credentials.of_auth_config(auth) or await from_docker_config(reference.domain)

            def begin(one: Reference) -> AsyncIterator[PullEvent]:
                return pull(self._context.images, one, platform=wanted, credentials=credentials, config=self._registry)

            if not (reference.tag or reference.digest):
                tags = await self._tags(reference, credentials)
                return self._pulled_all(reference, [replace(reference, tag=one) for one in tags], begin)
            events = begin(reference)
            first = await anext(events)
        return self._pulled(reference, first, events, parts)

    async def _tags(self, reference: Reference, credentials: Credentials) -> list[str]:
        from sandbox.images.registry import open_repository

        async with open_repository(reference, config=self._registry, credentials=credentials) as repository:
            return await repository.tags()

    async def _pulled_all(
        self, reference: Reference, tagged: list[Reference], begin: Callable[[Reference], AsyncIterator[PullEvent]]
    ) -> AsyncIterator[t.Progress]:
        """One after the other; what came of it is told once, at the end."""
        news = "Image is up to date for"
        for one in tagged:
            with image_failures():
                async for event in begin(one):
                    if event.kind != "status":
                        yield _progress(event)
                    elif not event.status.startswith(f"Status: {news}"):
                        news = "Downloaded newer image for"
            announce(self._context, "pull", one.familiar, one.familiar_name)
        yield t.Progress(status=f"Status: {news} {reference.familiar_name}")

    async def login(self, credentials: t.Json) -> t.Json:
        """Docker's POST /auth: ask the registry whether it accepts the credentials."""
        from backends.core.login import login

        return await login(credentials, self._registry)

    async def _pulled(
        self, reference: Reference, first: PullEvent, events: AsyncIterator[PullEvent], platform: tuple[str, str, str]
    ) -> AsyncIterator[t.Progress]:
        yield _progress(first)
        event = first
        with image_failures():
            async for event in events:
                yield _progress(event)
        name = reference.tagged().familiar
        announce(self._context, "pull", name, reference.familiar_name)
        try:
            image = self._context.images.get(event.image)
        except ImageNotFound:
            return  # removed already
        try:
            check_image_platform(str(reference.tagged()), image, platform)
        except NotFound as mismatch:  # a single image, not one of an index: Docker takes it and says so
            yield t.Progress(status=f"WARNING: {mismatch.message}")

    async def load(self, body: AsyncIterator[bytes], quiet: bool, platform: str) -> AsyncIterator[t.Progress]:
        """Docker's POST /images/load; ``platform`` chooses among those of an archive, else it is this host's."""
        from sandbox.images.archive import load
        from sandbox.images.platforms import Platform

        with image_failures():
            wanted = Platform.of(*read_platform(platform)) if platform else None
            loaded = await load(self._context.images, body, platform=wanted)
        return self._loaded(loaded)

    async def _loaded(self, loaded: list[Loaded]) -> AsyncIterator[t.Progress]:
        for entry in loaded:
            if entry.replaced:
                old = f"renaming the old one with ID {entry.replaced} to empty string"
                yield t.Progress(stream=f"The image {entry.reference} already exists, {old}\n")
            announce(self._context, "load", entry.image, entry.reference or entry.image)
            yield t.Progress(stream=f"{entry.line}\n")

    async def save(self, names: list[str]) -> Download:
        """Docker's GET /images/get; unknown names are refused before the first byte."""
        from sandbox.images.archive import save

        if not names:
            raise InvalidArgument("Missing image name")
        with image_failures():
            images, pieces = await save(self._context.images, names)
            first = await anext(pieces)
        return Download(None, self._saved(images, first, pieces))

    async def _saved(self, images: list[str], first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        yield first
        with image_failures():
            async for piece in rest:
                yield piece
        for image in images:
            announce(self._context, "save", image, image)

    async def import_(self, body: AsyncIterator[bytes], request: t.ImportImage) -> AsyncIterator[t.Progress]:
        """Docker's POST /images/create?fromSrc."""
        from sandbox.images.archive import Imported
        from sandbox.images.platforms import Platform

        source = request.source if request.source == "-" or "://" in request.source else f"http://{request.source}"
        with image_failures():
            wanted = Platform.parse(request.platform) if request.platform else None
            if wanted is not None and wanted.os != "linux":
                raise InvalidArgument("operating system is not supported")
            how = Imported(
                reference=_reference(request.repo, request.tag) if request.repo else None,
                config=change_config(BLANK, request.changes),
                message=request.message or f"Imported from {source}",
                platform=wanted,
            )
        if source == "-":
            return _lines(await self._import(body, how))
        lines = self._import_from(source, how)
        return _lines(await anext(lines), lines)

    async def _import(self, body: AsyncIterator[bytes], how: Imported) -> t.Progress:
        from sandbox.images.archive import import_

        with image_failures():
            image = await import_(self._context.images, body, how)
        if how.reference:
            announce(self._context, "tag", image.id, how.reference.tagged().familiar)
        announce(self._context, "import", image.id, image.id)
        return t.Progress(status=image.id)

    async def _import_from(self, url: str, how: Imported) -> AsyncIterator[t.Progress]:
        progress: Progress[t.Progress] = Progress()
        async with open_url(url) as answer:
            total = answer.content_length or 0

            async def pieces() -> AsyncIterator[bytes]:
                here = 0
                async for piece in answer.content.iter_chunked(PIECE):
                    here += len(piece)
                    progress.hint(_bar("Importing", here, total) if total else t.Progress(status="Importing"))
                    yield piece

            async def work() -> None:
                await progress.tell(t.Progress(status=f"Downloading from {url}"))
                await progress.tell(await self._import(pieces(), how))

            async with aclosing(progress.of(work())) as lines:
                async for line in lines:
                    yield line


async def _lines(first: t.Progress, rest: AsyncIterator[t.Progress] | None = None) -> AsyncIterator[t.Progress]:
    yield first
    if rest is not None:
        async for line in rest:
            yield line


def _reference(name: str, tag: str) -> Reference:
    if not tag:
        return parse(name)
    return parse(f"{name}@{tag}" if ":" in tag else f"{name}:{tag}")


def _progress(event: PullEvent) -> t.Progress:
    """A pull event as one line; sizes become Docker's bar."""
    layer = event.layer or msgspec.UNSET
    if not event.total:
        return t.Progress(status=event.status, id=layer, progressDetail={} if event.kind == "layer" else msgspec.UNSET)
    return _bar(event.status, event.current, event.total, layer)


def _bar(status: str, current: int, total: int, layer: str | msgspec.UnsetType = msgspec.UNSET) -> t.Progress:
    detail = {"current": current, "total": total}
    return t.Progress(status=status, id=layer, progress=progress_bar(current, total), progressDetail=detail)


def progress_bar(current: int, total: int) -> str:
    """Docker's 50-column bar with sizes (pkg/jsonmessage)."""
    share = min(current * 50 // total, 50)
    bar = f"[{'=' * share}>{' ' * (50 - share)}]" if share < 50 else f"[{'=' * 50}>]"
    return f"{bar} {human_size(current):>8}/{human_size(total)}"


def human_size(size: float) -> str:
    """Docker's decimal sizes with four digits (go-units HumanSize): 1.984MB."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 1000 or unit == "TB":
            break
        size /= 1000
    return f"{size:.4g}{unit}"
