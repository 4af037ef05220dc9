"""One engine made of several workers' engines."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from backends.api import types as t
from backends.api.engine import Download, Engine, Stream
from backends.api.errors import Conflict, EngineError, NotFound, Unavailable, Unsupported
from backends.api.http import OPERATIONS
from frontend.routing import merging, pruning
from frontend.routing.asking import Said, answered, ask
from frontend.routing.events import Events
from frontend.routing.owners import Owners
from frontend.routing.placing import Placing, copy_images
from frontend.routing.workers import Worker

#: Operations whose first parameter is a container, performed by its worker as they are.
OF_A_CONTAINER = (
    "inspect_container", "start_container", "stop_container", "restart_container", "kill_container", "pause_container",
    "unpause_container", "update_container", "remove_container", "wait_container", "attach_container",
    "resize_container", "container_logs", "top_container", "container_stats", "container_changes", "export_container",
    "stat_path", "get_archive", "put_archive", "create_exec", "commit_container",
)  # fmt: skip
OF_AN_EXEC = ("start_exec", "start_exec_detached", "inspect_exec", "resize_exec")
#: The first worker that has the image.
OF_AN_IMAGE = ("inspect_image", "image_history", "push_image")
#: Registries and what comes from outside: the default worker.
OF_THE_DEFAULT = (
    "login", "pull_image", "import_image", "load_images", "build_image", "search_images", "inspect_distribution",
)  # fmt: skip


class Router(Engine):
    """The engine that ``workers`` are together, the first of them the default.

    Containers, execs and images are found wherever they are; see :mod:`frontend.routing.placing` for new containers.
    A network or volume is one to the user by its name: listed once, inspected with the containers of all workers,
    removed on all. New ones are made on the default worker. A worker that is away costs only what it has.
    """

    def __init__(self, workers: list[Worker]) -> None:
        self.workers = workers
        self.owners = Owners(workers)
        self.placing = Placing(self.owners)

    async def relay(self) -> Stream:
        raise Unsupported("an endpoint of several backends has no Docker engine of its own")

    # -- system

    async def info(self) -> t.Info:
        said = await ask(self.workers, "info")
        away = [f"WARNING: {one.error.message}" for one in said if one.error is not None]
        infos = [one.value for one in said if one.error is None]
        if not infos:
            raise said[0].error or Unavailable("no backend answers")
        return merging.info(infos, [worker.name for worker in self.workers], away)

    async def disk_usage(self, kinds: list[str]) -> t.DiskUsage:
        return merging.disk_usage(await self._all("disk_usage", kinds))

    async def events(self, since: int, until: int, filters: t.Filters) -> AsyncIterator[t.Event]:
        return await Events.begin(self.workers, since, until, filters)

    # -- containers

    async def create_container(self, request: t.CreateContainer) -> t.Created:
        worker = self.placing.worker(str(request.host_config.get("Runtime") or ""))
        async with self.placing.naming(request.name, worker):
            created = await worker.engine.create_container(
                for_worker(await self.placing.prepare(worker, request), worker)
            )
        self.owners.remember(created.id, worker)
        return created

    async def rename_container(self, ref: str, name: str) -> None:
        worker = await self.owners.container(ref)
        async with self.placing.naming(name, worker):
            await worker.engine.rename_container(ref, name)

    async def list_containers(self, all: bool, limit: int, size: bool, filters: t.Filters) -> list[t.ContainerSummary]:
        filters = await self._with_names(filters)
        relative = [(key, ref) for key in ("before", "since") for ref in filters.get(key, [])]
        if not relative:
            return merging.containers(await self._all("list_containers", all, limit, size, filters), limit)
        rest = {key: values for key, values in filters.items() if key not in ("before", "since")}
        rows = merging.containers(await self._all("list_containers", True, -1, size, rest), 0)
        for key, ref in relative:
            found = await self.inspect_container(ref)
            moment, sign = merging.moment(found.created).timestamp(), 1 if key == "since" else -1
            rows = [row for row in rows if row.id != found.id and sign * (row.created - moment) > -1]
        return rows[:limit] if limit > 0 else rows

    async def _with_names(self, filters: t.Filters) -> t.Filters:
        """A network has another id on each worker, and one name: name those that are meant by an id."""
        refs = filters.get("network", [])
        names = []
        for ref in refs:
            with suppress(EngineError):  # what cannot be found has no containers
                names.append((await self.owners.network(ref))[0][1].name)
        return {**filters, "network": list(dict.fromkeys([*refs, *names]))} if names else filters

    async def prune_containers(self, filters: t.Filters) -> t.Pruned:
        return merging.pruned(await pruning.everywhere(self.workers, "prune_containers", filters))

    # -- images

    async def list_images(self, all: bool, filters: t.Filters, shared_size: bool) -> list[t.ImageSummary]:
        relative = [(key, ref) for key in ("before", "since") for ref in filters.get(key, [])]
        rest = {key: values for key, values in filters.items() if key not in ("before", "since")}
        rows = merging.images(await self._all("list_images", all, rest, shared_size))
        for key, ref in relative:
            moment = merging.moment((await self.inspect_image(ref)).created)
            rows = [row for row in rows if await self._is_made(row, key, moment)]
        return rows

    async def _is_made(self, row: t.ImageSummary, key: str, moment: datetime) -> bool:
        made = datetime.fromtimestamp(row.created, UTC)
        if made == moment.replace(microsecond=0):  # a list tells whole seconds only
            made = merging.moment((await self.inspect_image(row.id)).created)
        return made < moment if key == "before" else made > moment

    async def save_images(self, names: list[str]) -> Download:
        holders = [await self.owners.image(name) for name in names]
        for worker in self.workers:
            if all(worker in found for found in holders):
                return await worker.engine.save_images(names)
        first = self.workers[0]
        for name, found in zip(names, holders, strict=True):
            if first not in found:
                await copy_images(found[0], first, [name])
        return await first.engine.save_images(names)

    async def tag_image(self, name: str, repo: str, tag: str) -> None:
        for worker in await self.owners.image(name):
            await worker.engine.tag_image(name, repo, tag)

    async def remove_image(self, name: str, force: bool, no_prune: bool) -> list[t.RemovedImage]:
        said = await ask(await self.owners.image(name), "remove_image", name, force, no_prune)
        _raise_first(said)
        return list(dict.fromkeys(removed for one in said for removed in one.value))

    async def prune_images(self, filters: t.Filters) -> tuple[list[t.RemovedImage], int]:
        return await pruning.images(self.workers, filters)

    async def prune_builds(self, filters: t.Filters, all: bool, keep: t.KeepCache) -> t.Pruned:
        return merging.pruned(await pruning.everywhere(self.workers, "prune_builds", filters, all, keep))

    # -- networks

    async def create_network(self, request: t.Json) -> t.Created:
        name = str(request.get("Name") or "")
        for one in await ask(self.workers[1:], "inspect_network", name) if name else []:
            if one.error is None and one.value.name == name:
                raise Conflict(f"network with name {name} already exists")
        return await self.workers[0].engine.create_network(request)

    async def list_networks(self, filters: t.Filters) -> list[t.Network]:
        return await self._named("list_networks", filters)

    async def inspect_network(self, ref: str) -> t.Network:
        return merging.network([network for _, network in await self.owners.network(ref)])

    async def remove_network(self, ref: str) -> None:
        found = await self.owners.network(ref)
        for worker, network in sorted(found, key=lambda pair: not pair[1].containers):  # who refuses, refuses first
            await worker.engine.remove_network(network.id)

    async def connect_network(self, ref: str, container: str, config: t.Json) -> None:
        worker = await self.owners.container(container)
        name = await self.placing.network(worker, ref, bool(config.get("IPAMConfig")))
        await worker.engine.connect_network(name, container, config)

    async def disconnect_network(self, ref: str, container: str, force: bool) -> None:
        worker = await self.owners.container(container)
        found = await self.owners.network(ref)
        own = next((network.id for owner, network in found if owner is worker), ref)
        await worker.engine.disconnect_network(own, container, force)

    async def prune_networks(self, filters: t.Filters) -> t.Pruned:
        return await pruning.networks(self.workers, filters)

    # -- volumes

    async def create_volume(self, request: t.Json) -> t.Volume:
        if name := str(request.get("Name") or ""):
            try:
                return await (await self.owners.volume(name))[0][0].engine.create_volume(request)
            except NotFound:
                pass
        return await self.workers[0].engine.create_volume(request)

    async def list_volumes(self, filters: t.Filters) -> list[t.Volume]:
        return await self._named("list_volumes", filters)

    async def inspect_volume(self, name: str) -> t.Volume:
        return (await self.owners.volume(name))[0][1]

    async def remove_volume(self, name: str, force: bool) -> None:
        try:
            holders = [worker for worker, _ in await self.owners.volume(name)]
        except NotFound:
            holders = self.workers[:1]
        unused = {"name": [name], "dangling": ["true"]}
        said = answered(await ask(holders, "list_volumes", unused))
        free = [one.worker for one in said if any(volume.name == name for volume in one.value)]
        for worker in sorted(holders, key=lambda worker: worker in free):  # who refuses, refuses first
            await worker.engine.remove_volume(name, force)

    async def prune_volumes(self, filters: t.Filters) -> t.Pruned:
        return await pruning.volumes(self.workers, filters)

    async def _named(self, operation: str, filters: t.Filters) -> list[Any]:
        """Networks or volumes. One is dangling where no worker uses it."""
        rest = {key: values for key, values in filters.items() if key != "dangling"}
        rows = merging.by_name(await self._all(operation, rest))
        if not filters.get("dangling"):
            return rows
        taken = await pruning.used(self.workers, operation)
        return [row for row in rows if (row.name in taken) == (filters["dangling"] == ["false"])]

    async def _all(self, operation: str, *args: Any) -> list[Any]:
        return [one.value for one in answered(await ask(self.workers, operation, *args))]


def for_worker(request: t.CreateContainer, worker: Worker) -> t.CreateContainer:
    """A Docker engine has runtimes of its own: the name that chose its worker is not one of them."""
    if not worker.relays or not request.host_config.get("Runtime"):
        return request
    return replace(request, host_config={k: v for k, v in request.host_config.items() if k != "Runtime"})


def route(workers: list[Worker]) -> Router:
    """Return the engine that ``workers`` are together."""
    return Router(workers)  # type: ignore[abstract]


def _raise_first(said: Iterable[Said]) -> None:
    for one in said:
        if one.error is not None:
            raise one.error


def _forwarded(operation: str, find: Callable[[Router, str], Any]) -> Callable[..., Any]:
    async def method(self: Router, *args: Any, **kwargs: Any) -> Any:
        first = args[0] if args else kwargs[OPERATIONS[operation].order[0]]
        worker = await find(self, first)
        return await getattr(worker.engine, operation)(*args, **kwargs)

    method.__name__ = operation
    method.__doc__ = getattr(Engine, operation).__doc__
    return method


async def _of_container(router: Router, ref: str) -> Worker:
    return await router.owners.container(ref)


async def _of_exec(router: Router, exec_id: str) -> Worker:
    return await router.owners.exec(exec_id)


async def _of_image(router: Router, name: str) -> Worker:
    return (await router.owners.image(name))[0]


async def _default(router: Router, _: object) -> Worker:
    return router.workers[0]


for _operations, _find in (
    (OF_A_CONTAINER, _of_container),
    (OF_AN_EXEC, _of_exec),
    (OF_AN_IMAGE, _of_image),
    (OF_THE_DEFAULT, _default),
):
    for _name in _operations:
        setattr(Router, _name, _forwarded(_name, _find))
