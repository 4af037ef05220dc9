"""/_ping, /version, /info, /system/df, /events, /auth."""

from __future__ import annotations

import os
from typing import Any

import msgspec
from falcon.asgi import Response

from backends.api import types as t
from backends.api.engine import Engine
from backends.api.version import VERSION
from frontend.docker.answers import Area, Body, Rendered, encode, reply
from frontend.docker.images import render_summary
from frontend.request import Request
from frontend.sharing import Shared
from frontend.wire.bodies import AUTH
from frontend.wire.errors import BadRequest
from frontend.wire.versions import NEWEST, OLDEST, Version

SERVER = f"Sockerless/{VERSION} (linux)"
_PING = {
    "Builder-Version": "1",
    "Swarm": "inactive",
    "Cache-Control": "no-cache, no-store, must-revalidate",
    "Pragma": "no-cache",
}
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
_KINDS = ("container", "image", "volume", "build-cache")


class System(Area):
    """The daemon itself."""

    def __init__(self, engine: Engine, backend: str) -> None:
        super().__init__(engine)
        self._backend = backend
        self._version = encode(_version(backend)) + b"\n"
        self._info = Shared(self._ask_info)

    async def on_get_ping(self, req: Request, resp: Response) -> None:
        """Answered here: a client asks it before everything else."""
        resp.set_headers(_PING)
        resp.content_type = "text/plain; charset=utf-8"
        resp.data = b"OK"

    async def on_head_ping(self, req: Request, resp: Response) -> None:
        """The same without the body, and without its length, as Docker has it."""
        resp.set_headers(_PING)
        resp.content_type = "text/plain; charset=utf-8"
        resp.set_header("Content-Length", "0")

    async def on_get_version(self, req: Request, resp: Response) -> None:
        """Versions of the API and of this program."""
        resp.data = self._version

    async def on_get_info(self, req: Request, resp: Response) -> None:
        """What the worker says of itself, counted now, in Docker's form."""
        resp.data = await self._info.ask()

    async def _ask_info(self) -> bytes:
        return encode(_info(await self.engine.info(), self._backend)) + b"\n"

    async def on_get_df(self, req: Request, resp: Response) -> None:
        """Disk usage; ``type`` (repeatable, since 1.42) limits it to kinds of object."""
        kinds = req.texts("type") if req.version >= (1, 42) else []
        for kind in kinds:
            if kind not in _KINDS:
                raise BadRequest(f"unknown object type: {kind}")
        usage = await self.engine.disk_usage(kinds or list(_KINDS))
        reply(resp, _disk_usage(usage, kinds or list(_KINDS), req.version))

    async def on_get_events(self, req: Request, resp: Response) -> None:
        """A stream of events, its head sent at once; it ends at ``until``."""
        since, until = req.time("since"), req.time("until")
        if until and since > until:
            raise BadRequest(f"`since` time ({req.text('since')}) cannot be after `until` time ({req.text('until')})")
        events = await self.engine.events(since, until, req.filters("events"))
        resp.content_type = "application/json"
        keep = _known_before_1_46 if req.version < (1, 46) else None
        resp.stream = Body(Rendered(events, render_event, keep))

    async def on_post_auth(self, req: Request, resp: Response) -> None:
        """Check credentials with their registry."""
        reply(resp, await self.engine.login(await req.object(AUTH)))


def _version(backend: str) -> dict[str, Any]:
    system = os.uname()
    details = {
        "ApiVersion": str(NEWEST),
        "MinAPIVersion": str(OLDEST),
        "Os": "linux",
        "Arch": _MACHINES.get(system.machine, system.machine),
        "KernelVersion": system.release,
        "GitCommit": "",
        "GoVersion": "",
        "BuildTime": "",
    }
    engine = {"Name": "Engine", "Version": VERSION, "Details": {**details, "Experimental": "false", "Backend": backend}}
    return {"Platform": {"Name": "Sockerless"}, "Components": [engine], "Version": VERSION, **details}


def _info(info: t.Info, backend: str) -> dict[str, Any]:
    """Docker's /info: the worker's words and what is the same for every worker."""
    fields: dict[str, Any] = msgspec.to_builtins(info)
    del fields["Backend"]
    insecure, mirrors = fields.pop("InsecureRegistries"), fields.pop("RegistryMirrors")
    runtimes = _runtimes(backend, fields.pop("Runtimes") or [backend])
    return {**fields, **_STATIC_INFO, **_registries(insecure, mirrors), **runtimes}


def _registries(insecure: list[str], mirrors: list[str]) -> dict[str, Any]:
    official = {"Name": "docker.io", "Mirrors": mirrors, "Secure": True, "Official": True}
    others = {
        name: {"Name": name, "Mirrors": [], "Secure": False, "Official": False} for name in insecure if "/" not in name
    }
    return {
        "RegistryConfig": {
            "InsecureRegistryCIDRs": ["::1/128", "127.0.0.0/8", *(name for name in insecure if "/" in name)],
            "IndexConfigs": {"docker.io": official, **others},
            "Mirrors": mirrors,
        }
    }


def _runtimes(default: str, names: list[str]) -> dict[str, Any]:
    return {"Runtimes": {name: {"path": name} for name in names}, "DefaultRuntime": default}


_STATIC_INFO: dict[str, Any] = {
    "Plugins": {
        "Volume": ["local"],
        "Network": ["bridge", "host", "null"],
        "Authorization": None,
        "Log": ["json-file", "local"],
    },
    "IPv4Forwarding": True,
    "Debug": False,
    "NFd": -1,
    "NGoroutines": -1,
    "LoggingDriver": "json-file",
    "CgroupDriver": "none",
    "CgroupVersion": "2",
    "NEventsListener": -1,
    "IndexServerAddress": "https://index.docker.io/v1/",
    "GenericResources": None,
    "ExperimentalBuild": False,
    "Swarm": {
        "NodeID": "",
        "NodeAddr": "",
        "LocalNodeState": "inactive",
        "ControlAvailable": False,
        "Error": "",
        "RemoteManagers": None,
    },
    "LiveRestoreEnabled": False,
    "Isolation": "",
    "InitBinary": "",
    "ContainerdCommit": {"ID": ""},
    "RuncCommit": {"ID": ""},
    "InitCommit": {"ID": ""},
    "SecurityOptions": [],
    "CDISpecDirs": [],
}


def _disk_usage(usage: t.DiskUsage, kinds: list[str], version: Version) -> dict[str, Any]:
    images = [{**msgspec.to_builtins(render_summary(image, version)), **_digests(image)} for image in usage.images]
    answer = {
        "LayersSize": usage.layers_size,
        "Images": images if "image" in kinds else None,
        "Containers": usage.containers if "container" in kinds else None,
        "Volumes": usage.volumes if "volume" in kinds else None,
        "BuildCache": usage.build_cache if "build-cache" in kinds else None,
    }
    if version < (1, 42):
        answer["BuilderSize"] = 0
    return answer


def _digests(image: t.ImageSummary) -> dict[str, Any]:
    """Here, unlike in a list, an image without digests has null."""
    return {"RepoDigests": image.repo_digests or None}


def _known_before_1_46(event: t.Event) -> bool:
    return (event.Type, event.Action) != ("image", "create")


def render_event(event: t.Event) -> dict[str, Any]:
    """An event with the older top-level fields, which clients up to API 1.51 read."""
    fields: dict[str, Any] = msgspec.to_builtins(event)
    older: dict[str, str] = {}
    if event.Type in ("container", "image"):
        older = {"status": event.Action, "id": event.Actor.get("ID", "")}
    if event.Type == "container":
        older["from"] = (event.Actor.get("Attributes") or {}).get("image", "")
    return fields | {name: text for name, text in older.items() if text}
