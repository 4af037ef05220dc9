"""Placing a new container: on which worker, and what has to be there before it can be made.

A backend is a runtime, so ``HostConfig.Runtime`` names the worker. Images, networks and volumes belong to one worker
each; what a container needs of another's is brought over when it is made:

- an image is copied, as by save and load;
- a network is made anew under its name, with the same driver, options and labels. Containers on different workers do
  not reach each other by it. Its subnets are the worker's own choice, unless the container asks for an address;
- a volume is made anew under its name, with the same driver, options and labels, and is empty: content is not shared.

What cannot be had across workers is refused: sharing namespaces, ``--volumes-from``, ``--link``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from weakref import WeakValueDictionary

from msgspec.structs import replace

from backends.api import types as t
from backends.api.errors import Conflict, EngineError, InvalidArgument, NotFound
from frontend.routing.asking import ask
from frontend.routing.owners import Owners
from frontend.routing.workers import Worker

_TAKEN = (
    'Conflict. The container name "{name}" is already in use by container "{owner}". '
    "You have to remove (or rename) that container to be able to reuse that name."
)
_EVERYWHERE = {"", "default", "bridge", "host", "none"}


class Placing:
    """Prepares workers for new containers. ``workers``: the default one first."""

    def __init__(self, owners: Owners) -> None:
        self._owners = owners
        self._names: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def worker(self, runtime: str) -> Worker:
        """The worker that a runtime names, "" = the default. Raises InvalidArgument in Docker's words."""
        if not runtime:
            return self._owners.workers[0]
        for worker in self._owners.workers:
            if worker.name == runtime:
                return worker
        raise InvalidArgument(f"unknown or invalid runtime name: {runtime}")

    @asynccontextmanager
    async def naming(self, name: str, target: Worker) -> AsyncIterator[None]:
        """Hold a container's name, while ``target`` gives it away. Raises Conflict when another worker gave it."""
        if not name:
            yield
            return
        lock = self._names.setdefault(name, asyncio.Lock())
        async with lock:
            others = [worker for worker in self._owners.workers if worker is not target]
            for one in await ask(others, "inspect_container", name):
                if one.error is None and one.value.name == f"/{name.removeprefix('/')}":
                    raise Conflict(_TAKEN.format(name=one.value.name, owner=one.value.id))
            yield

    async def prepare(self, worker: Worker, request: t.CreateContainer) -> t.CreateContainer:
        """Bring what ``request`` needs to ``worker``; return the request as that worker understands it."""
        await self._check_shared(worker, request.host_config)
        await self._image(worker, request)
        for name in _volumes(request.host_config):
            await self._volume(worker, name)
        return await self._networks(worker, request)

    async def _check_shared(self, worker: Worker, host: t.Json) -> None:
        for what, ref in _shared(host):
            try:
                owner = await self._owners.container(ref)
            except NotFound:
                continue  # the worker says so in its own words
            if owner is not worker:
                raise InvalidArgument(
                    f"{what}{ref} is not possible: that container runs on the {owner.name} backend, this one is for "
                    f"{worker.name}; containers share these on one backend only (--runtime {owner.name})"
                )

    async def _image(self, worker: Worker, request: t.CreateContainer) -> None:
        name = (request.config or {}).get("Image") or ""
        if not name:
            return
        try:
            await worker.engine.inspect_image(name)
        except NotFound:
            await self._copy_image(worker, name)
        except EngineError:
            return  # what is wrong with the name or the worker shows at the creation

    async def _copy_image(self, worker: Worker, name: str) -> None:
        try:
            owner = (await self._owners.image(name))[0]
        except EngineError:
            return
        await copy_images(owner, worker, [name])

    async def _volume(self, worker: Worker, name: str) -> None:
        try:
            found = await self._owners.volume(name)
        except EngineError:
            return
        if all(owner is not worker for owner, _ in found):
            volume = found[0][1]
            request: t.Json = {"Name": name, "Driver": volume.driver}
            request |= {"DriverOpts": volume.options or {}, "Labels": volume.labels or {}}
            await worker.engine.create_volume(request)

    async def _networks(self, worker: Worker, request: t.CreateContainer) -> t.CreateContainer:
        endpoints: dict[str, Any] = request.networking_config.get("EndpointsConfig") or {}
        mode = request.host_config.get("NetworkMode") or ""
        names = {}
        for ref in {*endpoints, mode} - _EVERYWHERE:
            if not ref.startswith("container:"):
                addressed = bool((endpoints.get(ref) or {}).get("IPAMConfig"))
                names[ref] = await self.network(worker, ref, addressed)
        if all(ref == name for ref, name in names.items()):
            return request
        networking = request.networking_config
        if endpoints:
            networking = {**networking, "EndpointsConfig": {names.get(k, k): v for k, v in endpoints.items()}}
        host = {**request.host_config, "NetworkMode": names.get(mode, mode)}
        return replace(request, host_config=host, networking_config=networking)

    async def network(self, worker: Worker, ref: str, addressed: bool = False) -> str:
        """Return what ``worker`` calls the network ``ref``, made there if it has none of that name."""
        try:
            found = await self._owners.network(ref)
        except EngineError:
            return ref
        if any(owner is worker for owner, _ in found):
            return ref if found[0][0] is worker else found[0][1].name
        network = found[0][1]
        try:
            await worker.engine.create_network(_again(network, addressed))
        except Conflict:
            return network.name  # made by another request meanwhile
        return network.name


def _again(network: t.Network, addressed: bool) -> t.Json:
    ipam = {"Driver": network.ipam.get("Driver") or "default", "Options": network.ipam.get("Options") or {}}
    return {
        "Name": network.name,
        "CheckDuplicate": True,
        "Driver": network.driver,
        "Internal": network.internal,
        "Attachable": network.attachable,
        "EnableIPv6": network.enable_ipv6,
        "Options": network.options,
        "Labels": network.labels,
        "IPAM": {**ipam, "Config": network.ipam.get("Config") or []} if addressed else ipam,
    }


async def copy_images(owner: Worker, worker: Worker, names: list[str]) -> None:
    """Copy images from one worker's store to another's. Raises what either of them raises."""
    download = await owner.engine.save_images(names)
    async for line in await worker.engine.load_images(download.body, True):
        if isinstance(line.error, str) and line.error:
            raise EngineError(f"cannot copy {', '.join(names)} from {owner.name} to {worker.name}: {line.error}")


def _shared(host: t.Json) -> list[tuple[str, str]]:
    """What a container shares with others: how the user asked for it, and with whom."""
    found = []
    for field, what in (("NetworkMode", "--network container:"), ("PidMode", "--pid container:")):
        kind, _, ref = str(host.get(field) or "").partition(":")
        if kind == "container" and ref:
            found.append((what, ref))
    kind, _, ref = str(host.get("IpcMode") or "").partition(":")
    if kind == "container" and ref:
        found.append(("--ipc container:", ref))
    found += [("--volumes-from ", text.partition(":")[0]) for text in host.get("VolumesFrom") or []]
    return found + [("--link ", text.partition(":")[0].removeprefix("/")) for text in host.get("Links") or []]


def _volumes(host: t.Json) -> list[str]:
    """The named volumes that a container uses."""
    binds = [text.split(":")[0] for text in host.get("Binds") or [] if ":" in text]
    mounts = [mount.get("Source") or "" for mount in host.get("Mounts") or [] if mount.get("Type") == "volume"]
    return [name for name in dict.fromkeys([*binds, *mounts]) if name and "/" not in name]
