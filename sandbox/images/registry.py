"""A client of the registry protocol (OCI distribution spec, v2): manifests, configs, and blobs opened for download.

aiohttp is imported only when a client is opened.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from sandbox.images import manifests
from sandbox.images.credentials import Credentials, from_docker_config
from sandbox.images.errors import InvalidImage, RegistryError, RegistryUnavailable
from sandbox.images.image import MAX_CONFIG, digest_of, parse_config
from sandbox.images.manifests import Descriptor, Index, Manifest
from sandbox.images.platforms import Platform
from sandbox.images.proxy import through_proxy
from sandbox.images.reference import Reference
from sandbox.images.transport import (
    Host,
    HttpProblem,
    RegistryConfig,
    explain_pull,
    hosts_for,
    persist,
    read_document,
)

if TYPE_CHECKING:
    import aiohttp

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Found:
    """What a reference means at a registry: ``digest`` is what was asked for (an index, maybe), the rest one image."""

    digest: str
    manifest: Manifest
    config: bytes


@dataclass(frozen=True, slots=True)
class Description:
    """What a reference is at a registry; ``platforms`` are OCI platform objects, those of its manifests or its own."""

    media_type: str
    digest: str
    size: int
    platforms: tuple[dict[str, Any], ...]


_MOST_PAGES = 1000


class _Tags(msgspec.Struct):
    tags: list[str] | None = None


Explain = Callable[[HttpProblem, Reference], Exception]


class Repository:
    """One repository of a registry, with the mirrors and credentials to read it."""

    def __init__(self, hosts: list[Host], reference: Reference, config: RegistryConfig, explain: Explain) -> None:
        self._hosts = hosts
        self._reference = reference
        self._explain = explain
        self.config = config
        self.mirrors = len(hosts) - 1

    async def find(self, platform: Platform) -> Found:
        """Resolve the reference to one image and fetch its config.

        ManifestNotFound, AccessDenied, Unauthorized, RegistryUnavailable, RegistryError, InvalidImage.
        """
        top = await self.manifest(self._reference.digest or self._reference.tag or "latest")
        manifest, config = await self._image(top, platform)
        return Found(top.digest, manifest, config)

    async def _image(self, document: Manifest | Index, wanted: Platform, depth: int = 0) -> tuple[Manifest, bytes]:
        if isinstance(document, Manifest):
            return document, await self._fetch(f"blobs/{document.config.digest}", {}, document.config)
        if depth == manifests.MAX_DEPTH:
            raise InvalidImage("manifest lists are nested too deep")
        for entry, ask in document.candidates(wanted):
            manifest, config = await self._image(await self.manifest(entry.digest), wanted, depth + 1)
            if not ask or wanted.rank(Platform.of_config(parse_config(config))) is not None:
                return manifest, config
        raise manifests.unmatched(wanted)

    async def describe(self) -> Description:
        """What the reference is, without choosing among its platforms. Errors as ``find``."""
        top = await self.manifest(self._reference.digest or self._reference.tag or "latest")
        if isinstance(top, Manifest):
            config = await self._fetch(f"blobs/{top.config.digest}", {}, top.config)
            platforms = [manifests.platform(parse_config(config))]
        else:
            platforms = manifests.platforms(top.raw)
        return Description(
            manifests.media_type(top.raw), top.digest, len(top.raw), tuple(item for item in platforms if item)
        )

    async def tags(self) -> list[str]:
        """Every tag of the repository, in the registry's order and page by page. Errors as ``find``."""
        found: list[str] = []
        path = "tags/list"
        for _ in range(_MOST_PAGES):

            async def read(host: Host, path: str = path) -> tuple[bytes, str]:
                async with host.get(self._reference.path, path, {}) as response:
                    return await read_document(response), response.headers.get("Link", "")

            data, following = await self._attempt(read)
            try:
                found += msgspec.json.decode(data, type=_Tags).tags or []
            except msgspec.DecodeError as error:
                raise RegistryError(f"the list of tags cannot be read: {error}") from None
            match = re.match(r"<[^?>]*\?([^>]*)>", following)  # RFC 8288; there is no other relation than "next"
            if match is None:
                break
            path = f"tags/list?{match[1]}"
        return found

    async def manifest(self, tag_or_digest: str) -> Manifest | Index:
        """Fetch a manifest or index; one asked for by digest must have it."""
        media_type = ""

        async def read(host: Host) -> bytes:
            nonlocal media_type
            path = f"manifests/{tag_or_digest}"
            async with host.get(self._reference.path, path, {"Accept": manifests.ACCEPT}) as response:
                media_type = response.headers.get("Content-Type", "")
                data = await read_document(response)
                _check_length(response, len(data))
            promised = tag_or_digest if ":" in tag_or_digest else response.headers.get("Docker-Content-Digest", "")
            if promised.startswith("sha256:") and promised != digest_of(data):
                raise InvalidImage(f"manifest verification failed for digest {promised}")
            return data

        return manifests.parse(await self._attempt(read), media_type)

    async def _fetch(self, path: str, headers: dict[str, str], expected: Descriptor) -> bytes:
        if expected.size > MAX_CONFIG:
            raise InvalidImage("image config is too large")

        async def read(host: Host) -> bytes:
            async with host.get(self._reference.path, path, headers) as response:
                data = await read_document(response)
                _check_length(response, len(data))
                return data

        data = await self._attempt(read)
        if digest_of(data) != expected.digest:
            raise InvalidImage(f"image config verification failed for digest {expected.digest}")
        return data

    @asynccontextmanager
    async def blob(self, digest: str, start: int, host: int) -> AsyncIterator[aiohttp.ClientResponse]:
        """Open a blob from byte ``start`` on: 206, or 200 if the host does not do ranges.

        ``host`` counts the mirrors, then the registry itself (``mirrors`` is its number). HttpProblem and
        RegistryUnavailable: whether to go on is the caller's business (see ``explain``).
        """
        headers = {"Range": f"bytes={start}-"} if start else {}
        async with self._hosts[host].get(self._reference.path, f"blobs/{digest}", headers) as response:
            yield response

    def explain(self, problem: HttpProblem) -> Exception:
        """The error a user should see for ``problem``."""
        return self._explain(problem, self._reference)

    async def _attempt(self, read: Callable[[Host], Awaitable[Answer]]) -> Answer:
        """Ask each mirror once, then the registry itself until it answers or is out of attempts."""
        import aiohttp

        for host in self._hosts[:-1]:
            try:
                return await read(host)
            except (HttpProblem, RegistryError, InvalidImage, aiohttp.ClientError, TimeoutError):
                continue  # a mirror may fail or lack the image; the registry itself has the last word
        return await persist(lambda: read(self._hosts[-1]), self.config, self.explain)


@asynccontextmanager
async def open_repository(
    reference: Reference,
    *,
    config: RegistryConfig | None = None,
    credentials: Credentials | None = None,
    explain: Explain = explain_pull,
) -> AsyncIterator[Repository]:
    """Open a repository for reading. Without ``credentials`` those of docker's config.json are used, if any.

    ``explain`` words what the registry refuses.
    """
    import aiohttp

    config = config or RegistryConfig()
    if not credentials:
        credentials = await from_docker_config(reference.domain)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=config.connect, sock_read=config.read)
    connector = aiohttp.TCPConnector(limit=config.downloads * 2 + 2)
    async with aiohttp.ClientSession(
        timeout=timeout, connector=connector, auto_decompress=False, middlewares=(through_proxy,)
    ) as session:
        hosts = hosts_for(session, reference.domain, credentials, config)
        yield Repository(hosts, reference.tagged(), config, explain)


def _check_length(response: aiohttp.ClientResponse, length: int) -> None:
    if response.content_length is not None and response.content_length != length:
        raise RegistryUnavailable(f"{response.url}: the answer was cut off")
