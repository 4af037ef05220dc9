"""The ASGI application in front of several workers: a request that concerns only one with a Docker engine behind it is
passed on as it came; every other goes to the application over all workers' engines."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import parse_qs

import msgspec

from backends.api import types as t
from backends.api.errors import EngineError
from frontend.docker.answers import encode
from frontend.docker.containers import create_request
from frontend.routing.concern import Concern, concern
from frontend.routing.negotiation import Negotiation
from frontend.routing.owners import found_for_request
from frontend.routing.passing import Receive, Scope, Send, pass_on
from frontend.routing.router import Router, for_worker
from frontend.routing.workers import Worker
from frontend.server import EXTENSION, Takeover
from frontend.wire.bodies import CREATE_CONTAINER, parse_body
from frontend.wire.errors import BadRequest

log = logging.getLogger(__name__)
LARGEST_BODY = 16 << 20
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class Gateway:
    """``application`` serves ``router``; what it need not see is passed by it."""

    def __init__(self, router: Router, application: Application) -> None:
        self._router, self._application = router, application
        self._negotiation = Negotiation([worker for worker in router.workers if worker.relays])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found_for_request.set({})
        takeover: Takeover = scope["extensions"][EXTENSION]
        takeover.cancel_on_disconnect(asyncio.current_task())
        try:
            what = concern(scope["method"], scope["path"], scope["query_string"].decode("latin-1"))
            if what.kind == "create":
                await self._create(scope, receive, send)
            elif (worker := await self._sole_relay(what)) is not None:
                await pass_on(worker.engine, scope, receive, send)
            else:
                await self._negotiation.serve(self._application, scope, receive, send)
        except asyncio.CancelledError:
            takeover.break_off()
        finally:
            takeover.cancel_on_disconnect(None)

    async def _sole_relay(self, what: Concern) -> Worker | None:
        """The one worker that the request concerns, if it takes requests as they are."""
        try:
            workers = await self._concerned(what)
        except EngineError:
            return None  # the application finds the same, and words it
        return workers[0] if len(workers) == 1 and workers[0].relays else None

    async def _concerned(self, what: Concern) -> list[Worker]:
        owners = self._router.owners
        match what.kind:
            case "container":
                return [await owners.container(what.ref)]
            case "exec":
                return [await owners.exec(what.ref)]
            case "image":
                return await owners.image(what.ref)
            case "network":
                return [worker for worker, _ in await owners.network(what.ref)]
            case "volume":
                return [worker for worker, _ in await owners.volume(what.ref)][:1]
            case "default":
                return self._router.workers[:1]
        return []

    async def _create(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _read(receive)
        try:
            fields = parse_body(body, _header(scope, b"content-type"), CREATE_CONTAINER) or {}
            query = {key: values[0] for key, values in parse_qs(scope["query_string"].decode("latin-1")).items()}
            request = create_request(fields, query.get("name", ""), query.get("platform", ""))
            worker = self._router.placing.worker(str(request.host_config.get("Runtime") or ""))
        except (BadRequest, EngineError):
            worker = None
        if worker is None or not worker.relays:
            await self._application(scope, _replay(body, receive), send)
            return
        await self._create_there(worker, request, scope, body, send, receive)

    async def _create_there(
        self, worker: Worker, request: t.CreateContainer, scope: Scope, body: bytes, send: Send, receive: Receive
    ) -> None:
        async with AsyncExitStack() as held:
            try:
                await held.enter_async_context(self._router.placing.naming(request.name, worker))
                there = for_worker(await self._router.placing.prepare(worker, request), worker)
            except EngineError as error:
                await _refuse(send, error)
                return
            if there is not request:
                body = _body(there)
                scope = {**scope, "headers": _with_length(scope["headers"], len(body))}
            await pass_on(worker.engine, scope, _replay(body, receive), send)


def _body(request: t.CreateContainer) -> bytes:
    whole = {**(request.config or {}), "HostConfig": request.host_config}
    if request.networking_config:
        whole["NetworkingConfig"] = request.networking_config
    return msgspec.json.encode(whole)


def _with_length(headers: list[tuple[bytes, bytes]], length: int) -> list[tuple[bytes, bytes]]:
    kept = [pair for pair in headers if pair[0] not in (b"content-length", b"transfer-encoding")]
    return [*kept, (b"content-length", str(length).encode())]


def _header(scope: Scope, name: bytes) -> str | None:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), None)


async def _read(receive: Receive) -> bytes:
    data, more = b"", True
    while more and len(data) <= LARGEST_BODY:
        message = await receive()
        if message["type"] != "http.request":
            raise asyncio.CancelledError  # the client went away in the middle of its request
        data, more = data + message["body"], message["more_body"]
    return data


def _replay(body: bytes, receive: Receive) -> Receive:
    """Give ``body`` once more, then what ``receive`` has."""
    waiting: list[dict[str, Any]] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> dict[str, Any]:
        return waiting.pop() if waiting else await receive()

    return replay


async def _refuse(send: Send, error: EngineError) -> None:
    body = encode({"message": error.message}) + b"\n"
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
