"""Docker's image operations over the content store: list, inspect, history, tag, remove, prune."""

from __future__ import annotations

import asyncio
import functools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import msgspec

from backends.api import types as t
from backends.api.errors import Conflict, EngineError, InvalidArgument, NotFound, Unauthorized, Unavailable
from backends.core.clock import SECOND
from backends.core.context import Context
from backends.core.filters import boolean, check_keys, labels_match, path_match, until
from backends.core.registry import Registry
from backends.core.validate import check_platform
from sandbox.images import errors as image_errors
from sandbox.images.image import Image
from sandbox.images.platforms import Platform
from sandbox.images.reference import parse
from sandbox.images.removal import Removed, Users, remove
from sandbox.images.store import PRUNED_AGE
from sandbox.images.usage import disk_usage, history

T = TypeVar("T")
_DOOMED = "images removed while in use"
_FILTERS = {"before", "dangling", "label", "reference", "since", "until"}
_KINDS: dict[int, type[EngineError]] = {
    400: InvalidArgument,
    401: Unauthorized,
    404: NotFound,
    409: Conflict,
    503: Unavailable,
}


def engine_error(error: image_errors.ImageError) -> EngineError:
    """Return the engine's error for one of the image store's; the message is Docker's already."""
    return _KINDS.get(error.status, EngineError)(error.message)


@contextmanager
def image_failures() -> Iterator[None]:
    """The one place where the image store's errors become the engine's."""
    try:
        yield
    except image_errors.ImageError as error:
        raise engine_error(error) from error


async def blocking(work: Callable[..., T], *arguments: object) -> T:
    """Do blocking work of the image store in a thread."""
    with image_failures():
        return await asyncio.to_thread(functools.partial(work, *arguments))


def shown(images: list[Image]) -> list[Image]:
    """All but the steps of builds: nameless images that others are made from."""
    parents = {image.parent for image in images}
    return [image for image in images if not image.dangling or image.digests or image.id not in parents]


class Images:
    """Images of the store that this worker shares; containers of this worker are what uses them."""

    def __init__(self, context: Context, registry: Registry) -> None:
        self._context = context
        self._store = context.images
        self._registry = registry
        self._doomed = set(context.store.get("setting", _DOOMED, list[str]) or ())

    def resolve(self, name: str) -> Image:
        """Return the image of a name or id; NotFound in Docker's words."""
        with image_failures():
            image = self._store.resolve(name)
        if self._is_doomed(image):
            raise NotFound(f"No such image: {name}")
        return image

    def _is_doomed(self, image: Image) -> bool:
        """Removed by force while a container still needs its content; given a name again it is an image as any."""
        return image.id in self._doomed and image.dangling

    def ids(self, name: str) -> set[str]:
        """Return the ids that a name means: one, or none for an unknown name."""
        try:
            return {self._store.identify(name)}
        except image_errors.ImageError:
            return set()

    def descendants(self, name: str) -> set[str]:
        """Return the ids that an ancestor filter means: the image and all that were made from it here."""
        found: set[str] = set()
        new = self.ids(name)
        while new:
            found |= new
            new = {child for image_id in new for child in self._store.children(image_id)} - found
        return found

    def inspect(self, name: str, platform: str = "") -> t.Image:
        """Docker's GET /images/{name}/json; with ``platform`` (a specifier or its JSON) it must be that one."""
        image = self.resolve(name)
        if platform:
            check_image_platform(name, image, read_platform(platform))
        return render(image)

    async def select(self, all: bool, filters: t.Filters, shared_size: bool) -> list[t.ImageSummary]:
        """Docker's GET /images/json."""
        check_keys(filters, _FILTERS)
        for pattern in filters.get("reference", ()):
            path_match(pattern)
        images = await blocking(self._store.images)
        shared = disk_usage(images).shared if shared_size else {}
        users = Counter(container.record.image for container in self._registry)
        found = []
        for image in images if all else shown(images):
            if not self._is_doomed(image) and self._matches(image, filters):
                row = summary(image, shared.get(image.id, -1), users[image.id])
                found.append(_only_matching(row, filters.get("reference")))
        return found

    def _matches(self, image: Image, filters: t.Filters) -> bool:
        dangling = boolean(filters, "dangling")
        if dangling is not None and dangling != (image.dangling and not image.digests):
            return False
        labels = (image.config.get("config") or {}).get("Labels")
        if not labels_match(filters.get("label", ()), labels):
            return False
        limit = until(filters, self._context.clock())
        if limit is not None and image.created_ns > limit:
            return False
        for name in filters.get("before", ()):
            if image.created_ns >= self.resolve(name).created_ns:
                return False
        for name in filters.get("since", ()):
            if image.created_ns <= self.resolve(name).created_ns:
                return False
        patterns = filters.get("reference")
        return not patterns or any(_reference_matches(patterns, name) for name in (*image.tags, *image.digests))

    async def history(self, name: str) -> list[t.ImageHistory]:
        """Docker's GET /images/{name}/history."""
        image = self.resolve(name)
        images = await blocking(self._store.images)
        return [
            t.ImageHistory(
                id=item.id,
                created=item.created,
                created_by=item.created_by,
                tags=list(item.tags) or None,
                size=item.size,
                comment=item.comment,
            )
            for item in history(image, {known.id: known for known in images})
        ]

    async def tag(self, name: str, repo: str, tag: str) -> None:
        """Docker's POST /images/{name}/tag."""
        with image_failures():
            reference = parse(f"{repo}:{tag}" if tag else repo)
        image = self.resolve(name)
        with image_failures():
            if reference.digest:
                raise InvalidArgument("refusing to create a tag with a digest reference")
        await blocking(self._store.tag, image.id, reference)
        announce(self._context, "tag", image.id, reference.tagged().familiar)

    async def remove(self, name: str, force: bool, no_prune: bool) -> list[t.RemovedImage]:
        """Docker's DELETE /images/{name}."""
        image = self.resolve(name)
        work = functools.partial(remove, users=self._users, force=force, prune=not no_prune, doomed=self._doomed)
        before = len(self._doomed)
        try:
            removed = await blocking(work, self._store, name)
        finally:
            if len(self._doomed) != before:
                self._save_doomed()
        self._announce(image, removed)
        return [_removed(entry) for entry in removed]

    def _save_doomed(self) -> None:
        self._context.store.put("setting", _DOOMED, sorted(self._doomed))

    async def release(self, image_id: str) -> None:
        """A container is gone: so is the content of its image, if only it still needed that."""
        users = self._users(image_id)
        if image_id not in self._doomed or users.running or users.stopped:
            return
        self._doomed.discard(image_id)
        self._save_doomed()
        try:
            if self._store.get(image_id).dangling:
                await blocking(self._store.delete, image_id)
        except image_errors.ImageNotFound:
            return

    def _users(self, image_id: str) -> Users:
        running = stopped = ""
        for container in self._registry.users():
            if container.record.image == image_id:
                if container.running:
                    running = running or container.id
                else:
                    stopped = stopped or container.id
        return Users(running, stopped)

    def _announce(self, image: Image, removed: list[Removed]) -> None:
        labels = _labels(image)
        for entry in removed:
            if entry.untagged:
                self._context.events.emit("image", "untag", image.id, {**labels, "name": image.id})
            elif entry.deleted == entry.image:
                self._context.events.emit("image", "delete", entry.image, {"name": entry.image})

    async def prune(self, filters: t.Filters) -> tuple[list[t.RemovedImage], int]:
        """Remove what no container uses: dangling images, or all with dangling=false."""
        check_keys(filters, {"dangling", "label", "label!", "until"})
        only_dangling = boolean(filters, "dangling") is not False
        limit = until(filters, self._context.clock())
        before = disk_usage(await blocking(self._store.images)).layers_size
        gone: list[t.RemovedImage] = []
        for image in await blocking(self._store.images):
            users = self._users(image.id)
            labels = (image.config.get("config") or {}).get("Labels")
            if users.running or users.stopped or (only_dangling and not image.dangling):
                continue
            if (limit is not None and image.created_ns > limit) or not labels_match(filters.get("label", ()), labels):
                continue
            if filters.get("label!") and labels_match(filters["label!"], labels):
                continue
            gone += await self._remove_unused(image)
        after = disk_usage(await blocking(self._store.images)).layers_size
        freed = max(before - after, 0) + await blocking(self._store.collect, PRUNED_AGE)
        self._context.events.pruned("image", freed)
        return gone, freed

    async def collect(self) -> None:
        """Remove what failed and killed pulls, loads and builds left and nobody took up again."""
        await blocking(self._store.collect)

    async def _remove_unused(self, image: Image) -> list[t.RemovedImage]:
        found: list[t.RemovedImage] = []
        for name in image.tags or (image.id,):
            try:
                found += await self.remove(name, force=False, no_prune=False)
            except (Conflict, NotFound):
                continue
        return found


def announce(context: Context, action: str, actor: str, name: str) -> None:
    """Emit an image event: ``actor`` is a reference or an id, the attributes are its name and the image's labels."""
    try:
        labels = _labels(context.images.resolve(actor))
    except image_errors.ImageError:
        labels = {}
    context.events.emit("image", action, actor, {**labels, "name": name})


def _labels(image: Image) -> dict[str, str]:
    return (image.config.get("config") or {}).get("Labels") or {}


def read_platform(text: str) -> tuple[str, str, str]:
    """Read "linux/arm64" or {"os": "linux", "architecture": "arm64"}."""
    if not text.startswith("{"):
        return check_platform(text)
    try:
        parts = msgspec.json.decode(text, type=dict[str, str])
    except (ValueError, RecursionError) as error:
        raise InvalidArgument(f"invalid platform: {error}") from None
    return parts.get("os", ""), parts.get("architecture", ""), parts.get("variant", "")


def check_image_platform(name: str, image: Image, platform: tuple[str, str, str]) -> None:
    """Refuse an image of another platform, in Docker's words; "" in ``platform`` is any."""
    have = Platform.of_config(image.config)
    system, architecture, variant = platform
    wanted = Platform.of(system or have.os, architecture or have.architecture, variant)
    if any(platform) and wanted.rank(have) is None:
        raise NotFound(
            f"image with reference {name} was found but its platform ({have}) "
            f"does not match the specified platform ({'/'.join(filter(None, platform))})"
        )


def foreign_platform(image: Image) -> str:
    """Docker's warning when an image that was asked for without a platform is not for this machine; "" if it is."""
    have, here = Platform.of_config(image.config), Platform.local()
    if not have.architecture or here.rank(have) is not None:
        return ""
    return (
        f"The requested image's platform ({have}) does not match the detected host platform ({here}) "
        "and no specific platform was requested"
    )


def _reference_matches(patterns: Sequence[str], name: str) -> bool:
    """Docker's ``reference`` filter: a glob over the familiar name, with or without its tag or digest."""
    bare = parse(name).familiar_name
    return any(path_match(pattern).fullmatch(text) for text in (name, bare) for pattern in patterns)


def _only_matching(row: t.ImageSummary, patterns: Sequence[str] | None) -> t.ImageSummary:
    """A list filtered by reference shows only the names that match."""
    if not patterns:
        return row
    return msgspec.structs.replace(
        row,
        repo_tags=[name for name in row.repo_tags if _reference_matches(patterns, name)],
        repo_digests=[name for name in row.repo_digests if _reference_matches(patterns, name)],
    )


def _removed(entry: Removed) -> t.RemovedImage:
    return t.RemovedImage(untagged=entry.untagged or msgspec.UNSET, deleted=entry.deleted or msgspec.UNSET)


def render(image: Image) -> t.Image:
    """Docker's image inspect."""
    document = image.config
    return t.Image(
        id=image.id,
        repo_tags=list(image.tags),
        repo_digests=list(image.digests),
        parent=image.parent,
        comment=_comment(image),
        created=image.created or t.ZERO_TIME,
        author=document.get("author") or "",
        config=document.get("config") or {},
        architecture=image.architecture,
        variant=image.variant,
        os=image.os or "linux",
        size=image.size,
        layers=[layer.diff_id for layer in image.layers],
        last_tag_time=image.tagged_at or t.ZERO_TIME,
        docker_version=document.get("docker_version") or "",
    )


def _comment(image: Image) -> str:
    past = image.config.get("history") or []
    return (past[-1].get("comment") or "") if past and isinstance(past[-1], dict) else ""


def summary(image: Image, shared: int = -1, containers: int = -1) -> t.ImageSummary:
    """One row of an image list."""
    return t.ImageSummary(
        id=image.id,
        parent_id=image.parent,
        repo_tags=list(image.tags),
        repo_digests=list(image.digests),
        created=image.created_ns // SECOND,
        size=image.size,
        shared_size=shared,
        labels=(image.config.get("config") or {}).get("Labels"),
        containers=containers,
    )
