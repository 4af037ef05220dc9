"""A registry for the tests that takes pushes: the write side of the OCI distribution spec, and misbehaves on demand."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

from aiohttp import web

from tests.sandbox.images.making import digest
from tests.sandbox.images.peer import MANIFEST, Peer, answer, basic, error, refreshed


@dataclass
class Receiver(Peer):
    """``fail``: "METHOD part of the path" -> statuses to give. ``cuts``: sizes after which to break uploads off.

    ``pause``: seconds between two reads of an upload; with ``stall`` it is not read at all.

    ``scopes`` are those that tokens were asked for, ``log`` all requests but those for tokens.
    """

    repositories: dict[str, set[str]] = field(default_factory=dict)
    uploads: dict[str, bytearray] = field(default_factory=dict)
    cuts: list[int] = field(default_factory=list)
    location: str = ""
    relative: bool = False
    mounts: bool = True
    stall: bool = False
    pause: float = 0
    stored_as: str = ""
    scopes: list[list[str]] = field(default_factory=list)
    authorizations: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)

    def of(self, method: str) -> list[str]:
        """The paths of the requests with this method."""
        return [path for logged, _, path in (line.partition(" ") for line in self.log) if logged == method]


@asynccontextmanager
async def receive(peer: Receiver) -> AsyncIterator[Receiver]:
    """Serve on loopback, by plain HTTP."""
    app = web.Application(client_max_size=1 << 30)
    app.router.add_get("/token", partial(token, peer))
    app.router.add_post("/token", partial(refreshed, peer))
    app.router.add_route("*", "/{path:v2/.*}", partial(write, peer))
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    peer.host = f"127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield peer
    finally:
        await runner.cleanup()


async def token(peer: Receiver, request: web.Request) -> web.Response:
    peer.scopes.append(request.query.getall("scope"))
    if peer.user and request.headers.get("Authorization") != basic(peer):
        return web.json_response({"details": "incorrect username or password"}, status=401)
    return web.json_response({"token": f"{len(peer.scopes)}"})


async def write(peer: Receiver, request: web.Request) -> web.StreamResponse:
    peer.log.append(f"{request.method} {request.path_qs}")
    peer.authorizations.append(request.headers.get("Authorization", ""))
    for part, statuses in peer.fail.items():
        method, _, path = part.partition(" ")
        if method == request.method and path in request.path and statuses:
            return web.Response(status=statuses.pop(0))
    refused = challenge(peer, request)
    if refused is not None:
        return refused
    if request.method in ("GET", "HEAD"):
        return await look(peer, request)
    if found := re.fullmatch(r"v2/(.+)/manifests/(.+)", request.match_info["path"]):
        return await store(peer, request, *found.groups())
    if peer.deny and f"/{peer.deny}/" in request.path:
        return error(403, "DENIED", "requested access to the resource is denied")
    return await upload(peer, request)


def challenge(peer: Receiver, request: web.Request) -> web.Response | None:
    sent = request.headers.get("Authorization", "")
    if peer.bearer and not sent.startswith("Bearer "):
        offer = f'Bearer realm="http://{peer.host}/token",service="test"'
        return error(401, "UNAUTHORIZED", "authentication required", {"WWW-Authenticate": offer})
    if not peer.bearer and peer.user and sent != basic(peer):
        return error(401, "UNAUTHORIZED", "authentication required", {"WWW-Authenticate": 'Basic realm="x"'})
    return None


async def look(peer: Receiver, request: web.Request) -> web.StreamResponse:
    found = re.fullmatch(r"v2/(.+)/blobs/(.+)", request.match_info["path"])
    if found and found[2] not in peer.repositories.get(found[1], set()):
        return error(404, "BLOB_UNKNOWN", "blob unknown to registry")
    if request.method == "HEAD":
        return web.Response()
    peer_bearer, peer.bearer = peer.bearer, False
    try:
        return await answer(peer, request)
    finally:
        peer.bearer = peer_bearer


async def store(peer: Receiver, request: web.Request, name: str, tag: str) -> web.Response:
    raw = await request.read()
    peer.put(name, tag, raw, request.headers.get("Content-Type", MANIFEST))
    return web.Response(status=201, headers={"Docker-Content-Digest": peer.stored_as or digest(raw)})


async def upload(peer: Receiver, request: web.Request) -> web.StreamResponse:
    found = re.fullmatch(r"v2/(.+)/blobs/uploads/(.*)", request.match_info["path"])
    assert found, request.path
    name, session = found.groups()
    if request.method == "POST":
        return begin(peer, request, name)
    if request.query.get("state") != "a b/c==":  # the rest of a Location's query has to come back as it was
        return error(400, "BLOB_UPLOAD_INVALID", "wrong upload state")
    if peer.stall:
        await asyncio.Event().wait()
    async for piece in request.content.iter_chunked(1 << 16):
        peer.uploads[session] += piece
        await asyncio.sleep(peer.pause)
        if peer.cuts and len(peer.uploads[session]) >= peer.cuts[0]:
            peer.cuts.pop(0)
            assert request.transport is not None
            request.transport.close()
            return web.Response()
    if request.method == "PATCH":
        return web.Response(status=202, headers={"Location": where(peer, name, session)})
    data = bytes(peer.uploads.pop(session))
    if digest(data) != request.query["digest"]:
        return error(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
    peer.blobs[digest(data)] = data
    peer.repositories.setdefault(name, set()).add(digest(data))
    return web.Response(status=201)


def begin(peer: Receiver, request: web.Request, name: str) -> web.Response:
    wanted = request.query.get("mount", "")
    if wanted and peer.mounts and wanted in peer.repositories.get(request.query["from"], set()):
        peer.repositories.setdefault(name, set()).add(wanted)
        return web.Response(status=201)
    session = f"session-{len(peer.log)}"
    peer.uploads[session] = bytearray()
    return web.Response(status=202, headers={"Location": peer.location or where(peer, name, session)})


def where(peer: Receiver, name: str, session: str) -> str:
    path = f"/v2/{name}/blobs/uploads/{session}?state=a%20b/c%3D%3D"
    return path if peer.relative else f"http://{peer.host}{path}"
