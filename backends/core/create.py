"""Making a container: check, complete from the image, reserve the name, make its volumes, let the driver prepare it."""

from __future__ import annotations

import asyncio
import shutil
import socket
from contextlib import suppress

from backends.api import types as t
from backends.api.errors import EngineError, InvalidArgument, NotFound, Unavailable
from backends.core import config as configs
from backends.core import hostconfig, mounts, names, sources, validate
from backends.core.config import Config, view
from backends.core.container import Container
from backends.core.context import Context
from backends.core.endpoints import Endpoints
from backends.core.hostconfig import HostConfig
from backends.core.images import check_image_platform, foreign_platform, image_failures
from backends.core.links import parse_link
from backends.core.records import ContainerRecord, MountRecord
from backends.core.registry import Registry
from backends.core.specs import container_spec
from backends.core.volumes import Volumes
from sandbox.images.image import Image


class Creator:
    """Docker's POST /containers/create."""

    def __init__(self, context: Context, registry: Registry, endpoints: Endpoints, volumes: Volumes) -> None:
        self._context = context
        self._registry = registry
        self._endpoints = endpoints
        self._volumes = volumes

    async def create(self, request: t.CreateContainer) -> t.Created:
        """Create a container; all or nothing of it exists afterwards."""
        self._context.store.require_room()
        if not request.config:
            raise InvalidArgument("config cannot be empty in order to create a container")
        platform = validate.check_platform(request.platform)
        user, host = view(request.config, Config), view(request.host_config, HostConfig)
        validate.check_config(user)
        validate.check_host_config(host, user)
        validate.check_runtime(host.runtime, self._context.drivers.name)
        image = self._image(user.image or "", platform)
        record = self._record(request, image, host)
        container = Container(self._context, record, image)
        self._registry.reserve(record.name, record.id)
        self._registry.expect(container)
        try:
            self._check_links(container.host)
            self._check_shared(host)
            self._plan_mounts(container)
            await self._make(container)
        except BaseException:
            await self._undo(container)
            raise
        container.emit("create")
        drivers = self._context.drivers
        warnings = validate.warnings(request.host_config, drivers.honours, drivers.name)
        if image is not None and not request.platform and (foreign := foreign_platform(image)):
            warnings.append(foreign)
        return t.Created(id=record.id, warnings=warnings)

    def _image(self, name: str, platform: tuple[str, str, str]) -> Image | None:
        if not name:
            return None
        with image_failures():
            image = self._context.images.resolve(name)
        check_image_platform(name, image, platform)
        return image

    def _record(self, request: t.CreateContainer, image: Image | None, host: HostConfig) -> ContainerRecord:
        assert request.config is not None
        merged = configs.merge(request.config, (image.config.get("config") or {}) if image else {})
        container_id = names.new_id()
        host_config = hostconfig.complete(request.host_config, self._context.drivers.name)
        command = [*(merged["Entrypoint"] or ()), *(merged["Cmd"] or ())]
        name = names.check_name(request.name) if request.name else names.generate_name(self._registry)
        networks = request.networking_config.get("EndpointsConfig") or {}
        mac = request.config.get("MacAddress") or ""
        mode = host_config["NetworkMode"] = self._endpoints.settled(host_config["NetworkMode"])
        if not merged["Hostname"] and not mode.startswith("container:"):
            merged["Hostname"] = socket.gethostname() if mode == "host" else container_id[:12]
        return ContainerRecord(
            id=container_id,
            name=name,
            created=self._context.clock(),
            image=image.id if image else "",
            path=command[0],
            args=command[1:],
            config=merged,
            host_config=host_config,
            endpoints={} if merged.get("NetworkDisabled") else self._endpoints.planned(mode, networks, mac),
            platform=(image.os if image else "") or "linux",
        )

    def _check_links(self, host: HostConfig) -> None:
        for link in host.links or ():
            name, _ = parse_link(link)
            try:
                self._registry.find(name)
            except EngineError as error:
                raise InvalidArgument(f"could not get container for {name}: {error.message}") from None

    def _check_shared(self, host: HostConfig) -> None:
        for mode in (host.ipc_mode, host.pid_mode):
            if mode.startswith("container:"):
                try:
                    self._registry.find(mode.removeprefix("container:"))
                except NotFound as error:
                    raise InvalidArgument(error.message) from None

    def _plan_mounts(self, container: Container) -> None:
        def mounts_of(name: str) -> list[MountRecord]:
            try:
                return self._registry.find(name).record.mounts
            except NotFound as error:
                raise InvalidArgument(error.message) from None

        container.record.mounts = mounts.plan(container.host, container.record.config["Volumes"] or (), mounts_of)

    async def _make(self, container: Container) -> None:
        record = container.record
        for mount in record.mounts:
            if mount.kind == "volume":
                mount.volume = mount.volume or names.new_id()
                mount.source = str(self._volumes.data(mount.volume))
        self._volumes.check(record.mounts)
        container.save()  # what a worker that dies from here on has made of it is undone by the next
        for mount in record.mounts:
            if mount.kind == "volume":
                self._volumes.ensure(mount)
            sources.provide(mount)
        container.directory.mkdir(parents=True)
        await self._context.drivers.lifecycle.prepare(container_spec(container, self._volumes))
        await self.copy_up(container)
        record.ready = True
        container.save()
        self._registry.add(container)

    async def copy_up(self, container: Container) -> None:
        """Fill its empty volumes with what the image holds at their place, as Docker does on first use."""
        files = self._context.drivers.files
        for mount in container.record.mounts:
            if mount.kind != "volume" or not mount.copy_up or mount.subpath:
                continue
            if self._volumes.memory(mount.volume) is not None:
                continue  # what it would be filled with goes before the start
            directory = self._volumes.content(mount.volume)
            if not any(directory.iterdir()):
                await files.copy_up(container.id, mount.destination, directory)

    async def _undo(self, container: Container) -> None:
        record = container.record
        self._registry.remove(container)
        self._registry.release(record.name)
        await self._context.drivers.lifecycle.release(record.id)
        await asyncio.to_thread(shutil.rmtree, container.directory, ignore_errors=True)
        with suppress(Unavailable):  # what the journal keeps of it is undone by the next worker
            self._context.store.delete("container", record.id)
            for mount in record.mounts:
                if mount.anonymous and mount.volume:
                    await self._volumes.remove_anonymous(mount.volume)
