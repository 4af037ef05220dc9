"""One registry host over HTTP: scheme, authentication, errors in the words of the distribution spec, retries.

A host is spoken to by https. Hosts that the configuration calls insecure, and loopback ones (as dockerd treats them),
may have any certificate, and plain http if they do not speak TLS at all. Every wait on the network has a deadline.
"""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import msgspec

from sandbox.images.credentials import Credentials
from sandbox.images.errors import AccessDenied, ManifestNotFound, RegistryError, RegistryUnavailable, Unauthorized
from sandbox.images.failures import NobodyThere, failure, reason
from sandbox.images.reference import Reference

if TYPE_CHECKING:
    import aiohttp

Answer = TypeVar("Answer")
MAX_DOCUMENT = 8 << 20
_HUB = "registry-1.docker.io"
_CHALLENGE = re.compile(r'([a-zA-Z_]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))')
_TOKEN = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class RegistryConfig:
    """``mirrors``: registry host -> base URLs tried before it. ``insecure``: hosts (``name[:port]``) or CIDR ranges.

    Times are in seconds: ``connect`` to reach a host, ``read`` between two pieces of an answer, ``backoff`` before the
    first retry (doubled each time), ``attempts`` tries without any progress before giving up. ``downloads`` and
    ``uploads`` are how many layers travel at once.
    """

    mirrors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    insecure: frozenset[str] = frozenset()
    connect: float = 15.0
    read: float = 60.0
    backoff: float = 0.5
    attempts: int = 5
    downloads: int = 3
    uploads: int = 5

    def is_insecure(self, host: str) -> bool:
        """Whether ``host`` (``name[:port]``) may be spoken to without a valid certificate."""
        name = re.sub(r":\d+$", "", host).strip("[]")
        if host in self.insecure or name in self.insecure or name == "localhost":
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return address.is_loopback or any(
            "/" in item and address in ipaddress.ip_network(item) for item in self.insecure
        )


Challenge = tuple[str, dict[str, str]]
"""(scheme in lower case, its parameters)"""


class HttpProblem(Exception):
    """An answer that is an error: its status and the first error of its body (``code``: upper case or empty)."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{code.replace('_', ' ').lower()}: {message}" if code else message)
        self.status = status
        self.code = code

    @property
    def transient(self) -> bool:
        """Whether trying again may help."""
        return self.status >= 500 or self.status in (408, 429)


Body = Callable[[], "bytes | AsyncIterator[bytes]"]
"""What makes a request's body; called again when the request has to be sent again."""


class Host:
    """One registry (or mirror) host, with the tokens it gave out. ``base`` is its URL without a path.

    ``actions`` is what tokens are asked for: ``pull``, or ``pull,push``.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        base: str,
        credentials: Credentials,
        config: RegistryConfig,
        actions: str = "pull",
    ) -> None:
        self._session = session
        self._config = config
        self._credentials = credentials
        self._actions = actions
        scheme, _, self.name = base.rstrip("/").rpartition("://")
        self._insecure = config.is_insecure(self.name)
        self._schemes = [scheme] if scheme else ["https", "http"] if self._insecure else ["https"]
        self._authorization: dict[str, str] = {}

    def get(
        self, repository: str, path: str, headers: Mapping[str, str]
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """GET ``/v2/<repository>/<path>``, see ``request``."""
        return self.request("GET", repository, path, headers)

    @asynccontextmanager
    async def request(
        self,
        method: str,
        repository: str,
        path: str,
        headers: Mapping[str, str],
        body: Body | None = None,
        *,
        source: str = "",
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Ask ``/v2/<repository>/<path>``, or the whole URL ``path`` if it is one (an upload's Location).

        ``source`` is a repository that must be readable too. Yields an answer below 400, raises HttpProblem or
        RegistryUnavailable. Credentials go to this host only, wherever an upload's Location points.
        """
        scope = f"{repository} {source}".strip()
        response = await self._open(method, scope, repository, path, headers, body)
        try:
            if response.status == 401:
                challenge = challenges(response)
                problem = await problem_of(response)
                response.release()
                self._authorization[scope] = await self._authorize(scope, challenge, problem)
                response = await self._open(method, scope, repository, path, headers, body)
            if response.status >= 400:
                raise await problem_of(response)
            yield response
        finally:
            response.close()

    async def _open(
        self, method: str, scope: str, repository: str, path: str, headers: Mapping[str, str], body: Body | None
    ) -> aiohttp.ClientResponse:
        import aiohttp
        from yarl import URL

        failed: Exception | None = None
        for scheme in list(self._schemes):
            own = f"{scheme}://{self.name}/"
            url = URL(path, encoded=True) if "://" in path else URL(f"{own}v2/{repository}/{path}")
            sent = dict(headers)
            if scope in self._authorization and str(url).startswith(own):
                sent["Authorization"] = self._authorization[scope]
            data = body() if body else None
            try:
                response = await self._session.request(method, url, headers=sent, data=data, ssl=not self._insecure)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                failed = error
                continue
            self._schemes = [scheme]
            return response
        assert failed is not None
        raise failure(f'Get "{self._schemes[-1]}://{self.name}/v2/"', failed) from failed

    async def _authorize(self, scope: str, offered: list[Challenge], problem: HttpProblem) -> str:
        if self._credentials.registry_token:
            return f"Bearer {self._credentials.registry_token}"
        for kind, parameters in offered:
            if kind == "bearer" and "realm" in parameters:
                return f"Bearer {await self._token(scope, parameters)}"
            if kind == "basic":
                if not self._credentials.username:
                    raise HttpProblem(401, "", "no basic auth credentials")
                return f"Basic {self._basic()}"
        raise problem

    def _basic(self) -> str:
        return base64.b64encode(f"{self._credentials.username}:{self._credentials.password}".encode()).decode()

    async def _token(self, scope: str, challenge: dict[str, str]) -> str:
        """Docker's token protocol: OAuth2 refresh if there is an identity token, else GET with Basic or nobody."""
        import aiohttp

        own, *others = scope.split(" ")
        scopes = [f"repository:{own}:{self._actions}", *(f"repository:{name}:pull" for name in others)]
        asked = [("service", challenge.get("service", ""))] if challenge.get("service") else []
        try:
            if self._credentials.identity_token:
                form = [*asked, ("scope", " ".join(scopes)), ("grant_type", "refresh_token")]
                form += [("client_id", "sockerless"), ("refresh_token", self._credentials.identity_token)]
                request = self._session.post(challenge["realm"], data=form, ssl=not self._insecure)
            else:
                headers = {"Authorization": f"Basic {self._basic()}"} if self._credentials.username else {}
                query = [*asked, *(("scope", scope) for scope in scopes)]
                if self._credentials.username:
                    query.append(("account", self._credentials.username))
                request = self._session.get(challenge["realm"], params=query, headers=headers, ssl=not self._insecure)
            async with request as response:
                if response.status >= 400:
                    raise await problem_of(response)
                token, _ = await read_tokens(response)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise failure(f'Get "{challenge["realm"]}"', error) from error
        return token


async def read_document(response: aiohttp.ClientResponse) -> bytes:
    """The body of a small answer; RegistryError if it is more than MAX_DOCUMENT bytes."""
    data = bytearray()
    async for piece in response.content.iter_any():
        data += piece
        if len(data) > MAX_DOCUMENT:
            raise RegistryError(f"{response.url}: the answer is too large")
    return bytes(data)


async def persist(
    work: Callable[[], Awaitable[Answer]], config: RegistryConfig, explain: Callable[[HttpProblem], Exception]
) -> Answer:
    """Do ``work`` until it is answered or out of attempts. Raises RegistryUnavailable, or what ``explain`` makes."""
    import aiohttp

    attempt = 1
    while True:
        try:
            return await work()
        except HttpProblem as problem:
            if not problem.transient or attempt >= config.attempts:
                raise explain(problem) from None
        except NobodyThere:
            raise
        except RegistryUnavailable:
            if attempt >= config.attempts:
                raise
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            if attempt >= config.attempts:
                raise RegistryUnavailable(reason(error)) from error
        await backoff(config, attempt)
        attempt += 1


async def backoff(config: RegistryConfig, attempt: int) -> None:
    """Wait before retry number ``attempt`` (from 1)."""
    await asyncio.sleep(min(config.backoff * 2 ** (attempt - 1), 30.0))


def explain_pull(problem: HttpProblem, reference: Reference) -> Exception:
    """The error dockerd reports for what a registry answered to a pull."""
    familiar_name, familiar = reference.familiar_name, reference.familiar
    match problem.code:
        case "DENIED":
            return AccessDenied(
                f"pull access denied for {familiar_name}, repository does not exist "
                f"or may require 'docker login': {problem}"
            )
        case "MANIFEST_UNKNOWN":
            return ManifestNotFound(f"manifest for {familiar} not found: {problem}")
        case "NAME_UNKNOWN":
            return ManifestNotFound(f"repository {familiar_name} not found: {problem}")
    if problem.status == 404:
        return ManifestNotFound(f"manifest for {familiar} not found: {problem}")
    return explain(problem)


def explain(problem: HttpProblem) -> Exception:
    """What a registry answered, in its own words."""
    if problem.status in (401, 403) or problem.code in ("DENIED", "UNAUTHORIZED"):
        return Unauthorized(str(problem))
    if problem.status == 404:
        return ManifestNotFound(str(problem))
    return RegistryUnavailable(str(problem)) if problem.transient else RegistryError(str(problem))


def hosts_for(
    session: aiohttp.ClientSession, domain: str, credentials: Credentials, config: RegistryConfig, actions: str = "pull"
) -> list[Host]:
    """Where to ask for repositories of ``domain``: its mirrors (without credentials), then the registry itself."""
    own = _HUB if domain == "docker.io" else domain
    mirrors = [Host(session, base, Credentials(), config) for base in config.mirrors.get(domain, ())]
    return [*mirrors, Host(session, own, credentials, config, actions)]


def challenges(response: aiohttp.ClientResponse) -> list[Challenge]:
    """What an answer's WWW-Authenticate headers ask for."""
    found = []
    for header in response.headers.getall("WWW-Authenticate", []):
        kind, _, rest = header.strip().partition(" ")
        found.append((kind.lower(), {item[1].lower(): item[2] or item[3] or "" for item in _CHALLENGE.finditer(rest)}))
    return found


async def read_tokens(response: aiohttp.ClientResponse) -> tuple[str, str]:
    """The bearer token that a token service answers, and the refresh token if it gives one; RegistryError."""
    try:
        answer = msgspec.json.decode(await read_document(response), type=dict[str, object])
    except (ValueError, RecursionError) as error:
        raise RegistryError(f'Get "{response.url.with_query(None)}": the answer is no JSON: {error}') from None
    token = answer.get("token") or answer.get("access_token")
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        raise RegistryError(f'Get "{response.url.with_query(None)}": the answer has no usable token')
    return token, str(answer.get("refresh_token") or "")


async def problem_of(response: aiohttp.ClientResponse) -> HttpProblem:
    """Read an error answer: {"errors": [{"code", "message"}]}, or the same thing said by status and challenge alone."""
    if "insufficient_scope" in response.headers.get("WWW-Authenticate", ""):
        return HttpProblem(response.status, "DENIED", "requested access to the resource is denied")
    body = await read_document(response)
    try:
        document = msgspec.json.decode(body, type=dict[str, object])
        errors = document.get("errors")
    except (ValueError, RecursionError):
        document, errors = {}, None
    if isinstance(errors, list) and errors and isinstance(errors[0], dict):
        code = str(errors[0].get("code") or "UNKNOWN").upper()
        return HttpProblem(response.status, code, str(errors[0].get("message") or "unknown error"))
    if response.status == 401:
        message = str(document.get("details") or document.get("message") or "authentication required")
        return HttpProblem(401, "UNAUTHORIZED", message)
    return HttpProblem(response.status, "", f"received unexpected HTTP status: {response.status} {response.reason}")
