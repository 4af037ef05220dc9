"""``docker login``: ask a registry whether it accepts credentials (distribution spec, token authentication)."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import urlsplit

from backends.api.errors import EngineError, Unauthorized
from backends.api.types import Json
from backends.core.images import image_failures
from sandbox.images.failures import reason
from sandbox.images.proxy import through_proxy
from sandbox.images.transport import HttpProblem, RegistryConfig, challenges, problem_of, read_tokens

if TYPE_CHECKING:
    import aiohttp

HUB = "registry-1.docker.io"
_HUB_NAMES = {"", "docker.io", "index.docker.io", "registry-1.docker.io"}
_LIMIT = 15.0


async def login(auth: Json, config: RegistryConfig | None) -> Json:
    """Return {"Status", "IdentityToken"}.

    Unauthorized when a token service refuses; EngineError when a registry does so itself or cannot be reached (the
    status and the words are dockerd's).
    """
    import aiohttp

    address = auth.get("serveraddress") or ""
    host = urlsplit(address).netloc if "//" in address else address.split("/")[0]
    insecure = (config or RegistryConfig()).is_insecure(host)
    host = HUB if host in _HUB_NAMES else host
    failure = ""
    timeout = aiohttp.ClientTimeout(total=_LIMIT)
    async with aiohttp.ClientSession(timeout=timeout, middlewares=(through_proxy,)) as session:
        for scheme in ("https", "http") if insecure else ("https",):
            url = f"{scheme}://{host}/v2/"
            try:
                with image_failures():
                    token = await _Attempt(session, url, auth, not insecure).run()
            except (TimeoutError, aiohttp.ClientError, OSError) as error:
                failure = f'Get "{url}": {reason(error)}'
                continue
            return {"Status": "Login Succeeded", "IdentityToken": token}
    raise EngineError(failure)


class _Attempt:
    def __init__(self, session: aiohttp.ClientSession, url: str, auth: Json, verify: bool) -> None:
        self._session, self._url, self._verify = session, url, verify
        self._user, self._password = auth.get("username") or "", auth.get("password") or ""
        self._identity = auth.get("identitytoken") or ""

    async def run(self) -> str:
        """Log in; the identity token that a token service gave, if any."""
        async with self._session.get(self._url, ssl=self._verify) as answer:
            if answer.status == 200:
                return ""
            offered = challenges(answer)
            if not offered:
                self._refused(answer)
        identity = ""
        kind, parameters = offered[0]
        if kind == "bearer" and "realm" in parameters:
            identity, token = await self._token(parameters)
            authorization = f"Bearer {token}"
        elif not self._user:
            raise EngineError(f'Get "{self._url}": no basic auth credentials')
        else:
            authorization = self._basic()
        async with self._session.get(self._url, headers={"Authorization": authorization}, ssl=self._verify) as answer:
            if answer.status != 200:
                self._refused(answer)
        return identity

    def _basic(self) -> str:
        return "Basic " + base64.b64encode(f"{self._user}:{self._password}".encode()).decode()

    def _refused(self, answer: aiohttp.ClientResponse) -> NoReturn:
        raise EngineError(f"login attempt to {self._url} failed with status: {answer.status} {answer.reason}")

    async def _token(self, parameters: dict[str, str]) -> tuple[str, str]:
        """(identity token, bearer token) of the realm; Unauthorized."""
        asked = {"service": parameters.get("service", ""), "client_id": "docker"}
        if self._identity:
            form = {**asked, "grant_type": "refresh_token", "refresh_token": self._identity, "access_type": "offline"}
            request = self._session.post(parameters["realm"], data=form, ssl=self._verify)
        else:
            headers = {"Authorization": self._basic()} if self._user else {}
            query = {**asked, "account": self._user, "offline_token": "true"}
            request = self._session.get(parameters["realm"], params=query, headers=headers, ssl=self._verify)
        async with request as answer:
            if answer.status >= 400:
                self._explain(await problem_of(answer))
            token, identity = await read_tokens(answer)
        return identity, token

    def _explain(self, problem: HttpProblem) -> NoReturn:
        kind = Unauthorized if problem.status in (401, 403) else EngineError
        raise kind(f'Get "{self._url}": {problem}')
