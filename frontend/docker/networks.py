"""/networks."""

from __future__ import annotations

from falcon.asgi import Response
from msgspec.structs import replace

from backends.api.errors import NotFound
from frontend.docker.answers import Area, finish, reply
from frontend.request import Request
from frontend.wire import newer
from frontend.wire.bodies import CONNECT_NETWORK, CREATE_NETWORK, DISCONNECT_NETWORK
from frontend.wire.errors import BadRequest
from frontend.wire.shapes import without_nulls

_BOOLEANS = {"", "1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False"}


class Networks(Area):
    """Networks."""

    async def on_get_list(self, req: Request, resp: Response) -> None:
        """All networks, without their containers (as Docker has it since API 1.28)."""
        networks = await self.engine.list_networks(req.filters("networks"))
        if req.version >= (1, 28):
            networks = [replace(network, containers={}) for network in networks]
        reply(resp, networks)

    async def on_post_create(self, req: Request, resp: Response) -> None:
        """201 {Id, Warning}."""
        request = without_nulls(await req.body(CREATE_NETWORK) or {})
        newer.leave_out(request, req.version, newer.CREATE_NETWORK)
        created = await finish(self.engine.create_network(request))
        reply(resp, {"Id": created.id, "Warning": " ".join(created.warnings)}, 201)

    async def on_get(self, req: Request, resp: Response, ref: str) -> None:
        """One network with its containers; one of another ``scope`` counts as none. ``verbose`` is about swarms."""
        verbose, scope = req.text("verbose"), req.text("scope")
        if verbose not in _BOOLEANS:
            raise BadRequest(
                f'invalid value for verbose: {verbose}: strconv.ParseBool: parsing "{verbose}": invalid syntax'
            )
        network = await self.engine.inspect_network(ref)
        if scope not in ("", network.scope):
            raise NotFound(f"network {ref} not found")
        reply(resp, network)

    async def on_delete(self, req: Request, resp: Response, ref: str) -> None:
        """204."""
        await finish(self.engine.remove_network(ref))
        resp.status = 204

    async def on_post_connect(self, req: Request, resp: Response, ref: str) -> None:
        """200."""
        body = await req.body(CONNECT_NETWORK) or {}
        container = body.get("Container") or ""
        config = without_nulls(body.get("EndpointConfig") or {})
        await finish(self.engine.connect_network(ref, container, config))

    async def on_post_disconnect(self, req: Request, resp: Response, ref: str) -> None:
        """200."""
        body = await req.body(DISCONNECT_NETWORK) or {}
        await finish(self.engine.disconnect_network(ref, body.get("Container") or "", bool(body.get("Force"))))

    async def on_post_prune(self, req: Request, resp: Response) -> None:
        """Remove networks that no container uses."""
        pruned = await finish(self.engine.prune_networks(req.filters("networks/prune")))
        reply(resp, {"NetworksDeleted": pruned.deleted or None})
