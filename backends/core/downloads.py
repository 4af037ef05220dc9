"""What the engine itself downloads for a request: root file systems to import, remote build contexts, ADD's URLs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from backends.api.errors import EngineError, Forbidden, InvalidArgument, NotFound, Unauthorized
from sandbox.images.failures import reason
from sandbox.images.proxy import through_proxy

if TYPE_CHECKING:
    import aiohttp

PIECE = 1 << 17
_QUIET_DEADLINE = 60.0
_LARGEST_REASON = 1 << 16
_REFUSALS = {400: InvalidArgument, 401: Unauthorized, 403: Forbidden, 404: NotFound}
"""dockerd passes these on as its own."""


@asynccontextmanager
async def open_url(url: str, deadline: float | None = None) -> AsyncIterator[aiohttp.ClientResponse]:
    """The answer to a GET, its body unread, of which all has to come within ``deadline`` seconds.

    InvalidArgument if it is no URL to get; what the server refuses with its status and reason; EngineError if it cannot
    be reached or breaks off. Proxies are those of the environment.
    """
    import aiohttp

    if not _is_http(url):
        raise InvalidArgument(f"{url} is not an http or https URL")
    limits = aiohttp.ClientTimeout(total=deadline, sock_connect=_QUIET_DEADLINE, sock_read=_QUIET_DEADLINE)
    try:
        session = aiohttp.ClientSession(timeout=limits, middlewares=(through_proxy,))
        async with session, session.get(url) as answer:
            if answer.status >= 400:
                said = (await answer.content.read(_LARGEST_REASON)).decode(errors="replace").strip()
                kind = _REFUSALS.get(answer.status, EngineError)
                raise kind(f"failed to GET {url} with status {answer.status} {answer.reason}: {said}")
            yield answer
    except (aiohttp.ClientError, TimeoutError) as error:
        raise EngineError(f'Get "{url}": {reason(error)}') from None


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False
