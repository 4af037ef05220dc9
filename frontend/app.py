"""The application: every route of the Docker Engine API that is served, and how its errors look."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

import falcon
import falcon.asgi
from falcon.asgi import Response

from backends.api.engine import Engine
from backends.api.errors import EngineError
from frontend.docker import slashes, swarm
from frontend.docker.answers import encode, fail
from frontend.docker.archive import Archive
from frontend.docker.build import Builds
from frontend.docker.containers import Containers
from frontend.docker.distribution import Distribution
from frontend.docker.exec import Execs
from frontend.docker.images import Images
from frontend.docker.lifecycle import Lifecycle
from frontend.docker.networks import Networks
from frontend.docker.session import Session
from frontend.docker.streams import Streams
from frontend.docker.swarm import Plugins, no_swarm
from frontend.docker.system import System
from frontend.docker.volumes import Volumes
from frontend.docker.websocket import WebSockets
from frontend.request import Request
from frontend.server import EXTENSION, Takeover
from frontend.wire.errors import BadRequest, TooOld
from frontend.wire.versions import split_version

log = logging.getLogger(__name__)


def routes(engine: Engine, backend: str) -> list[tuple[str, Any, str | None]]:
    """Path, resource and the suffix of its responders."""
    system, containers, lifecycle = System(engine, backend), Containers(engine), Lifecycle(engine)
    streams, execs, archive = Streams(engine), Execs(engine), Archive(engine)
    images, builds, networks, volumes = Images(engine), Builds(engine), Networks(engine), Volumes(engine)
    plugins = Plugins()
    return [
        ("/_ping", system, "ping"),
        ("/version", system, "version"),
        ("/info", system, "info"),
        ("/system/df", system, "df"),
        ("/events", system, "events"),
        ("/auth", system, "auth"),
        ("/containers/create", containers, "create"),
        ("/containers/json", containers, "list"),
        ("/containers/prune", containers, "prune"),
        ("/containers/{ref}", containers, None),
        ("/containers/{ref}/json", containers, "inspect"),
        ("/containers/{ref}/rename", containers, "rename"),
        ("/containers/{ref}/update", containers, "update"),
        ("/containers/{ref}/top", containers, "top"),
        ("/containers/{ref}/changes", containers, "changes"),
        ("/containers/{ref}/export", containers, "export"),
        *((f"/containers/{{ref}}/{verb}", lifecycle, verb) for verb in _VERBS),
        ("/containers/{ref}/checkpoints", lifecycle, "checkpoints"),
        ("/containers/{ref}/checkpoints/{checkpoint}", lifecycle, "checkpoint"),
        ("/containers/{ref}/attach", streams, "attach"),
        ("/containers/{ref}/attach/ws", WebSockets(engine), "attach"),
        ("/containers/{ref}/logs", streams, "logs"),
        ("/containers/{ref}/archive", archive, None),
        ("/containers/{ref}/exec", execs, "create"),
        ("/exec/{exec_id}/start", execs, "start"),
        ("/exec/{exec_id}/json", execs, "inspect"),
        ("/exec/{exec_id}/resize", execs, "resize"),
        ("/images/json", images, "list"),
        ("/images/create", images, "create"),
        ("/images/load", images, "load"),
        ("/images/get", images, "save"),
        ("/images/prune", images, "prune"),
        ("/images/search", images, "search"),
        ("/images/{path:path}", images, None),
        ("/build", builds, "build"),
        ("/build/prune", builds, "prune"),
        ("/commit", builds, "commit"),
        ("/distribution/{path:path}", Distribution(engine), None),
        *((path, Session(), None) for path in ("/session", "/grpc")),
        ("/networks", networks, "list"),
        ("/networks/create", networks, "create"),
        ("/networks/prune", networks, "prune"),
        ("/networks/{ref}", networks, None),
        ("/networks/{ref}/connect", networks, "connect"),
        ("/networks/{ref}/disconnect", networks, "disconnect"),
        ("/volumes", volumes, "list"),
        ("/volumes/create", volumes, "create"),
        ("/volumes/prune", volumes, "prune"),
        ("/volumes/{name}", volumes, None),
        ("/plugins", plugins, "list"),
        ("/plugins/privileges", plugins, "privileges"),
        *((f"/plugins/{verb}", plugins, "install") for verb in ("pull", "create")),
        ("/plugins/{name}", plugins, "one"),
        ("/plugins/{name}/json", plugins, "inspect"),
        *((f"/plugins/{{name}}/{verb}", plugins, "change") for verb in _PLUGIN_CHANGES),
    ]


_SINKS = (
    (no_swarm, swarm.PATHS),
    (slashes.no_network, slashes.NETWORKS),
    (slashes.no_volume, slashes.VOLUMES),
)
_PLUGIN_CHANGES = ("enable", "disable", "push", "set", "upgrade")
_VERBS = ("start", "stop", "restart", "kill", "pause", "unpause", "resize", "wait", "stats")


Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


def _asked_late(takeover: Takeover, receive: Receive, send: Send) -> tuple[Receive, Send]:
    """Ask a client for its body when that is read, as Go's servers do: Falcon would before it knows the route.

    Whether a client that was not asked sends its body all the same cannot be told, so its connection ends.
    """
    first: list[dict[str, Any]] = [{"type": "http.request", "body": b"", "more_body": True}]

    async def read() -> dict[str, Any]:
        return first.pop() if first else await receive()

    async def answer(message: dict[str, Any]) -> None:
        if takeover.unasked:
            takeover.last()
        await send(message)

    return read, answer


class Application:
    """The ASGI application. A client that goes away cancels its request's task."""

    def __init__(self, engine: Engine, backend: str) -> None:
        self._falcon = falcon.asgi.App(request_type=Request, middleware=[_Dialect()])
        self._falcon.resp_options.default_media_type = None  # type: ignore[assignment]
        served = routes(engine, backend)
        for path, resource, suffix in served:
            self._falcon.add_route(path, resource, suffix=suffix)
        self._falcon.add_sink(slashes.Linked(served).respond, slashes.CONTAINERS)
        for sink, pattern in _SINKS:
            self._falcon.add_sink(sink, pattern)
        self._falcon.add_error_handler(Exception, _unexpected)
        self._falcon.add_error_handler(falcon.HTTPError, _no_such_page)
        self._falcon.add_error_handler(ConnectionError, _client_gone)
        self._falcon.add_error_handler(EngineError, _engine_error)
        self._falcon.add_error_handler(BadRequest, _bad_request)

    async def __call__(
        self,
        scope: dict[str, Any],
        receive: Receive,
        send: Send,
    ) -> None:
        takeover: Takeover = scope["extensions"][EXTENSION]
        takeover.cancel_on_disconnect(asyncio.current_task())
        if takeover.unasked:
            receive, send = _asked_late(takeover, receive, send)
        try:
            await self._falcon(scope, receive, send)
        except asyncio.CancelledError:
            takeover.break_off()
        except Exception as error:  # after the answer's head: all that can be told is that it is not complete
            _log(scope["method"], scope["path"], error)
            takeover.break_off()
        finally:
            takeover.cancel_on_disconnect(None)


class _Dialect:
    """The API version and double slashes are taken out of the path, as Docker's router does; answers are JSON."""

    async def process_request(self, req: Request, resp: Response) -> None:
        path = req.path
        if "//" in path:
            while "//" in path:
                path = path.replace("//", "/")
            raise falcon.HTTPMovedPermanently(quote(path) + (f"?{req.query_string}" if req.query_string else ""))
        req.version, req.path = split_version(path)

    async def process_response(self, req: Request, resp: Response, resource: object, succeeded: bool) -> None:
        """JSON unless the answer says otherwise; an answer without a body has no type."""
        if resp.data and resp.content_type is None:
            resp.content_type = "application/json"


def _log(method: str, path: str, error: Exception) -> None:
    expected = isinstance(error, EngineError)
    log.log(
        logging.WARNING if expected else logging.ERROR,
        "request failed",
        exc_info=None if expected else error,
        extra={"method": method, "path": path, "reason": f"{type(error).__name__}: {error}"},
    )


async def _unexpected(req: Request, resp: Response, error: Exception, params: dict[str, Any]) -> None:
    _log(req.method, req.path, error)
    fail(resp, EngineError(f"internal error: {type(error).__name__}: {error}"))


async def _client_gone(req: Request, resp: Response, error: ConnectionError, params: dict[str, Any]) -> None:
    """There is nobody to tell."""


async def _no_such_page(req: Request, resp: Response, error: falcon.HTTPError, params: dict[str, Any]) -> None:
    """Docker has no 405: an unknown path and a wrong method look the same."""
    resp.status = 404 if error.status_code == 405 else error.status_code
    resp.data = encode({"message": "page not found" if resp.status_code == 404 else error.title}) + b"\n"


async def _engine_error(req: Request, resp: Response, error: EngineError, params: dict[str, Any]) -> None:
    fail(resp, error)


async def _bad_request(req: Request, resp: Response, error: BadRequest, params: dict[str, Any]) -> None:
    resp.status = 400
    if isinstance(error, TooOld):
        resp.content_type = "text/plain; charset=utf-8"
        resp.data = error.message.encode() + b"\n"
    else:
        resp.data = encode({"message": error.message}) + b"\n"
