"""Asking the engine over its own API: one HTTP client, its errors as the contract's."""

from __future__ import annotations

import base64
import codecs
import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, TypeVar

import aiohttp
import msgspec

from backends.api import types as t
from backends.api.engine import Download
from backends.api.errors import EngineError, Unavailable
from backends.docker.fitting import fit
from backends.docker.place import CONNECT_SECONDS, Place

T = TypeVar("T")
Query = Mapping[str, Any]
ERRORS = {kind.status: kind for kind in EngineError.kinds.values()}


class Daemon:
    """The engine at ``place``; paths carry no version, so it answers in its newest.

    Error handling: what the engine refuses is raised as the contract's error of that status, in the engine's words; an
    engine that cannot be reached is Unavailable.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self._session: aiohttp.ClientSession | None = None

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            path = self.place.path
            # As many connections as there are requests: one that follows a stream keeps its own as long as it likes.
            connector = aiohttp.UnixConnector(path, limit=0) if path else aiohttp.TCPConnector(limit=0)
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)
            self._session = aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False)
        return self._session

    @property
    def _base(self) -> str:
        return "http://docker" if self.place.path else f"http://{self.place.host}:{self.place.port}"

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def open(
        self,
        method: str,
        path: str,
        query: Query | None = None,
        body: Any = None,
        upload: AsyncIterator[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> aiohttp.ClientResponse:
        """Return the answer, its body unread. Raises the error that the engine answers."""
        fields = dict(headers or {})
        data: Any = upload
        if body is not None:
            data, fields["Content-Type"] = msgspec.json.encode(body), "application/json"
        elif upload is not None:
            fields.setdefault("Content-Type", "application/x-tar")
        try:
            answer = await self._client().request(
                method, self._base + path, params=_params(query or {}), data=data, headers=fields
            )
            if answer.status >= 300:
                raise error_of(answer.status, await answer.read())
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise self._unreachable(error) from error
        return answer

    async def version(self) -> tuple[int, int]:
        """Return the newest version of the API that the engine speaks."""
        answer = await self.open("GET", "/_ping")
        answer.close()
        major, _, minor = answer.headers["Api-Version"].partition(".")
        return int(major), int(minor)

    def _unreachable(self, error: Exception) -> Unavailable:
        return Unavailable(f"the Docker engine at {self.place} does not answer: {error or type(error).__name__}")

    async def value(self, kind: type[T], method: str, path: str, query: Query | None = None, body: Any = None) -> T:
        """Return the answer's JSON as ``kind``."""
        return self.fit(kind, await self.json(method, path, query, body))

    async def json(
        self,
        method: str,
        path: str,
        query: Query | None = None,
        body: Any = None,
        upload: AsyncIterator[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Return the answer's JSON, None when it has no body."""
        answer = await self.open(method, path, query, body, upload, headers)
        try:
            data = await answer.read()
            return json.loads(data) if data else None
        except (aiohttp.ClientError, OSError) as error:
            raise self._unreachable(error) from error
        except ValueError as error:
            raise EngineError(f"the Docker engine's answer to {method} {path} is not JSON") from error

    def fit(self, kind: type[T], value: Any) -> T:
        """Return ``value`` as ``kind``."""
        try:
            return fit(kind, value)
        except msgspec.ValidationError as error:
            raise EngineError(f"the Docker engine's answer cannot be read: {error}") from error

    async def items(
        self, read: Callable[[Any], T], method: str, path: str, query: Query | None = None, **sent: Any
    ) -> AsyncIterator[T]:
        """Return the JSON objects of a stream as they come."""
        answer = await self.open(method, path, query, **sent)
        return self._objects(answer, read)

    async def _objects(self, answer: aiohttp.ClientResponse, read: Callable[[Any], T]) -> AsyncIterator[T]:
        decoder, characters, text = json.JSONDecoder(), codecs.getincrementaldecoder("utf-8")("replace"), ""
        async for data in self._pieces(answer):
            text = (text + characters.decode(data)).lstrip()
            while text:
                try:
                    value, end = decoder.raw_decode(text)
                except ValueError:
                    break  # the rest of it is on its way
                text = text[end:].lstrip()
                yield read(value)

    async def download(self, meta: Callable[[aiohttp.ClientResponse], Any], path: str, query: Query) -> Download:
        """Return a GET's body as it comes, and what ``meta`` reads of the answer's head."""
        answer = await self.open("GET", path, query)
        return Download(meta(answer), self._pieces(answer))

    async def _pieces(self, answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        try:
            async for data in answer.content.iter_any():
                yield data
        except (aiohttp.ClientError, OSError) as error:
            raise self._unreachable(error) from error
        finally:
            answer.close()


def error_of(status: int, body: bytes) -> EngineError:
    """Return the error that an answer stands for."""
    try:
        found = json.loads(body)
        message = str(found["message"])
    except (ValueError, KeyError, TypeError):
        message = body.decode(errors="replace").strip()
    return ERRORS.get(status, EngineError)(message)


def _params(query: Query) -> list[tuple[str, str]]:
    """Objects go as JSON, lists as one parameter for each value; what is None is left out."""
    return [
        (key, _text(one))
        for key, value in query.items()
        for one in (value if isinstance(value, list) else [value])
        if one is not None
    ]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    return json.dumps(value) if isinstance(value, dict) else str(value)


def auth_header(name: str, value: t.Json) -> dict[str, str]:
    """Return credentials as the header that carries them."""
    return {name: base64.urlsafe_b64encode(json.dumps(value).encode()).decode()} if value else {}
