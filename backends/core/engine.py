"""The engine of one worker: every operation of the contract, each found in the part that carries it out."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from backends.api import types as t
from backends.api.engine import Download, Stream
from backends.api.errors import Conflict, EngineError, InvalidArgument, NotFound, Unsupported
from backends.api.version import VERSION
from backends.core import execs, inspect, summary, top
from backends.core.attach import parse_detach_keys
from backends.core.build.builds import Builds
from backends.core.clock import Clock, system_clock
from backends.core.container import Container
from backends.core.context import Context
from backends.core.control import Control
from backends.core.create import Creator
from backends.core.distribution import Distribution
from backends.core.drivers import Drivers
from backends.core.endpoints import Endpoints
from backends.core.events import EventBus
from backends.core.files import Files, sizes
from backends.core.health import Health
from backends.core.images import Images, blocking
from backends.core.launch import Launcher
from backends.core.lifecycle import Status
from backends.core.links import shown_links
from backends.core.logs import read_logs
from backends.core.names import new_id
from backends.core.networks import Networks
from backends.core.records import NetworkRecord
from backends.core.recovery import Recovery
from backends.core.registry import Registry
from backends.core.stats import stream_stats
from backends.core.store import Store
from backends.core.system import System
from backends.core.transfer import Transfer
from backends.core.volumes import Volumes
from sandbox.images.store import Store as ImageStore

if TYPE_CHECKING:
    from sandbox.images.transport import RegistryConfig


logger = logging.getLogger(__name__)


class CoreEngine:
    """Implements :class:`backends.api.engine.Engine` over a backend's drivers.

    ``add_urls``: whether a Dockerfile's ADD may download.
    Resource handling: ``open`` recovers what the data directory holds; ``close`` ends all tasks and the journal.
    """

    def __init__(
        self,
        directory: Path,
        drivers: Drivers,
        images: ImageStore,
        *,
        registries: RegistryConfig | None = None,
        add_urls: bool = False,
        clock: Clock = system_clock,
    ) -> None:
        store = Store(directory)
        self.context = Context(directory, drivers, store, EventBus(store, clock), images, clock)
        self.registry = Registry()
        self.networks = Networks(self.context, self._members)
        self.endpoints = Endpoints(self.context, self.networks, self.registry)
        self.volumes = Volumes(self.context, self._volume_users)
        self.images = Images(self.context, self.registry)
        self._transfer = Transfer(self.context, registries)
        self._distribution = Distribution(self.context, registries)
        self._execs = execs.Execs(self.context, self.registry)
        self._launcher = Launcher(self.context, self.registry, self.endpoints, self.volumes)
        self._control = Control(self.context, self.registry, self.endpoints, self.volumes, self._launcher, self.images)
        self._creator = Creator(self.context, self.registry, self.endpoints, self.volumes)
        self._files = Files(self.context)
        self._builds = Builds(
            self.context,
            self.registry,
            self._creator,
            self._launcher,
            self._control,
            self._transfer,
            self.images,
            VERSION,
            add_urls=add_urls,
        )
        self._launcher.on_running = Health(self.context, self._execs).begin
        self._launcher.remove = self._control.auto_remove
        self._system = System(self.context, self.registry, self.images, self.volumes, self._worker_id())

    def _worker_id(self) -> str:
        store = self.context.store
        found = store.get("setting", "id", str)
        if found is None:
            found = new_id()
            store.put("setting", "id", found)
        return found

    async def open(self) -> None:
        """Bring back everything; containers whose policy says so start again beside the first requests."""
        self.volumes.recover()
        await self.networks.recover()
        again, over = await Recovery(self.context, self.registry, self.endpoints, self.volumes).recover()
        self._execs.recover()
        for container in over:
            await self._remove_over(container)
        for container in again:
            self.context.spawn(self._start_again(container), f"restart {container.id[:12]}")
        self.context.spawn(self.images.collect(), "collect unused layers")

    async def _remove_over(self, container: Container) -> None:
        try:
            await self._control.auto_remove(container)
        except EngineError as error:
            logger.error("container %s is not removed: %s", container.id, error.message)

    async def _start_again(self, container: Container) -> None:
        try:
            await self._launcher.start(container)
        except EngineError as error:
            container.record.state.error = error.message
            container.save()

    async def close(self) -> None:
        """Stop the containers' processes and all tasks; the journal says what ran."""
        self.context.closing = True
        for container in self.registry:
            if container.alive:
                await self.context.drivers.lifecycle.stop_all(container.id)
        supervisors = [found.supervisor for found in self.registry if found.supervisor is not None and found.alive]
        if supervisors:
            await asyncio.wait(supervisors, timeout=5)
        await self.context.close()
        self.context.store.close()

    def _members(self, network: NetworkRecord) -> dict[str, t.Json]:
        return self.endpoints.members(network)

    def _volume_users(self, name: str) -> list[str]:
        return [user.id for user in self.registry.users() if any(mount.volume == name for mount in user.record.mounts)]

    # -- system

    async def info(self) -> t.Info:
        return self._system.info()

    async def disk_usage(self, kinds: list[str]) -> t.DiskUsage:
        found = await self._system.disk_usage(kinds)
        if kinds and "build-cache" not in kinds:
            return found
        return msgspec.structs.replace(found, build_cache=[kept.row() for kept in await self._builds.usage()])

    async def events(self, since: int, until: int, filters: t.Filters) -> AsyncIterator[t.Event]:
        return await self.context.events.subscribe(since, until, filters)

    async def login(self, credentials: t.Json) -> t.Json:
        return await self._transfer.login(credentials)

    async def relay(self) -> Stream:
        raise Unsupported(f"no Docker engine stands behind the {self.context.drivers.name} backend")

    # -- containers

    async def create_container(self, request: t.CreateContainer) -> t.Created:
        return await self.context.complete(self._creator.create(request))

    async def list_containers(self, all: bool, limit: int, size: bool, filters: t.Filters) -> list[t.ContainerSummary]:
        images = {name: await blocking(self.images.descendants, name) for name in filters.get("ancestor", ())}
        found = summary.select(self.registry, all, limit, filters, images)
        known = await sizes(self.context.drivers.files, found) if size else {}
        present = [container for container in found if not container.gone]
        return summary.rows(present, self.context.clock(), self.registry, known, self.images.ids)

    async def inspect_container(self, ref: str, size: bool = False) -> t.Container:
        container = self.registry.find(ref)
        known = await self.context.drivers.files.usage(container.id) if size else None
        links = shown_links(container.record.host_config.get("Links"), container.name, self.registry)
        return inspect.render(container, self.context.drivers.storage, self._execs.running(container), known, links)

    async def start_container(self, ref: str) -> None:
        await self.context.complete(self._launcher.start(self.registry.find(ref)))

    async def stop_container(self, ref: str, timeout: int | None = None, signal: str = "") -> None:
        await self.context.complete(self._control.stop(self.registry.find(ref), timeout, signal))

    async def restart_container(self, ref: str, timeout: int | None = None, signal: str = "") -> None:
        container = self.registry.find(ref)
        try:
            await self.context.complete(self._control.restart(container, timeout, signal))
        except EngineError as error:
            raise type(error)(f"Cannot restart container {ref}: {error.message}") from error

    async def kill_container(self, ref: str, signal: str = "") -> None:
        try:
            await self.context.complete(self._control.kill(self.registry.find(ref), signal))
        except EngineError as error:
            raise type(error)(f"cannot kill container: {ref}: {error.message}") from error

    async def pause_container(self, ref: str) -> None:
        await self.context.complete(self._control.pause(self.registry.find(ref)))

    async def unpause_container(self, ref: str) -> None:
        await self.context.complete(self._control.unpause(self.registry.find(ref)))

    async def rename_container(self, ref: str, name: str) -> None:
        await self.context.complete(self._control.rename(self.registry.find(ref), name))

    async def update_container(self, ref: str, changes: t.Json) -> list[str]:
        return await self.context.complete(self._control.update(self.registry.find(ref), changes))

    async def remove_container(self, ref: str, force: bool = False, volumes: bool = False, link: bool = False) -> None:
        if link:
            await self.context.complete(self._remove_link(ref.removeprefix("/")))
            return
        await self.context.complete(self._control.remove(self.registry.find(ref), force, volumes))

    async def _remove_link(self, name: str) -> None:
        owner, _, alias = name.partition("/")
        self.registry.find(name)
        container = self.registry.find(owner)
        async with container.lock:
            self._control.remove_link(container, alias)
            if container.alive:
                self._launcher.refresh_files(container)

    async def prune_containers(self, filters: t.Filters) -> t.Pruned:
        return await self.context.complete(self._control.prune(filters))

    async def wait_container(self, ref: str, condition: str) -> AsyncIterator[t.ExitResult]:
        return _Waiting(self.registry.find(ref).wait(condition))

    async def attach_container(self, ref: str, options: t.AttachOptions) -> Stream:
        container = self.registry.find(ref)
        keys = parse_detach_keys(options.detach_keys)
        if container.status is Status.PAUSED:
            raise Conflict(f"container {container.name} is paused, unpause the container before attach")
        if container.status is Status.RESTARTING:
            raise Conflict(f"container {container.name} is restarting, wait until the container is running")
        stream = container.hub.attach(
            stdin=options.stdin and container.config.open_stdin,
            stdout=options.stdout,
            stderr=options.stderr,
            logs=options.logs,
            stream=options.stream,
            detach_keys=keys,
        )
        container.emit("attach")
        return stream

    async def resize_container(self, ref: str, height: int, width: int) -> None:
        self._control.resize(self.registry.find(ref), height, width)

    async def container_logs(self, ref: str, options: t.LogOptions) -> Download:
        container = self.registry.find(ref)
        return Download(container.config.tty, await read_logs(container, options))

    async def top_container(self, ref: str, arguments: str) -> t.Top:
        container = self.registry.find(ref)
        container.require_alive()
        rows = await self.context.drivers.lifecycle.top(container.id)
        found = top.table(rows, arguments, time.time())
        container.emit("top")
        return found

    async def container_stats(self, ref: str, stream: bool, one_shot: bool) -> AsyncIterator[t.Json]:
        if one_shot and stream:
            raise InvalidArgument("cannot have stream=true and one-shot=true")
        return stream_stats(self.context, self.registry.find(ref), stream, one_shot)

    async def container_changes(self, ref: str) -> list[t.Change]:
        return await self._files.changes(self.registry.find(ref))

    async def export_container(self, ref: str) -> Download:
        return await self._files.export(self.registry.find(ref))

    async def stat_path(self, ref: str, path: str) -> t.PathStat:
        return await self._files.stat(self.registry.find(ref), path)

    async def get_archive(self, ref: str, path: str) -> Download:
        return await self._files.get(self.registry.find(ref), path)

    async def put_archive(
        self, ref: str, path: str, body: AsyncIterator[bytes], no_overwrite: bool = False, copy_uid_gid: bool = False
    ) -> None:
        await self._files.put(self.registry.find(ref), path, body, no_overwrite, copy_uid_gid)

    # -- exec

    async def create_exec(self, ref: str, request: t.CreateExec) -> str:
        return (await self._execs.create(self.registry.find(ref), request)).record.id

    async def start_exec(self, exec_id: str, request: t.StartExec) -> Stream:
        found = self._execs.find(exec_id)
        try:
            stream = await self.context.complete(self._execs.start(found, request))
        except asyncio.CancelledError:
            found.abandon()
            raise
        if stream is None:
            raise InvalidArgument("a detached exec has no stream")
        return stream

    async def start_exec_detached(self, exec_id: str, request: t.StartExec) -> None:
        detached = t.StartExec(detach=True, tty=request.tty, console_size=request.console_size)
        await self.context.complete(self._execs.start(self._execs.find(exec_id), detached))

    async def inspect_exec(self, exec_id: str) -> t.Exec:
        return execs.render(self._execs.find(exec_id))

    async def resize_exec(self, exec_id: str, height: int, width: int) -> None:
        self._execs.resize(self._execs.find(exec_id), height, width)

    # -- images

    async def list_images(self, all: bool, filters: t.Filters, shared_size: bool) -> list[t.ImageSummary]:
        return await self.images.select(all, filters, shared_size)

    async def inspect_image(self, name: str, platform: str = "") -> t.Image:
        return self.images.inspect(name, platform)

    async def image_history(self, name: str) -> list[t.ImageHistory]:
        return await self.images.history(name)

    async def pull_image(self, name: str, tag: str, platform: str, auth: t.Json) -> AsyncIterator[t.Progress]:
        return await self._transfer.pull(name, tag, platform, auth)

    async def push_image(self, name: str, tag: str, platform: str, auth: t.Json) -> AsyncIterator[t.Progress]:
        return await self._distribution.push(name, tag, platform, auth)

    async def search_images(
        self, term: str, limit: int | None, filters: t.Filters, auth: t.Json
    ) -> list[t.SearchResult]:
        return await self._distribution.search(term, limit, filters, auth)

    async def inspect_distribution(self, name: str, auth: t.Json) -> t.DistributionInspect:
        return await self._distribution.inspect(name, auth)

    async def import_image(self, body: AsyncIterator[bytes], request: t.ImportImage) -> AsyncIterator[t.Progress]:
        return await self._transfer.import_(body, request)

    async def load_images(
        self, body: AsyncIterator[bytes], quiet: bool, platform: str = ""
    ) -> AsyncIterator[t.Progress]:
        return await self._transfer.load(body, quiet, platform)

    async def save_images(self, names: list[str]) -> Download:
        return await self._transfer.save(names)

    async def tag_image(self, name: str, repo: str, tag: str) -> None:
        await self.context.complete(self.images.tag(name, repo, tag))

    async def remove_image(self, name: str, force: bool, no_prune: bool) -> list[t.RemovedImage]:
        return await self.context.complete(self.images.remove(name, force, no_prune))

    async def prune_images(self, filters: t.Filters) -> tuple[list[t.RemovedImage], int]:
        return await self.context.complete(self.images.prune(filters))

    async def build_image(self, body: AsyncIterator[bytes], request: t.BuildImage) -> AsyncIterator[t.Progress]:
        return await self._builds.build(body, request)

    async def commit_container(self, ref: str, request: t.CommitContainer) -> str:
        return await self._builds.commit(ref, request)

    async def prune_builds(self, filters: t.Filters, all: bool, keep: t.KeepCache) -> t.Pruned:
        return await self._builds.prune(filters, all, keep)

    # -- networks

    async def create_network(self, request: t.Json) -> t.Created:
        return await self.context.complete(self.networks.create(request))

    async def list_networks(self, filters: t.Filters) -> list[t.Network]:
        return self.networks.select(filters)

    async def inspect_network(self, ref: str) -> t.Network:
        return self.networks.inspect(ref)

    async def remove_network(self, ref: str) -> None:
        await self.context.complete(self.networks.remove(ref))

    async def connect_network(self, ref: str, container: str, config: t.Json) -> None:
        await self.context.complete(self._connect(ref, self.registry.find(container), config))

    async def _connect(self, ref: str, container: Container, config: t.Json) -> None:
        async with container.lock:
            await self.endpoints.connect(ref, container, config)
            if container.alive:
                self._launcher.refresh_files(container)

    async def disconnect_network(self, ref: str, container: str, force: bool) -> None:
        try:
            found = self.registry.find(container)
        except NotFound:
            if force:
                raise NotFound(f"endpoint {container} not found") from None
            raise
        await self.context.complete(self._disconnect(ref, found))

    async def _disconnect(self, ref: str, container: Container) -> None:
        async with container.lock:
            await self.endpoints.disconnect(ref, container)
            if container.alive:
                self._launcher.refresh_files(container)

    async def prune_networks(self, filters: t.Filters) -> t.Pruned:
        return await self.context.complete(self.networks.prune(filters))

    # -- volumes

    async def create_volume(self, request: t.Json) -> t.Volume:
        return self.volumes.create(request)

    async def list_volumes(self, filters: t.Filters) -> list[t.Volume]:
        return self.volumes.select(filters)

    async def inspect_volume(self, name: str) -> t.Volume:
        return self.volumes.inspect(name)

    async def remove_volume(self, name: str, force: bool) -> None:
        await self.context.complete(self.volumes.remove(name, force))

    async def prune_volumes(self, filters: t.Filters) -> t.Pruned:
        return await self.context.complete(self.volumes.prune(filters))


class _Waiting:
    """One result, when it is there; ``aclose`` gives the wait up."""

    def __init__(self, future: asyncio.Future[t.ExitResult]) -> None:
        self._future: asyncio.Future[t.ExitResult] | None = future

    def __aiter__(self) -> _Waiting:
        return self

    async def __anext__(self) -> t.ExitResult:
        if self._future is None:
            raise StopAsyncIteration
        result = await self._future
        self._future = None
        return result

    async def aclose(self) -> None:
        if self._future is not None:
            self._future.cancel()


def _conforms(engine: CoreEngine) -> Engine:
    """mypy checks here that nothing of the contract is missing."""
    return engine


if TYPE_CHECKING:
    from backends.api.engine import Engine
