"""/volumes."""

from __future__ import annotations

from falcon.asgi import Response

from backends.api.errors import Unavailable
from frontend.docker.answers import Area, finish, reply
from frontend.docker.swarm import NO_MANAGER
from frontend.request import Request
from frontend.wire.bodies import CREATE_VOLUME
from frontend.wire.shapes import without_nulls


class Volumes(Area):
    """Volumes."""

    async def on_get_list(self, req: Request, resp: Response) -> None:
        """{Volumes, Warnings}."""
        reply(resp, {"Volumes": await self.engine.list_volumes(req.filters("volumes")), "Warnings": None})

    async def on_post_create(self, req: Request, resp: Response) -> None:
        """201 and the volume; the one that is there when the name is taken."""
        request = without_nulls(await req.body(CREATE_VOLUME) or {})
        if "ClusterVolumeSpec" in request:
            raise Unavailable(NO_MANAGER)
        reply(resp, await finish(self.engine.create_volume(request)), 201)

    async def on_get(self, req: Request, resp: Response, name: str) -> None:
        """One volume."""
        reply(resp, await self.engine.inspect_volume(name))

    async def on_put(self, req: Request, resp: Response, name: str) -> None:
        """503: only a swarm's volumes can be changed."""
        raise Unavailable("volume update only valid for cluster volumes, but swarm is unavailable")

    async def on_delete(self, req: Request, resp: Response, name: str) -> None:
        """204."""
        await finish(self.engine.remove_volume(name, req.flag("force")))
        resp.status = 204

    async def on_post_prune(self, req: Request, resp: Response) -> None:
        """Remove unused volumes: since API 1.42 only anonymous ones unless the filter ``all`` is set."""
        filters = req.filters("volumes/prune")
        if req.version < (1, 42):
            filters["all"] = ["true"]
        pruned = await finish(self.engine.prune_volumes(filters))
        reply(resp, {"VolumesDeleted": pruned.deleted, "SpaceReclaimed": pruned.space_reclaimed})
