"""A registry for the tests: speaks the pull side of the OCI distribution spec on loopback, and misbehaves on demand."""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import msgspec
from aiohttp import web

from tests.sandbox.images.making import digest

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


@dataclass
class Peer:
    """``cut``: digest -> sizes after which to break successive answers off. ``fail``: path part -> statuses to give.

    ``token`` is given for every scope instead of one that allows it. ``proxied``: (origin, Proxy-Authorization) of what
    it was asked for as a plain HTTP proxy.
    """

    host: str = ""
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    cut: dict[str, list[int]] = field(default_factory=dict)
    fail: dict[str, list[int]] = field(default_factory=dict)
    ranges: bool = True
    user: tuple[str, str] | None = None
    bearer: bool = False
    token: object = None
    refresh: str = ""
    deny: str = ""
    requests: list[tuple[str, str]] = field(default_factory=list)
    proxied: set[tuple[str, str]] = field(default_factory=set)

    def push(self, name: str, tag: str, config: bytes, layers: Sequence[bytes]) -> bytes:
        """Store an image; returns its manifest."""
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.descriptor(config, "application/vnd.oci.image.config.v1+json"),
            "layers": [self.descriptor(layer, "application/vnd.oci.image.layer.v1.tar+gzip") for layer in layers],
        }
        raw = msgspec.json.encode(document)
        self.put(name, tag, raw, MANIFEST)
        return raw

    def put(self, name: str, tag: str, raw: bytes, media_type: str) -> None:
        self.manifests[f"{name}:{tag}"] = self.manifests[f"{name}:{digest(raw)}"] = (media_type, raw)

    def descriptor(self, data: bytes, media_type: str) -> dict[str, object]:
        self.blobs[digest(data)] = data
        return {"mediaType": media_type, "digest": digest(data), "size": len(data)}

    def asked(self, part: str) -> list[str]:
        """The Range headers (``""`` for none) of requests whose path has ``part``."""
        return [ranged for path, ranged in self.requests if part in path]


def error(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response({"errors": [{"code": code, "message": message}]}, status=status, headers=headers)


@asynccontextmanager
async def serve(peer: Peer) -> AsyncIterator[Peer]:
    app = web.Application()
    app.router.add_get("/token", partial(token, peer))
    app.router.add_post("/token", partial(refreshed, peer))
    app.router.add_get("/{path:v2/.*}", partial(answer, peer))
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    peer.host = f"127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield peer
    finally:
        await runner.cleanup()


def basic(peer: Peer) -> str:
    return "Basic " + base64.b64encode(":".join(peer.user or ("", "")).encode()).decode()


async def token(peer: Peer, request: web.Request) -> web.Response:
    assert request.query["service"] == "test"
    if peer.user and request.headers.get("Authorization") != basic(peer):
        return web.json_response({"details": "incorrect username or password"}, status=401)
    return web.json_response({"token": request.query["scope"] if peer.token is None else peer.token})


async def refreshed(peer: Peer, request: web.Request) -> web.Response:
    form = await request.post()
    if form["refresh_token"] != peer.refresh or form["grant_type"] != "refresh_token":
        return web.json_response({"details": "bad refresh token"}, status=401)
    return web.json_response({"access_token": form["scope"]})


async def answer(peer: Peer, request: web.Request) -> web.StreamResponse:
    found = re.fullmatch(r"v2/(.+)/(manifests|blobs|tags)/(.+)", request.match_info["path"])
    assert found, request.path
    name, kind, wanted = found.groups()
    if request.raw_path.startswith("http://"):
        peer.proxied.add((str(request.url.origin()), request.headers.get("Proxy-Authorization", "")))
    peer.requests.append((request.path, request.headers.get("Range", "")))
    for part, statuses in peer.fail.items():
        if part in request.path and statuses:
            return web.Response(status=statuses.pop(0))
    refused = challenge(peer, request, name)
    if refused is not None:
        return refused
    if kind == "manifests":
        if f"{name}:{wanted}" not in peer.manifests:
            return error(404, "MANIFEST_UNKNOWN", "manifest unknown")
        media_type, raw = peer.manifests[f"{name}:{wanted}"]
        return web.Response(body=raw, headers={"Content-Type": media_type, "Docker-Content-Digest": digest(raw)})
    if kind == "tags":
        return tags(peer, request, name)
    if wanted not in peer.blobs:
        return error(404, "BLOB_UNKNOWN", "blob unknown to registry")
    return await blob(peer, request, wanted)


def tags(peer: Peer, request: web.Request, name: str) -> web.Response:
    """Two a page."""
    known = [key.removeprefix(f"{name}:") for key in peer.manifests if key.startswith(f"{name}:")]
    named = sorted(tag for tag in known if not tag.startswith("sha256:"))
    if not named:
        return error(404, "NAME_UNKNOWN", "repository name not known to registry")
    left = [tag for tag in named if tag > request.query.get("last", "")]
    link = {"Link": f'</v2/{name}/tags/list?n=2&last={left[1]}>; rel="next"'} if len(left) > 2 else {}
    return web.json_response({"name": name, "tags": left[:2]}, headers=link)


def challenge(peer: Peer, request: web.Request, name: str) -> web.Response | None:
    sent = request.headers.get("Authorization", "")
    if peer.bearer:
        scope = f"repository:{name}:pull"
        offer = f'Bearer realm="http://{peer.host}/token",service="test",scope="{scope}"'
        if sent != f"Bearer {scope}":
            headers = {"WWW-Authenticate": offer}
            return error(401, "UNAUTHORIZED", "authentication required", headers)
        if name == peer.deny:
            headers = {"WWW-Authenticate": offer + ',error="insufficient_scope"'}
            return error(401, "UNAUTHORIZED", "authentication required", headers)
    elif peer.user and sent != basic(peer):
        return error(401, "UNAUTHORIZED", "authentication required", {"WWW-Authenticate": 'Basic realm="x"'})
    return None


async def blob(peer: Peer, request: web.Request, wanted: str) -> web.StreamResponse:
    data = peer.blobs[wanted]
    start = 0
    ranged = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
    if ranged and peer.ranges:
        start = int(ranged[1])
        if start >= len(data):
            return web.Response(status=416)
    headers = {"Content-Length": str(len(data) - start)}
    if start:
        headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
    response = web.StreamResponse(status=206 if start else 200, headers=headers)
    await response.prepare(request)
    cuts = peer.cut.get(wanted)
    if cuts:
        await response.write(data[start : start + cuts.pop(0)])
        assert request.transport is not None
        request.transport.close()
        return response
    await response.write(data[start:])
    return response
