"""Search a registry's index by the old v1 protocol: Docker Hub's, and what private registries still offer of it."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import urlencode

import msgspec

from sandbox.images.credentials import Credentials
from sandbox.images.errors import InvalidReference, RegistryError, RegistryUnavailable
from sandbox.images.failures import reason
from sandbox.images.proxy import through_proxy
from sandbox.images.transport import RegistryConfig, read_document

INDEX = "index.docker.io"


class SearchResult(msgspec.Struct, frozen=True, kw_only=True):
    """One repository that was found, in the protocol's names."""

    star_count: int = 0
    is_official: bool = False
    name: str = ""
    is_automated: bool = False
    description: str = ""


class _Answer(msgspec.Struct):
    results: list[SearchResult] | None = None


async def search(
    term: str, limit: int, *, credentials: Credentials | None = None, config: RegistryConfig | None = None
) -> list[SearchResult]:
    """Search ``[host/]term``; without a host Docker Hub's index.

    InvalidReference, RegistryUnavailable (cannot be reached), RegistryError (does not offer search).
    """
    import aiohttp
    from yarl import URL

    config = config or RegistryConfig()
    host, wanted = _split(term)
    insecure = config.is_insecure(host)
    headers = {"X-Docker-Token": "true"}
    if credentials and credentials.username:
        secret = f"{credentials.username}:{credentials.password}".encode()
        headers["Authorization"] = f"Basic {base64.b64encode(secret).decode()}"
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=config.connect, sock_read=config.read)
    query = urlencode({"q": wanted, "n": limit})
    failures = []
    async with aiohttp.ClientSession(timeout=timeout, headers=headers, middlewares=(through_proxy,)) as session:
        for scheme in ("https", "http") if insecure else ("https",):
            url = f"{scheme}://{host}/v1/search?{query}"
            try:
                async with session.get(URL(url, encoded=True), ssl=not insecure) as response:
                    return await _results(response)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                failures.append((url, reason(error)))
    raise RegistryUnavailable(_unreachable(host, failures))


async def _results(response: Any) -> list[SearchResult]:
    data = await read_document(response)
    if response.status != 200:
        raise RegistryError(f"Unexpected status code {response.status}")
    try:
        return msgspec.json.decode(data, type=_Answer).results or []
    except (ValueError, RecursionError) as error:
        raise RegistryError(f"{response.url}: the answer is no search result: {error}") from None


def _split(term: str) -> tuple[str, str]:
    """The host to ask and what for, as dockerd splits a term (registry.splitReposSearchTerm)."""
    if "://" in term:
        raise InvalidReference('Invalid repository name (ex: "registry.domain.tld/myrepos")')
    first, slash, rest = term.partition("/")
    if not slash or not ("." in first or ":" in first or first == "localhost"):
        return INDEX, term.removeprefix("library/")
    if first in ("docker.io", INDEX):
        return INDEX, rest.removeprefix("library/")
    return first, rest


def _unreachable(host: str, failures: list[tuple[str, str]]) -> str:
    if len(failures) == 1:
        url, why = failures[0]
        return f'Get "{url}": {why}'
    (first, why_first), (second, why_second) = failures
    return (
        f'invalid registry endpoint "http://{host}/v1/". '
        f'HTTPS attempt: Get "{first}": {why_first}. HTTP attempt: Get "{second}": {why_second}'
    )
