"""The volumes of a worker: host directories ``<data>/volumes/<name>/_data`` of the local driver."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from backends.api import types as t
from backends.api.errors import Conflict, EngineError, InvalidArgument, NotFound, Unsupported
from backends.core import localvolume
from backends.core.clock import rfc3339_seconds
from backends.core.context import Context
from backends.core.filters import boolean, check_keys, labels_match, name_matches
from backends.core.mounts import check_driver, check_volume_name
from backends.core.names import new_id
from backends.core.records import MountRecord, VolumeRecord
from backends.core.tmpfs import Tmpfs
from backends.core.trees import remove_tree

ANONYMOUS = "com.docker.volume.anonymous"
Users = Callable[[str], list[str]]


class Volumes:
    """All volumes of one worker by name; ``users`` names the containers that refer to one."""

    def __init__(self, context: Context, users: Users) -> None:
        self._context = context
        self._users = users
        self._root = context.directory / "volumes"
        self._by_name: dict[str, VolumeRecord] = {}

    def recover(self) -> None:
        """Read the journal; finish what was half made or half removed."""
        self._root.mkdir(parents=True, exist_ok=True)
        for record in self._context.store.all("volume", VolumeRecord):
            self._by_name[record.name] = record
            self.data(record.name).mkdir(parents=True, exist_ok=True)
        for directory in self._root.iterdir():
            if directory.name not in self._by_name:
                remove_tree(directory)

    def data(self, name: str) -> Path:
        """The host directory of the volume: what inspect tells, and what goes with it."""
        return self._root / name / "_data"

    def content(self, name: str) -> Path:
        """The host directory that a container sees: the volume's own, or the one that its options name."""
        options = self._find(name).options
        return localvolume.directory(self.data(name), options) if options else self.data(name)

    def memory(self, name: str) -> Tmpfs | None:
        """The tmpfs that a container sees instead, if the volume's options say so; NotFound."""
        options = self._find(name).options
        return localvolume.memory(options) if options else None

    def has(self, name: str) -> bool:
        """Whether the volume exists."""
        return name in self._by_name

    def create(self, request: t.Json) -> t.Volume:
        """Docker's POST /volumes/create; the volume of that name when there is one."""
        name = request.get("Name") or ""
        driver = request.get("Driver") or "local"
        anonymous = not name
        name = check_volume_name(name) if name else new_id()
        check_driver(driver, name)
        if (found := self._by_name.get(name)) is not None:
            return self._render(found)
        options = request.get("DriverOpts") or None
        if options:
            localvolume.check_options(name, options)
        labels = request.get("Labels")
        if anonymous:
            labels = {**(labels or {}), ANONYMOUS: ""}
        return self._render(self._add(name, labels, anonymous, options))

    def check(self, mounts: Iterable[MountRecord]) -> None:
        """Refuse, before anything is made, volumes that cannot be made or mounted so. Unsupported, InvalidArgument."""
        by_volume: dict[str, list[MountRecord]] = {}
        for mount in mounts:
            if mount.kind == "volume":
                by_volume.setdefault(mount.volume, []).append(mount)
        for name, same in by_volume.items():
            known = self._by_name.get(name)
            options = known.options if known is not None else same[0].options
            if not options:
                continue
            if known is None:
                localvolume.check_options(name, options)
            whole = len(same) == 1 and not (same[0].subpath or same[0].read_only)
            if localvolume.memory(options) is not None and not whole:
                raise Unsupported(
                    f"volume {name} is in memory: mounting it read-only, in part or twice is not supported"
                )

    def ensure(self, mount: MountRecord) -> None:
        """Make the volume of a mount, once checked, if there is none of that name; an anonymous one goes with its
        container."""
        if mount.volume not in self._by_name:
            labels = {ANONYMOUS: ""} if mount.anonymous else mount.labels
            self._add(mount.volume, labels, mount.anonymous, mount.options)

    def _add(
        self, name: str, labels: dict[str, str] | None, anonymous: bool, options: dict[str, str] | None
    ) -> VolumeRecord:
        self._context.store.require_room()
        record = VolumeRecord(name, self._context.clock(), labels, options, anonymous)
        self._context.store.put("volume", name, record)
        try:
            self.data(name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            self._context.store.delete("volume", name)
            raise EngineError(f"create {name}: {(error.strerror or str(error)).lower()}") from error
        self._by_name[name] = record
        self._context.events.emit("volume", "create", name, {"driver": "local"})
        return record

    def inspect(self, name: str) -> t.Volume:
        """Docker's GET /volumes/{name}."""
        return self._render(self._find(name))

    def _find(self, name: str) -> VolumeRecord:
        if (record := self._by_name.get(name)) is None:
            raise NotFound(f"get {name}: no such volume")
        return record

    def select(self, filters: t.Filters) -> list[t.Volume]:
        """Docker's GET /volumes."""
        check_keys(filters, {"dangling", "driver", "label", "name"})
        dangling = boolean(filters, "dangling")
        return [
            self._render(record)
            for record in sorted(self._by_name.values(), key=lambda record: record.name)
            if (dangling is None or dangling == (not self._users(record.name)))
            and (not filters.get("driver") or "local" in filters["driver"])
            and name_matches(filters.get("name", ()), record.name)
            and labels_match(filters.get("label", ()), record.labels)
        ]

    async def remove(self, name: str, force: bool) -> None:
        """Docker's DELETE /volumes/{name}; Conflict while a container refers to it."""
        if force and name not in self._by_name:
            return
        record = self._find(name)
        if users := self._users(name):
            raise Conflict(f"remove {name}: volume is in use - [{', '.join(users)}]")
        rubbish = self._root / f".{new_id()}"
        self._context.store.delete("volume", name)  # first: a directory without a record is gone after a crash
        try:
            (self._root / name).rename(rubbish)
        except OSError as error:
            self._context.store.put("volume", name, record)
            raise EngineError(f"remove {name}: {(error.strerror or str(error)).lower()}") from error
        del self._by_name[name]
        self._context.events.emit("volume", "destroy", name, {"driver": "local"})
        await asyncio.to_thread(remove_tree, rubbish)

    async def remove_anonymous(self, name: str) -> None:
        """Remove a volume with its container, unless another container refers to it."""
        record = self._by_name.get(name)
        if record is not None and record.anonymous and not self._users(name):
            await self.remove(name, force=True)

    async def prune(self, filters: t.Filters) -> t.Pruned:
        """Remove unused volumes: anonymous ones, or all with the filter all=true."""
        check_keys(filters, {"all", "label", "label!"})
        everything = boolean(filters, "all") or False
        gone, freed = [], 0
        for record in list(self._by_name.values()):
            if self._users(record.name) or not (everything or record.anonymous):
                continue
            if not labels_match(filters.get("label", ()), record.labels):
                continue
            if filters.get("label!") and labels_match(filters["label!"], record.labels):
                continue
            size = await asyncio.to_thread(tree_size, self.data(record.name))
            try:
                await self.remove(record.name, force=False)
            except (Conflict, NotFound):
                continue  # someone uses it by now, or has removed it
            freed += size
            gone.append(record.name)
        self._context.events.pruned("volume", freed)
        return t.Pruned(deleted=gone, space_reclaimed=freed)

    async def usage(self) -> list[t.Volume]:
        """Every volume with its size and the number of containers that refer to it."""
        found = []
        for record in list(self._by_name.values()):
            size = await asyncio.to_thread(tree_size, self.data(record.name))
            found.append(self._render(record, {"RefCount": len(self._users(record.name)), "Size": size}))
        return found

    def _render(self, record: VolumeRecord, usage: t.Json | None = None) -> t.Volume:
        return t.Volume(
            created_at=rfc3339_seconds(record.created),
            driver="local",
            labels=record.labels,
            mountpoint=str(self.data(record.name)),
            name=record.name,
            options=record.options,
            scope="local",
            usage_data=usage if usage is not None else msgspec.UNSET,
        )


def subpath(directory: Path, relative: str) -> Path:
    """Return a directory inside a volume; it must exist and may not lead out of it."""
    found = Path(os.path.realpath(directory / relative))
    if not found.is_relative_to(os.path.realpath(directory)):
        raise InvalidArgument(f"subpath {relative} leads out of the volume")
    if not found.exists():
        raise NotFound(f"subpath {relative} does not exist in the volume")
    return found


def tree_size(path: Path) -> int:
    """Bytes of the files below ``path``; what vanishes meanwhile counts nothing."""
    total = 0
    for root, _, files in os.walk(path):
        for name in files:
            try:
                total += os.lstat(os.path.join(root, name)).st_size
            except FileNotFoundError:
                continue
    return total
