"""/distribution: what registries have."""

from __future__ import annotations

from falcon.asgi import Response

from backends.api.errors import NotFound
from frontend.docker.answers import Area, reply
from frontend.request import Request
from frontend.wire.auth import parse_registry_auth


class Distribution(Area):
    """Images at their registries. Their names hold slashes, so ``path`` is all that follows /distribution/."""

    async def on_get(self, req: Request, resp: Response, path: str) -> None:
        """…/json: descriptor and platforms, asked of the registry now."""
        name, _, action = path.rpartition("/")
        if action != "json" or not name:
            raise NotFound("page not found")
        auth = parse_registry_auth(req.get_header("x-registry-auth"))
        reply(resp, await self.engine.inspect_distribution(name, auth))
