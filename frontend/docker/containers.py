"""/containers: create, list, inspect, change, remove."""

from __future__ import annotations

from typing import Any

from falcon.asgi import Response

from backends.api import types as t
from frontend.docker.answers import Area, Body, finish, reply
from frontend.docker.macs import place_mac
from frontend.docker.render import render_container
from frontend.request import Request
from frontend.wire import newer
from frontend.wire.bodies import CREATE_CONTAINER, UPDATE_CONTAINER
from frontend.wire.errors import BadRequest
from frontend.wire.versions import Version


class Containers(Area):
    """Containers as objects; how they run is in ``lifecycle`` and ``streams``."""

    async def on_post_create(self, req: Request, resp: Response) -> None:
        """201 {Id, Warnings}."""
        body = await req.object(CREATE_CONTAINER)
        newer.leave_out(body, req.version, newer.CREATE_CONTAINER)
        request = create_request(body, req.text("name"), req.text("platform", (1, 41)))
        check_endpoints(request, req.version)
        if req.version < (1, 40):
            _share_ipc(request.host_config)
        warnings = place_mac(request, req.version)
        created = await finish(self.engine.create_container(request))
        reply(resp, {"Id": created.id, "Warnings": [*warnings, *created.warnings]}, 201)

    async def on_get_list(self, req: Request, resp: Response) -> None:
        """Running containers, or with ``all`` (or a limit) every one, newest first."""
        limit = req.number("limit")
        filters = req.filters("containers")
        summaries = await self.engine.list_containers(
            req.flag("all"), -1 if limit is None else limit, req.flag("size"), filters
        )
        reply(resp, summaries)

    async def on_get_inspect(self, req: Request, resp: Response, ref: str) -> None:
        """Everything about one container; ``size`` adds SizeRw and SizeRootFs."""
        size = req.flag("size")
        reply(resp, render_container(await self.engine.inspect_container(ref, size), req.version))

    async def on_delete(self, req: Request, resp: Response, ref: str) -> None:
        """204; 409 when it runs and ``force`` is not set."""
        await finish(
            self.engine.remove_container(ref, force=req.flag("force"), volumes=req.flag("v"), link=req.flag("link"))
        )
        resp.status = 204

    async def on_post_prune(self, req: Request, resp: Response) -> None:
        """Remove what is stopped."""
        pruned = await finish(self.engine.prune_containers(req.filters("containers/prune")))
        reply(resp, {"ContainersDeleted": pruned.deleted or None, "SpaceReclaimed": pruned.space_reclaimed})

    async def on_post_rename(self, req: Request, resp: Response, ref: str) -> None:
        """204."""
        await finish(self.engine.rename_container(ref, req.text("name")))
        resp.status = 204

    async def on_post_update(self, req: Request, resp: Response, ref: str) -> None:
        """Resources and restart policy; {Warnings}."""
        changes = await req.body(UPDATE_CONTAINER) or {}
        newer.leave_out(changes, req.version, newer.UPDATE_CONTAINER)
        reply(resp, {"Warnings": await finish(self.engine.update_container(ref, changes)) or None})

    async def on_get_top(self, req: Request, resp: Response, ref: str) -> None:
        """Processes, in the columns of ``ps`` with ``ps_args``."""
        reply(resp, await self.engine.top_container(ref, req.text("ps_args") or "-ef"))

    async def on_get_changes(self, req: Request, resp: Response, ref: str) -> None:
        """Paths that differ from the image; null when none does."""
        reply(resp, await self.engine.container_changes(ref) or None)

    async def on_get_export(self, req: Request, resp: Response, ref: str) -> None:
        """The file system as a tar."""
        download = await self.engine.export_container(ref)
        resp.content_type = "application/octet-stream"
        resp.stream = Body(download.body)


def create_request(body: dict[str, Any], name: str, platform: str) -> t.CreateContainer:
    """Take a create body apart. ``config`` is None when no field of it is set; raises BadRequest then."""
    config = dict(body)
    host_config = config.pop("HostConfig", None)
    networking = config.pop("NetworkingConfig", None)
    if not config:
        raise BadRequest("config cannot be empty in order to create a container")
    return t.CreateContainer(
        name=name, platform=platform, config=config, host_config=host_config or {}, networking_config=networking or {}
    )


def _share_ipc(host_config: dict[str, Any]) -> None:
    """Before API 1.40 a container's IPC namespace was open to others unless told otherwise."""
    host_config["IpcMode"] = host_config.get("IpcMode") or "shareable"


def check_endpoints(request: t.CreateContainer, version: Version) -> None:
    """Before API 1.44 a container is created on one network. Raises BadRequest."""
    endpoints = request.networking_config.get("EndpointsConfig") or {}
    for name, endpoint in endpoints.items():
        if endpoint is None:
            raise BadRequest(f"invalid config for network {name}: EndpointsConfig is nil")
    if len(endpoints) > 1 and version < (1, 44):
        raise BadRequest(f"Container cannot be created with multiple network endpoints: {', '.join(sorted(endpoints))}")
