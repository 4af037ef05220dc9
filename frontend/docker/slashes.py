"""Objects whose name holds a slash: there are none, and the answer says so as if it had been looked for.

``docker inspect`` asks for an image's name as a container, a network and a volume too. Images are not meant here.
"""

from __future__ import annotations

from typing import Any

from falcon.asgi import Response

from backends.api.errors import NotFound
from frontend.request import Request

CONTAINERS = r"/containers/(?P<name>[^/]+/.*[^/])$"
NETWORKS = r"/networks/(?P<name>[^/]+/.*[^/])$"
VOLUMES = r"/volumes/(?P<name>[^/]+/.*[^/])$"
_VERBS = {
    *("archive", "attach", "changes", "exec", "export", "json", "kill", "logs", "pause", "rename", "resize"),
    *("restart", "start", "stats", "stop", "top", "unpause", "update", "wait"),
}


async def no_container(req: Request, resp: Response | None, **groups: Any) -> None:
    """404, about the container if the rest of the path is one of an endpoint's."""
    name: str = groups["name"]
    if req.method != "DELETE":
        name, _, verb = name.rpartition("/")
        if verb not in _VERBS or "/" not in name:
            raise NotFound("page not found")
    raise NotFound(f"No such container: {name}")


async def no_network(req: Request, resp: Response | None, **groups: Any) -> None:
    """404."""
    name = groups["name"].removesuffix("/connect").removesuffix("/disconnect")
    raise NotFound(f"network {name} not found")


async def no_volume(req: Request, resp: Response | None, **groups: Any) -> None:
    """404."""
    raise NotFound(f"get {groups['name']}: no such volume")
