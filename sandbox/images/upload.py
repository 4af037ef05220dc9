"""Bring blobs and manifests to a repository of a registry: what is there is seen, else mounted, else uploaded.

Every operation is tried again from its beginning while the registry fails in passing ways; an upload gets a session of
its own each time, so that nothing depends on how much of a broken one the registry kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote, urlencode, urljoin, urlsplit

from sandbox.images.credentials import Credentials, from_docker_config
from sandbox.images.errors import LayerMissing, RegistryError, RegistryUnavailable
from sandbox.images.image import digest_of
from sandbox.images.proxy import through_proxy
from sandbox.images.reference import Reference
from sandbox.images.threads import in_thread
from sandbox.images.transport import Host, HttpProblem, RegistryConfig, explain, hosts_for, persist

if TYPE_CHECKING:
    import aiohttp

Answer = TypeVar("Answer")
Progress = Callable[[int], None]
"""(bytes sent)"""
PIECE = 1 << 18
IN_ONE = 1 << 22
_OCTETS = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Content:
    """What is to become a blob: a file, or for small things the ``data`` itself."""

    digest: str
    size: int
    path: Path | None = None
    data: bytes = b""

    @classmethod
    def of(cls, data: bytes) -> Content:
        """Content that is in memory."""
        return cls(digest_of(data), len(data), data=data)


class Target:
    """One repository to write to. Errors: Unauthorized, RegistryUnavailable, RegistryError, in the registry's words."""

    def __init__(self, host: Host, path: str, config: RegistryConfig) -> None:
        self._host = host
        self._path = path
        self._config = config

    async def has(self, digest: str) -> bool:
        """Whether the repository has a blob."""

        async def ask() -> bool:
            try:
                async with self._request("HEAD", f"blobs/{digest}"):
                    return True
            except HttpProblem as problem:
                if problem.status == 404:
                    return False
                raise

        return await self._attempt(ask)

    async def mount(self, digest: str, source: str) -> bool:
        """Take a blob over from another repository of the registry; False if it does not do that.

        An upload session that the registry opens instead is left to expire, as the distribution spec has it.
        """

        async def ask() -> bool:
            query = urlencode({"mount": digest, "from": source})
            async with self._request("POST", f"blobs/uploads/?{query}", source=source) as response:
                return response.status == 201

        try:
            return await self._attempt(ask)
        except RegistryUnavailable:
            raise
        except RegistryError:  # it may not be readable for us there: then the blob is uploaded
            return False

    async def upload(self, content: Content, progress: Progress) -> None:
        """Upload a blob: small ones in one request, others in two as dockerd does."""

        async def send() -> None:
            async with self._request("POST", "blobs/uploads/") as response:
                session = _location(response)
            if content.size > IN_ONE:
                async with self._sending("PATCH", session, content, progress) as response:
                    session = _location(response)
                async with self._request("PUT", _with_digest(session, content.digest)):
                    return
            async with self._sending("PUT", _with_digest(session, content.digest), content, progress):
                return

        await self._attempt(send)

    async def put_manifest(self, tag: str, raw: bytes, media_type: str) -> None:
        """Store a manifest under a tag."""

        async def put() -> str:
            path = f"manifests/{quote(tag)}"
            async with self._request("PUT", path, {"Content-Type": media_type}, lambda: raw) as response:
                return response.headers.get("Docker-Content-Digest", "")

        stored = await self._attempt(put)
        if stored.startswith("sha256:") and stored != digest_of(raw):
            raise RegistryError(f"the registry stored the manifest as {stored}, it is {digest_of(raw)}")

    @asynccontextmanager
    async def _request(
        self,
        method: str,
        path: str,
        headers: dict[str, str] | None = None,
        body: Callable[[], bytes | AsyncIterator[bytes]] | None = None,
        *,
        source: str = "",
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        if body is None and method != "HEAD":
            headers = {"Content-Length": "0"} | (headers or {})
        async with self._host.request(method, self._path, path, headers or {}, body, source=source) as response:
            if response.status >= 300:
                raise HttpProblem(
                    response.status, "", f"received unexpected HTTP status: {response.status} {response.reason}"
                )
            yield response

    @asynccontextmanager
    async def _sending(
        self, method: str, url: str, content: Content, progress: Progress
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A request with content. The registry must take a piece, and in the end answer, within the deadline."""
        loop = asyncio.get_running_loop()
        headers = {"Content-Type": _OCTETS, "Content-Length": str(content.size)}
        answered = False
        async with asyncio.timeout(self._config.read) as limit:

            async def pieces() -> AsyncIterator[bytes]:
                sent = 0
                async for piece in _read(content):
                    yield piece
                    if answered:
                        return
                    sent += len(piece)
                    limit.reschedule(loop.time() + self._config.read)
                    progress(sent)

            async with self._request(method, url, headers, pieces) as response:
                answered = True
                yield response

    async def _attempt(self, work: Callable[[], Awaitable[Answer]]) -> Answer:
        return await persist(work, self._config, explain)


@asynccontextmanager
async def open_target(
    reference: Reference, *, config: RegistryConfig | None = None, credentials: Credentials | None = None
) -> AsyncIterator[Target]:
    """Open a repository for writing. Without ``credentials`` those of docker's config.json are used, if any."""
    import aiohttp

    config = config or RegistryConfig()
    if not credentials:
        credentials = await from_docker_config(reference.domain)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=config.connect, sock_read=config.read)
    connector = aiohttp.TCPConnector(limit=config.uploads + 2)
    async with aiohttp.ClientSession(
        timeout=timeout, connector=connector, auto_decompress=False, middlewares=(through_proxy,)
    ) as session:
        own = hosts_for(session, reference.domain, credentials, config, "pull,push")[-1]
        yield Target(own, reference.path, config)


async def _read(content: Content) -> AsyncIterator[bytes]:
    if content.path is None:
        yield content.data
        return
    try:
        file = await in_thread(content.path.open, "rb")
    except FileNotFoundError:
        raise LayerMissing(f"layer {content.digest} is not in the store") from None
    with file:
        while piece := await in_thread(file.read, PIECE):
            yield piece


def _location(response: aiohttp.ClientResponse) -> str:
    """Where an upload goes on: absolute, or relative to where it was asked for."""
    location = response.headers.get("Location", "")
    url = urljoin(str(response.url), location)
    if not location or urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).netloc:
        raise RegistryError(f"the registry gave no usable upload location: {location!r}")
    return url


def _with_digest(url: str, digest: str) -> str:
    """The rest of a Location's query is the registry's own (signed, maybe) and stays as it is."""
    return f"{url}{'&' if '?' in url else '?'}digest={quote(digest, safe='')}"
