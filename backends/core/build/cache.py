"""The build cache: which image a step has led to before, from which parent.

A step is its parent's id and the config of the container that would carry it out; that config's Cmd holds the
instruction with the build arguments it uses, and for COPY and ADD a checksum of the sources with modes and owners.
``more`` is what else makes a RUN another one: its mounts, with checksums of what they show, and its network.
Entries are in the worker's journal; one is worth something only while its image is in the store.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec

from backends.api.types import Json
from backends.core.store import Store as Journal
from sandbox.images.errors import ImageError
from sandbox.images.image import Image
from sandbox.images.platforms import Platform
from sandbox.images.store import Store

_IDENTITY = (
    "User", "Env", "Cmd", "Entrypoint", "Labels", "ExposedPorts", "Volumes", "WorkingDir", "Healthcheck", "Shell",
    "StopSignal", "OnBuild", "Tty", "OpenStdin",
)  # fmt: skip


class Entry(msgspec.Struct, frozen=True):
    """What a step with this key has led to."""

    key: str
    image: str
    parent: str


class Cache:
    """One build's view: ``sources`` are the images of --cache-from (None: not given); ``disabled`` is --no-cache.

    After the first step of a stage that is not found the rest of the stage is not looked for, as in Docker.
    """

    def __init__(self, journal: Journal, images: Store, sources: Sequence[Image] | None, disabled: bool) -> None:
        self._journal = journal
        self._images = images
        self._sources = list(sources or ())
        self._only_sources = sources is not None
        self._disabled = disabled
        self._missed = False
        self._platform = Platform.local()

    def begin_stage(self, platform: Platform) -> None:
        """A new stage looks again; ``platform`` is what it is for."""
        self._missed = False
        self._platform = platform

    def find(self, parent: Image | None, config: Json, more: Sequence[str] = ()) -> Image | None:
        """The image of this step, or None; blocks on the disk for a moment."""
        if self._disabled or self._missed:
            return None
        found = self._recorded(parent, config, more)
        if self._only_sources and (found is None or not self._leads_to_source(found)):
            found = None if more else self._from_sources(parent, config)
        self._missed = found is None
        return found

    def record(self, parent: Image | None, config: Json, image: Image, more: Sequence[str] = ()) -> None:
        """Remember a step."""
        key = self._key(parent, config, more)
        self._journal.put("build", key, Entry(key, image.id, parent.id if parent else ""))

    def _recorded(self, parent: Image | None, config: Json, more: Sequence[str]) -> Image | None:
        entry = self._journal.get("build", self._key(parent, config, more), Entry)
        return self._get(entry.image) if entry else None

    def _key(self, parent: Image | None, config: Json, more: Sequence[str]) -> str:
        return _key(parent.id if parent else str(self._platform), config, more)

    def _get(self, image_id: str) -> Image | None:
        try:
            return self._images.get(image_id)
        except ImageError:
            return None

    def _leads_to_source(self, image: Image) -> bool:
        """Whether one of the sources was built on it."""
        for source in self._sources:
            current: Image | None = source
            while current is not None:
                if current.id == image.id:
                    return True
                current = self._get(current.parent) if current.parent else None
        return False

    def _from_sources(self, parent: Image | None, config: Json) -> Image | None:
        """A source whose history goes on from ``parent`` with this step; one that is not yet its end is cut there."""
        past = (parent.config.get("history") or []) if parent else []
        for source in self._sources:
            history = source.config.get("history") or []
            if not self._continues(source, parent) or len(history) <= len(past):
                continue
            if history[len(past)].get("created_by") != " ".join(config.get("Cmd") or ()):
                continue
            self._sources = [source]
            if len(history) == len(past) + 1:
                return source
            return self._cut(source, parent, config, len(past) + 1)
        return None

    def _continues(self, source: Image, parent: Image | None) -> bool:
        if parent is None:
            return Platform.of_config(source.config) == self._platform
        past, history = parent.config.get("history") or [], source.config.get("history") or []
        ours = [layer.diff_id for layer in parent.layers]
        theirs = [layer.diff_id for layer in source.layers[: len(ours)]]
        same = all(_step(mine) == _step(other) for mine, other in zip(past, history, strict=False))
        return len(history) > len(past) and same and ours == theirs

    def _cut(self, source: Image, parent: Image | None, config: Json, steps: int) -> Image:
        history = source.config["history"][:steps]
        layers = sum(not step.get("empty_layer") for step in history)
        document: Json = {
            **{key: source.config[key] for key in ("architecture", "os", "variant") if key in source.config},
            "config": config,
            "container_config": config,
            "created": history[-1].get("created") or source.created,
            "history": history,
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in source.layers[:layers]]},
        }
        return self._images.add(msgspec.json.encode(document), parent=parent.id if parent else "")


def _step(item: Json) -> tuple[object, ...]:
    return item.get("created_by"), item.get("created"), bool(item.get("empty_layer"))


def _key(parent: str, config: Json, more: Sequence[str]) -> str:
    identity = [config.get(name) or None for name in _IDENTITY]
    return hashlib.sha256(msgspec.json.encode([parent, identity, more], order="deterministic")).hexdigest()
