"""/session and /grpc: BuildKit's way into a daemon, which this one does not have."""

from __future__ import annotations

from falcon.asgi import Response

from backends.api.errors import Unsupported
from frontend.request import Request
from frontend.wire.errors import BadRequest


class Session:
    """Declined, with what to do instead."""

    async def on_post(self, req: Request, resp: Response) -> None:
        """501, or 400 for a request that does not ask to upgrade."""
        if not req.get_header("upgrade"):
            raise BadRequest("no upgrade proto in request")
        raise Unsupported(
            "BuildKit is not supported: set DOCKER_BUILDKIT=0 to build with the classic builder, which is"
        )
