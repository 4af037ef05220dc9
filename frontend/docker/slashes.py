"""Objects whose name holds a slash: a container by what another one calls it, ``owner/alias``, and nothing else.

``docker inspect`` asks for an image's name as a container, a network and a volume too: no such thing, as if it had been
looked for. Images are not meant here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from falcon.asgi import Response

from backends.api.errors import NotFound
from frontend.request import Request

CONTAINERS = r"/containers/(?P<name>[^/]+/.*[^/])$"
NETWORKS = r"/networks/(?P<name>[^/]+/.*[^/])$"
VOLUMES = r"/volumes/(?P<name>[^/]+/.*[^/])$"
_CONTAINER = "/containers/{ref}"
_METHODS = ("DELETE", "GET", "HEAD", "POST", "PUT")
Responder = Callable[..., Awaitable[None]]


class Linked:
    """The endpoints of a container that is named by a legacy link."""

    def __init__(self, routes: Iterable[tuple[str, object, str | None]]) -> None:
        """Take the responders of the paths behind ``/containers/{ref}``."""
        self._responders: dict[tuple[str, str], Responder] = {}
        for path, resource, suffix in routes:
            verb = path.removeprefix(_CONTAINER)
            if path.startswith(_CONTAINER) and "{" not in verb:
                for method in _METHODS:
                    name = f"on_{method.lower()}" + (f"_{suffix}" if suffix else "")
                    if (responder := getattr(resource, name, None)) is not None:
                        self._responders[method, verb] = responder

    async def respond(self, req: Request, resp: Response | None, **groups: Any) -> None:
        """Answer as for any container; 404 ``page not found`` when no endpoint's path ends as this one does."""
        name: str = groups["name"]
        for (method, verb), responder in self._responders.items():
            ref = name.removesuffix(verb)
            if method == req.method and name.endswith(verb) and "/" in ref:
                await responder(req, resp, ref=ref)
                return
        raise NotFound("page not found")


async def no_network(req: Request, resp: Response | None, **groups: Any) -> None:
    """404."""
    name = groups["name"].removesuffix("/connect").removesuffix("/disconnect")
    raise NotFound(f"network {name} not found")


async def no_volume(req: Request, resp: Response | None, **groups: Any) -> None:
    """404."""
    raise NotFound(f"get {groups['name']}: no such volume")
