"""What a worker does at registries besides pulling: push, search, and look at what a reference is there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import msgspec

from backends.api import types as t
from backends.api.errors import EngineError, InvalidArgument
from backends.core.context import Context
from backends.core.filters import boolean
from backends.core.images import announce, check_image_platform, image_failures, read_platform
from backends.core.transfer import progress_bar
from sandbox.images.errors import ImageNotFound
from sandbox.images.reference import Reference, id_prefix, parse

if TYPE_CHECKING:
    from sandbox.images.push import PushEvent
    from sandbox.images.search import SearchResult
    from sandbox.images.transport import RegistryConfig

SEARCH_LIMIT = 25
_MOST = 100


class Distribution:
    """``registries`` configures mirrors and insecure registries (sandbox.images.transport.RegistryConfig)."""

    def __init__(self, context: Context, registries: RegistryConfig | None = None) -> None:
        self._context = context
        self._registries = registries

    async def push(self, name: str, tag: str, platform: str, auth: t.Json) -> AsyncIterator[t.Progress]:
        """Docker's POST /images/{name}/push; only a malformed name is refused before the first line."""
        with image_failures():
            reference = parse(name)
            reference = reference.with_tag(tag) if tag else reference
        if platform:
            self._check_platform(reference, platform)
        return self._pushed(reference, auth)

    def _check_platform(self, reference: Reference, platform: str) -> None:
        wanted = read_platform(platform)
        try:
            image = self._context.images.resolve(str(reference))
        except ImageNotFound:
            return  # the push says so
        check_image_platform(reference.familiar, image, wanted)

    async def _pushed(self, reference: Reference, auth: t.Json) -> AsyncIterator[t.Progress]:
        from sandbox.images.credentials import Credentials
        from sandbox.images.push import push

        with image_failures():
            credentials = Credentials.of_auth_config(auth)
            events = push(self._context.images, reference, credentials=credentials, config=self._registries)
            async for event in events:
                yield _progress(event)
                if event.kind == "tag":
                    yield t.Progress(
                        progressDetail={}, aux={"Tag": event.tag, "Digest": event.digest, "Size": event.size}
                    )
        announce(self._context, "push", reference.familiar, reference.familiar_name)

    async def inspect(self, name: str, auth: t.Json) -> t.DistributionInspect:
        """Docker's GET /distribution/{name}/json."""
        from sandbox.images.credentials import Credentials
        from sandbox.images.registry import open_repository
        from sandbox.images.transport import explain

        prefix = id_prefix(name)
        if prefix is not None and len(prefix) == 64:
            raise EngineError("no manifest found for full image ID")
        with image_failures():
            reference = parse(name)
            opened = open_repository(
                reference,
                config=self._registries,
                credentials=Credentials.of_auth_config(auth),
                explain=lambda problem, _: explain(problem),
            )
            async with opened as repository:
                found = await repository.describe()
        descriptor = {"mediaType": found.media_type, "digest": found.digest, "size": found.size}
        return t.DistributionInspect(descriptor=descriptor, platforms=list(found.platforms) or None)

    async def search(self, term: str, limit: int | None, filters: t.Filters, auth: t.Json) -> list[t.SearchResult]:
        """Docker's GET /images/search."""
        from sandbox.images.credentials import Credentials
        from sandbox.images.search import search

        limit = SEARCH_LIMIT if limit is None else limit
        if not 1 <= limit <= _MOST:
            raise InvalidArgument(f"Limit {limit} is outside the range of [1, {_MOST}]")
        wanted = _Wanted(filters)
        with image_failures():
            credentials = Credentials.of_auth_config(auth)
            found = await search(term, limit, credentials=credentials, config=self._registries)
        return [t.SearchResult(**msgspec.structs.asdict(item)) for item in found if wanted.takes(item)]


class _Wanted:
    """The filters of a search. InvalidArgument for a value that means nothing."""

    def __init__(self, filters: t.Filters) -> None:
        self._official = boolean(filters, "is-official")
        self._automated = boolean(filters, "is-automated")
        self._stars = 0
        for text in filters.get("stars", ()):
            if not text.isdecimal():
                raise InvalidArgument(f"invalid filter 'stars={text}'")
            self._stars = max(self._stars, int(text))

    def takes(self, item: SearchResult) -> bool:
        """Whether ``item`` is wanted."""
        if self._official not in (None, item.is_official) or self._automated not in (None, item.is_automated):
            return False
        return item.star_count >= self._stars


def _progress(event: PushEvent) -> t.Progress:
    layer = event.layer or msgspec.UNSET
    if not event.total:
        return t.Progress(status=event.status, id=layer, progressDetail={} if event.layer else msgspec.UNSET)
    return t.Progress(
        status=event.status,
        id=layer,
        progress=progress_bar(event.current, event.total),
        progressDetail={"current": event.current, "total": event.total},
    )
