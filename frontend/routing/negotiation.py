"""The API version of an endpoint with several workers: no newer than what all of their Docker engines speak.

A client negotiates one version for the endpoint and puts it into every path; a Docker engine refuses one that is too
new for it. So ``/_ping``, ``/version`` and the ``Api-Version`` header tell the oldest of the engines' newest versions.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from backends.api.errors import EngineError
from frontend.docker.answers import encode
from frontend.routing.passing import Receive, Scope, Send
from frontend.routing.workers import Worker
from frontend.server import EXTENSION, Takeover
from frontend.wire.versions import NEWEST, Version

ASK_SECONDS = 2.0
KNOWN_SECONDS = 30.0
_PING = b"GET /_ping HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n"
_HEADER = re.compile(rb"\r\napi-version:[ \t]*(\d+)\.(\d+)", re.IGNORECASE)
_TELLING = re.compile(r"(/v[0-9.]+)?/(_ping|version)")


class Negotiation:
    """Serves an application with the version that all ``workers``' engines speak. An engine that is away has no say."""

    def __init__(self, workers: list[Worker]) -> None:
        self._workers = workers
        self._known: dict[str, Version] = {}
        self._asked = -KNOWN_SECONDS

    @property
    def newest(self) -> Version:
        """The newest version that everybody speaks, as far as it is known."""
        return min([NEWEST, *self._known.values()])

    async def serve(
        self, application: Callable[[Scope, Receive, Send], Awaitable[None]], scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Have ``application`` answer."""
        telling = _TELLING.fullmatch(scope["path"])
        if telling is not None:
            await self._learn()
        if self.newest < NEWEST:
            takeover: Takeover = scope["extensions"][EXTENSION]
            takeover.cycle.default_headers = self._headers(takeover.cycle.default_headers)
            if telling is not None and telling[2] == "version":
                send = _Rewritten(send, self.newest).send
        await application(scope, receive, send)

    def _headers(self, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        newest = str(self.newest).encode()
        return [(name, newest if name.lower() == b"api-version" else value) for name, value in headers]

    async def _learn(self) -> None:
        if time.monotonic() - self._asked < KNOWN_SECONDS and len(self._known) == len(self._workers):
            return
        self._asked = time.monotonic()
        for worker, version in zip(self._workers, await asyncio.gather(*map(_version, self._workers)), strict=True):
            if version is not None:
                self._known[worker.name] = version


async def _version(worker: Worker) -> Version | None:
    if worker.pulse.silent:
        return None
    try:
        async with asyncio.timeout(ASK_SECONDS):
            engine = await worker.engine.relay()
            try:
                await engine.write(_PING)
                head = b""
                while b"\r\n\r\n" not in head and (data := await engine.read()):
                    head += data
            finally:
                await engine.close()
    except TimeoutError:
        await worker.pulse.beats()  # the next one does not wait again for an engine that hangs
        return None
    except EngineError:
        return None
    found = _HEADER.search(head)
    return Version(int(found[1]), int(found[2])) if found else None


class _Rewritten:
    """Sends the answer to /version with another ``ApiVersion``."""

    def __init__(self, send: Send, version: Version) -> None:
        self._send, self._version = send, version
        self._start: dict[str, Any] = {}
        self._body = b""

    async def send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return
        self._body += message.get("body", b"")
        if message.get("more_body"):
            return
        body = self._rewrite() if self._start["status"] == 200 else self._body
        kept = [pair for pair in self._start["headers"] if pair[0].lower() != b"content-length"]
        await self._send({**self._start, "headers": [*kept, (b"content-length", str(len(body)).encode())]})
        await self._send({"type": "http.response.body", "body": body})

    def _rewrite(self) -> bytes:
        answer = msgspec.json.decode(self._body)
        for fields in (answer, *(part["Details"] for part in answer["Components"])):
            fields["ApiVersion"] = str(self._version)
        return encode(answer) + b"\n"
