"""Networks and volumes of the engine, and the engine itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

from backends.api import types as t
from backends.api.errors import Unsupported
from backends.docker.daemon import Daemon

_KINDS = ("container", "image", "volume", "build-cache")


class System:
    """The engine itself."""

    daemon: Daemon

    async def info(self) -> t.Info:
        found = await self.daemon.json("GET", "/info")
        found.pop("Runtimes", None)  # how the engine starts containers: no backends
        registries = found.get("RegistryConfig") or {}
        insecure = [name for name, index in (registries.get("IndexConfigs") or {}).items() if not index.get("Secure")]
        found |= {"Backend": "docker", "RegistryMirrors": registries.get("Mirrors"), "InsecureRegistries": insecure}
        return self.daemon.fit(t.Info, found)

    async def disk_usage(self, kinds: list[str]) -> t.DiskUsage:
        """``type`` is known to engines since API 1.42, and older ones take no notice of it."""
        query = {"type": kinds} if set(kinds) != set(_KINDS) else {}
        return await self.daemon.value(t.DiskUsage, "GET", "/system/df", query)

    async def events(self, since: int, until: int, filters: t.Filters) -> AsyncIterator[t.Event]:
        def read(value: Any) -> t.Event:
            return self.daemon.fit(t.Event, value)

        query: dict[str, Any] = {"filters": filters}
        query |= {"since": _moment(since), "until": _moment(until)}
        return await self.daemon.items(read, "GET", "/events", query)

    async def login(self, credentials: t.Json) -> t.Json:
        found: t.Json = await self.daemon.json("POST", "/auth", body=credentials) or {}
        return found


class Networks:
    """The operations on networks."""

    daemon: Daemon

    async def create_network(self, request: t.Json) -> t.Created:
        answer = await self.daemon.json("POST", "/networks/create", body=request)
        return t.Created(id=answer["Id"], warnings=[answer["Warning"]] if answer.get("Warning") else [])

    async def list_networks(self, filters: t.Filters) -> list[t.Network]:
        return await self.daemon.value(list[t.Network], "GET", "/networks", {"filters": filters})

    async def inspect_network(self, ref: str) -> t.Network:
        return await self.daemon.value(t.Network, "GET", f"/networks/{quote(ref, safe='')}")

    async def remove_network(self, ref: str) -> None:
        await self.daemon.json("DELETE", f"/networks/{quote(ref, safe='')}")

    async def connect_network(self, ref: str, container: str, config: t.Json) -> None:
        body = {"Container": container, "EndpointConfig": config}
        await self.daemon.json("POST", f"/networks/{quote(ref, safe='')}/connect", body=body)

    async def disconnect_network(self, ref: str, container: str, force: bool) -> None:
        body = {"Container": container, "Force": force}
        await self.daemon.json("POST", f"/networks/{quote(ref, safe='')}/disconnect", body=body)

    async def prune_networks(self, filters: t.Filters) -> t.Pruned:
        answer = await self.daemon.json("POST", "/networks/prune", {"filters": filters})
        return t.Pruned(deleted=answer.get("NetworksDeleted") or [])


class Volumes:
    """The operations on volumes."""

    daemon: Daemon

    async def create_volume(self, request: t.Json) -> t.Volume:
        return await self.daemon.value(t.Volume, "POST", "/volumes/create", body=request)

    async def list_volumes(self, filters: t.Filters) -> list[t.Volume]:
        answer = await self.daemon.json("GET", "/volumes", {"filters": filters})
        return self.daemon.fit(list[t.Volume], answer.get("Volumes"))

    async def inspect_volume(self, name: str) -> t.Volume:
        return await self.daemon.value(t.Volume, "GET", f"/volumes/{quote(name, safe='')}")

    async def remove_volume(self, name: str, force: bool) -> None:
        await self.daemon.json("DELETE", f"/volumes/{quote(name, safe='')}", {"force": force})

    async def prune_volumes(self, filters: t.Filters) -> t.Pruned:
        """Engines before API 1.42 (and Podman) remove named volumes, too, and know no filter ``all``."""
        if await self.daemon.version() < (1, 42):
            if filters.get("all") != ["true"]:
                raise Unsupported("the Docker engine cannot remove anonymous volumes only: it is older than API 1.42")
            filters = {key: values for key, values in filters.items() if key != "all"}
        answer = await self.daemon.json("POST", "/volumes/prune", {"filters": filters})
        return t.Pruned(deleted=answer.get("VolumesDeleted") or [], space_reclaimed=answer.get("SpaceReclaimed", 0))


def _moment(nanoseconds: int) -> str | None:
    return f"{nanoseconds // 10**9}.{nanoseconds % 10**9:09d}" if nanoseconds else None
