"""A request with the readings that Docker's endpoints need."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import falcon.asgi

from frontend.server import EXTENSION, Takeover
from frontend.wire import filters, query, timestamps
from frontend.wire.bodies import NO_BODY, parse_body
from frontend.wire.errors import BadRequest
from frontend.wire.shapes import Shape
from frontend.wire.versions import NEWEST, OLDEST, Version

LARGEST_BODY = 16 << 20


class Request(falcon.asgi.Request):
    """``version`` is the API version that the path asked for. Everything else raises BadRequest on malformed input."""

    __slots__ = ("version",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.version: Version = NEWEST

    def text(self, name: str, since: tuple[int, int] = OLDEST) -> str:
        """A query parameter's (first) value, "" when it is missing; to versions older than ``since`` it always is."""
        if self.version < since:
            return ""
        value = self.params.get(name, "")
        return value[0] if isinstance(value, list) else value

    def texts(self, name: str) -> list[str]:
        """All values of a query parameter."""
        value = self.params.get(name, [])
        return value if isinstance(value, list) else [value]

    def flag(self, name: str) -> bool:
        """A query parameter as a boolean, see :func:`frontend.wire.query.boolean`."""
        return query.boolean(self.text(name))

    def number(self, name: str) -> int | None:
        """A query parameter as an integer, None when it is missing or empty."""
        text = self.text(name)
        return query.integer(text) if text else None

    def filters(self, endpoint: str) -> filters.Filters:
        """The ``filters`` parameter, checked for ``endpoint``."""
        return filters.parse_filters(self.text("filters"), endpoint)

    def time(self, name: str) -> int:
        """A query parameter as a moment in nanoseconds, 0 = unset."""
        return timestamps.log_time(name, self.text(name), time.time_ns())

    async def body(self, shape: Shape) -> dict[str, Any] | None:
        """The JSON body, None when there is none."""
        return parse_body(await self.raw_body(), self.get_header("content-type"), shape)

    async def object(self, shape: Shape) -> dict[str, Any]:
        """The JSON body of an endpoint that cannot do without. To the others no body is the same as ``{}``."""
        found = await self.body(shape)
        if found is None:
            raise BadRequest(NO_BODY)
        return found

    async def raw_body(self) -> bytes:
        """All of the body, up to LARGEST_BODY."""
        data = bytearray()
        async for part in self.upload():
            data += part
            if len(data) > LARGEST_BODY:
                raise BadRequest("request body is too large")
        return bytes(data)

    async def upload(self) -> AsyncIterator[bytes]:
        """The body as it comes."""
        async for part in self.stream:
            if part:
                yield part

    @property
    def takeover(self) -> Takeover:
        """What hands out the raw connection."""
        found: Takeover = self.scope["extensions"][EXTENSION]
        return found
