"""What Docker answers on a node that is no swarm manager and has no plugins."""

from __future__ import annotations

from typing import Any

from falcon.asgi import Response

from backends.api.errors import NotFound, Unavailable, Unsupported
from frontend.docker.answers import reply
from frontend.request import Request

PATHS = r"/(swarm|nodes|services|tasks|secrets|configs)(/|$)"


NO_MANAGER = (
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm'
    " and try again."
)


async def no_swarm(req: Request, resp: Response | None, **groups: Any) -> None:
    """503 for all of /swarm, /nodes, /services, /tasks, /secrets and /configs."""
    raise Unavailable(NO_MANAGER)


class Plugins:
    """There are none, and none can be installed: what a plugin is for is a backend's business here."""

    async def on_get_list(self, req: Request, resp: Response) -> None:
        """[]."""
        req.filters("plugins")
        reply(resp, [])

    async def on_get_inspect(self, req: Request, resp: Response, name: str) -> None:
        """404."""
        raise _no_plugin(name)

    async def on_delete_one(self, req: Request, resp: Response, name: str) -> None:
        """404."""
        raise _no_plugin(name)

    async def on_post_change(self, req: Request, resp: Response, name: str) -> None:
        """404 for enable, disable, push, set and upgrade."""
        raise _no_plugin(name)

    async def on_get_privileges(self, req: Request, resp: Response) -> None:
        """501."""
        raise Unsupported(_NO_PLUGINS)

    async def on_post_install(self, req: Request, resp: Response) -> None:
        """501 for pull and create."""
        raise Unsupported(_NO_PLUGINS)


_NO_PLUGINS = "plugins are not supported: networks and volumes are the backend's own, logs this engine's"


def _no_plugin(name: str) -> NotFound:
    return NotFound(f'plugin "{name}" not found')
