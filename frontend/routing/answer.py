"""Where an HTTP answer that is passed on as it is ends. Sans-I/O: fed bytes, it tells what they are."""

from __future__ import annotations

import enum
from typing import Any

import httptools

LARGEST_HEAD = 1 << 20


class Kind(enum.Enum):
    """How the end of an answer shows."""

    COUNTED = enum.auto()  # by its length or its last chunk: the connection may serve another request
    OPEN = enum.auto()  # by the end of the connection
    SWITCHED = enum.auto()  # 101: from here on the connection speaks something else


class BadAnswer(Exception):
    """What came is no HTTP answer."""


class Answer:
    """The answer to one request with ``method``.

    ``feed`` takes what came and returns what to pass on, the head in one piece (b"" while it is not complete). Interim
    answers (1xx other than 101) are dropped. Then ``kind`` is set, and ``complete`` at the end of a COUNTED answer.
    """

    def __init__(self, method: str) -> None:
        self._method = method
        self._received = b""
        self._begin()

    def _begin(self) -> None:
        self.kind: Kind | None = None
        self.complete = False
        self.keep_alive = False
        self._left = -1  # bytes still to come; -1 = the parser tells
        self._length = -1
        self._chunked = False
        self._connection: set[bytes] = set()
        self._parser: Any = httptools.HttpResponseParser(self)

    @property
    def begun(self) -> bool:
        """Some of the answer has come."""
        return self.kind is not None or bool(self._received)

    # -- the parser's side

    def on_header(self, name: bytes, value: bytes) -> None:
        match name.lower():
            case b"content-length":
                self._length = int(value)
            case b"transfer-encoding":
                self._chunked = value.strip().lower().endswith(b"chunked")
            case b"connection":
                self._connection |= {token.strip() for token in value.lower().split(b",")}

    def on_message_complete(self) -> None:
        if self.kind is not None:
            self.complete = True

    # -- the caller's side

    def feed(self, data: bytes) -> bytes:
        """See the class. Raises BadAnswer."""
        if self.kind is not None:
            self._count(data)
            return data
        self._received += data
        end = self._received.find(b"\r\n\r\n") + 4
        if end < 4:
            if len(self._received) > LARGEST_HEAD:
                raise BadAnswer("its head is too large")
            return b""
        head, rest = self._received[:end], self._received[end:]
        self._received = b""
        status = self._read_head(head)
        if 100 <= status < 200 and status != 101:
            self._begin()
            return self.feed(rest) if rest else b""
        self._count(rest)
        return head + rest

    def _read_head(self, head: bytes) -> int:
        try:
            self._parser.feed_data(head)
        except httptools.HttpParserUpgrade:
            self.kind = Kind.SWITCHED
            return 101
        except (httptools.HttpParserError, ValueError) as error:
            raise BadAnswer(str(error)) from error
        status: int = self._parser.get_status_code()
        self.keep_alive = b"close" not in self._connection if head[5:8] == b"1.1" else b"keep-alive" in self._connection
        if self._method == "HEAD" or status in (204, 304) or (self._length == 0 and not self._chunked):
            self.kind, self._left, self.complete = Kind.COUNTED, 0, True
        elif self._chunked:
            self.kind = Kind.COUNTED
        elif self._length > 0:
            self.kind, self._left = Kind.COUNTED, self._length
        else:
            self.kind = Kind.OPEN
        return status

    def _count(self, data: bytes) -> None:
        if self.kind is not Kind.COUNTED or self.complete or not data:
            return
        if self._left < 0:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserError as error:
                raise BadAnswer(str(error)) from error
        else:
            self._left -= len(data)
            self.complete = self._left <= 0
