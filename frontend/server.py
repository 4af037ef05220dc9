"""uvicorn with connection take-over, and with several listening sockets.

ASGI has no way to hand an application the raw connection, so the protocol class here (uvicorn's public ``http=`` hook)
adds an extension: ``scope["extensions"]["sockerless.hijack"]`` is a :class:`Takeover`. Calling it answers with a head
of the application's choice and returns the connection as a byte stream. Its ``cancel_on_disconnect`` is the disconnect
event that uvicorn lacks: a client that goes away cancels the request's task.

What clients do to a connection that may be taken over (``POST …/attach``, ``POST …/exec/…/start``):
- with ``Upgrade: tcp`` they expect 101, without it 200, and raw bytes after it both ways;
- they may send the process's input right behind the request's body, in the same packet, before the answer. So the
  parser is fed exactly one request and the rest is kept;
- they may close their sending side at once and still want all of the output.
The parser would skip the body of a request with an Upgrade header, so that header's name is masked before it is fed.
On any request but these and a websocket's the header means nothing: its body is read, and the connection goes on.
Any other client may half-close as well. One that is gone altogether shows at once on a Unix socket; on TCP its kernel
tells it to the next byte or, within two minutes, to a keep-alive probe.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import signal
import socket
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from backends.api.bytestream import LIMIT, ByteStream
from backends.api.hangup import hangup_watch, hung_up
from frontend.wire.chunks import Chunks

log = logging.getLogger(__name__)

EXTENSION = "sockerless.hijack"
LARGEST_HEAD = 1 << 20  # Go's servers take as much
_HEAD_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Connection: close\r\n\r\n431 Request Header Fields Too Large"
)
_MAY_BE_TAKEN = re.compile(rb"POST [^ ]*/(?:containers/[^/ ?]+/attach|exec/[^/ ?]+/start)[? ]")
_UPGRADE = re.compile(rb"\r\nupgrade:", re.IGNORECASE)
_MASKED = b"x-sockerless-upgrade"
_SWITCHES = re.compile(r"(?:/v[0-9.]+)?/(?:containers/.+/attach/ws|session|grpc)")
_PROBES = (  # as Go's servers have them
    ((socket.SOL_SOCKET, socket.SO_KEEPALIVE), 1),
    ((socket.IPPROTO_TCP, socket.TCP_KEEPIDLE), 15),
    ((socket.IPPROTO_TCP, socket.TCP_KEEPINTVL), 15),
)
_FRAMING = (b"content-length", b"transfer-encoding")
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)


class Takeover:
    """What one request may do with its connection."""

    def __init__(self, connection: HijackProtocol) -> None:
        self._connection = connection
        self.task: asyncio.Task[Any] | None = None
        self.cycle: Any = None  # uvicorn's state of this request; another may follow it before it is answered

    def cancel_on_disconnect(self, task: asyncio.Task[Any] | None) -> None:
        """Cancel ``task`` if the client goes away before it is done; None ends that."""
        self.task = task
        if task is not None and self._connection.transport.is_closing():
            task.cancel()

    async def __call__(self, status: str, headers: Iterable[tuple[str, str]]) -> ByteStream:
        """Send the head and return the connection. Raises ConnectionResetError when it is gone or was answered."""
        fields = "".join(f"{name}: {value}\r\n" for name, value in headers)
        return self.raw(f"HTTP/1.1 {status}\r\n{fields}\r\n".encode("latin-1"))

    def raw(self, head: bytes) -> ByteStream:
        """The same with a head that is sent as it is."""
        return self._connection.hijack(self.cycle, head)

    @property
    def offered(self) -> bool:
        """The client may go on sending behind its request: what it sends is kept for the one who takes over."""
        return self._connection.keeping

    @property
    def unasked(self) -> bool:
        """The client holds its request's body back until it is asked for (``Expect: 100-continue``)."""
        waits: bool = self.cycle.waiting_for_100_continue
        return waits

    def last(self) -> None:
        """The connection serves no other request after this one."""
        self.cycle.keep_alive = False

    async def write(self, data: bytes) -> None:
        """Send a part of an answer as it is, from its head on; waits while the client does not read.

        Raises ConnectionResetError when the connection is gone.
        """
        await self._connection.write_raw(self.cycle, data)

    def finish(self, keep: bool) -> None:
        """All of the answer was written as it is; ``keep``: the connection may serve another request."""
        self._connection.finish_raw(self.cycle, keep)

    def break_off(self) -> None:
        """Close the connection as it is: the client sees that the answer is not complete."""
        self._connection.break_off(self.cycle)

    @property
    def socket(self) -> socket.socket:
        """The connection's socket, to look at."""
        found: socket.socket = self._connection.transport.get_extra_info("socket")
        return found


class HijackProtocol(HttpToolsProtocol):
    """uvicorn's protocol for one connection, which can be taken over. See the module's description."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_head = False
        self._resuming = False  # the head that is fed was read before
        self._head_size = 0
        self._head = b""  # of a request that may turn out to be one of those above
        self._between = True  # no request is half received
        self._raw = False  # what comes now is kept for the one who takes over
        self._kept = bytearray()
        self._owed = 0  # bytes of the body still to come, -1 = until the parser says so
        self._chunks = Chunks()
        self._ended = self._gone = False
        self._requests: deque[Takeover] = deque()  # not yet answered; the first of them is being served

    # -- receiving

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        connection = transport.get_extra_info("socket")
        self._descriptor: int = connection.fileno()
        if connection.family != socket.AF_UNIX:
            for option, value in _PROBES:
                connection.setsockopt(*option, value)
        hangup_watch().add(self._descriptor, self._hung_up)

    def data_received(self, data: bytes) -> None:
        if self._raw:
            self._keep(data)
        elif not self._between:
            self._feed(data)
        elif self._head or b"POST ".startswith(data[:5]) or data.startswith(b"POST "):
            self._receive_post(self._head + data)
        else:
            self._feed(data)
        self._abort_unseen()

    def _receive_post(self, data: bytes) -> None:
        end = data.find(b"\r\n\r\n") + 4
        if end < 4 and len(data) <= LARGEST_HEAD:
            self._head = data
            return
        self._head = b""
        if end >= 4 and _MAY_BE_TAKEN.match(data):
            self._feed_exactly(data, end)
        else:
            self._feed(data)

    def _feed_exactly(self, data: bytes, end: int) -> None:
        """Feed the parser a head and as much of a body as belongs to it; what follows is kept."""
        head, rest = data[: end - 2], data[end:]
        self._between = False
        self._feed(_UPGRADE.sub(b"\r\n" + _MASKED + b":", head) + b"\r\n")
        if not self.transport.is_closing():  # refused: a length may have more digits than can be read
            self._stop_behind(head, rest)

    def _stop_behind(self, head: bytes, rest: bytes) -> None:
        """``head`` was fed; of ``rest`` its body is."""
        self._raw = True
        if _CHUNKED.search(head):
            self._owed, self._chunks = -1, Chunks()
        else:
            length = _LENGTH.search(head)
            self._owed = int(length[1]) if length else 0
        self._keep(rest)

    def _keep(self, data: bytes) -> None:
        if self._owed > 0:
            part, data = data[: self._owed], data[self._owed :]
            self._owed -= len(part)
            self._feed(part)
        view = memoryview(data)
        while self._owed < 0 and view:  # chunked: only the parser knows where it ends
            part = bytes(view[: self._chunks.safe])
            view = view[len(part) :]
            self._chunks.fed(part)
            self._feed(part)
        self._kept += view
        if len(self._kept) > LIMIT:
            self.flow.pause_reading()

    def _feed(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        size = len(data)
        while data and not self.transport.is_closing():
            try:
                self.parser.feed_data(data)
                data = b""
            except httptools.HttpParserUpgrade as stop:
                data = self._upgrade(data[stop.args[0] :])
            except httptools.HttpParserError:
                self.send_400_response("Invalid HTTP request received.")
        if self._in_head:
            self._head_size += size
            if self._head_size > LARGEST_HEAD and not self.transport.is_closing():
                self._refuse_head()

    def _upgrade(self, rest: bytes) -> bytes:
        """The parser takes a head that asks to upgrade for a whole request. Where nothing switches, another reads on.

        Returns what is left to feed of ``rest``.
        """
        if _SWITCHES.fullmatch(self.scope["path"]):
            self.cycle.keep_alive = False
            self._complete()
            self._raw = True
            self._keep(rest)
            return b""
        framing = b"".join(b"%s: %s\r\n" % pair for pair in self.headers if pair[0] in _FRAMING)
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._resuming = True
        self.parser.feed_data(b"POST / HTTP/1.1\r\n%s\r\n" % framing)
        self._resuming = False
        if not _MAY_BE_TAKEN.match(b"%s %s " % (self.scope["method"].encode(), self.url)):
            return rest
        self._stop_behind(b"\r\n" + framing, rest)
        return b""

    def _refuse_head(self) -> None:
        """What Go's server answers: nothing of a head is kept beyond its limit."""
        self.transport.write(_HEAD_TOO_LARGE)
        self.transport.close()

    # -- the parser's callbacks

    def on_message_begin(self) -> None:
        if self._resuming:
            return
        super().on_message_begin()
        self._between, self._in_head, self._head_size = False, True, 0
        self.scope["extensions"] = {EXTENSION: Takeover(self)}  # type: ignore[dict-item]

    def on_url(self, url: bytes) -> None:
        if not self._resuming:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._resuming:
            super().on_header(b"upgrade" if name == _MASKED else name, value)

    def on_headers_complete(self) -> None:
        if self._resuming:
            return
        self._in_head = False
        self.url, _, query = self.url.partition(b"?")  # the parser of URLs counts with 16 bits
        super().on_headers_complete()
        self.scope["query_string"] = query
        takeover: Takeover = self.scope["extensions"][EXTENSION]  # type: ignore[assignment]
        takeover.cycle = self.cycle
        self._requests.append(takeover)

    def on_message_complete(self) -> None:
        if not self.parser.should_upgrade():
            self._complete()

    def _complete(self) -> None:
        super().on_message_complete()
        self.cycle.waiting_for_100_continue = False  # nothing is left to ask for
        self._between, self._owed = True, 0

    def on_response_complete(self) -> None:
        self._requests.popleft()
        super().on_response_complete()
        if self._requests:
            return
        if self._ended:
            self.transport.close()
        elif self._raw and not self.transport.is_closing():
            self._raw, kept = False, bytes(self._kept)
            self._kept.clear()
            if kept:
                self.data_received(kept)

    # -- the end

    def eof_received(self) -> bool | None:  # type: ignore[override]
        busy = self._requests and self._between
        if not busy or not (self._raw or not hung_up(self._descriptor)):
            return None
        self._ended = True
        return True

    def _hung_up(self) -> None:
        """The client is gone altogether. What it sent before may still be on its way."""
        self._gone = True
        self._abort_unseen()

    def _abort_unseen(self) -> None:
        """While a client's data is not read its end would go unseen."""
        if self._gone and (self._ended or self.flow.read_paused):
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        hangup_watch().remove(self._descriptor, self._hung_up)
        for request in self._requests:
            request.cycle.disconnected = True
            request.cycle.message_event.set()
            if request.task is not None:
                request.task.cancel()
        super().connection_lost(exc)

    def break_off(self, cycle: Any) -> None:
        """See :class:`Takeover`."""
        cycle.disconnected = True  # or uvicorn reports once more that the answer is not complete
        self.transport.close()

    @property
    def unanswered(self) -> asyncio.Task[Any] | None:
        """What works on a request whose answer has not begun."""
        serving = self._requests[0] if self._requests else None
        return None if serving is None or serving.cycle.response_started else serving.task

    # -- answers as they are

    @property
    def keeping(self) -> bool:
        """See :class:`Takeover`."""
        return self._raw

    async def write_raw(self, cycle: Any, data: bytes) -> None:
        """See :class:`Takeover`."""
        cycle.response_started = True
        if self.flow.write_paused:
            await self.flow.drain()
        if cycle.disconnected or self.transport.is_closing():
            raise ConnectionResetError("the client is gone")
        self.transport.write(data)

    def finish_raw(self, cycle: Any, keep: bool) -> None:
        """See :class:`Takeover`."""
        cycle.response_complete = True
        cycle.message_event.set()
        if not (keep and cycle.keep_alive):
            self.transport.close()
        cycle.on_response()

    # -- handing over

    def hijack(self, cycle: Any, head: bytes) -> ByteStream:
        """See :class:`Takeover`."""
        if self.transport.is_closing() or cycle.response_started or cycle.disconnected:
            raise ConnectionResetError("the connection is gone or was answered")
        cycle.disconnected = True  # what the application still sends as ASGI goes nowhere
        self.connections.discard(self)
        self._unset_keepalive_if_required()
        self.transport.write(head)
        stream = ByteStream(bytes(self._kept), self._ended)
        stream.connection_made(self.transport)
        self.transport.set_protocol(stream)
        self.flow.resume_reading()
        return stream


class Server(uvicorn.Server):
    """uvicorn on sockets that are bound already, Unix and TCP; SIGTERM and SIGINT end it in an orderly way."""

    def __init__(self, config: uvicorn.Config, listeners: list[socket.socket]) -> None:
        super().__init__(config)
        self._listeners = listeners
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen."""
        await self.lifespan.startup()
        loop = asyncio.get_running_loop()

        def protocol() -> HijackProtocol:
            return HijackProtocol(self.config, self.server_state, self.lifespan.state, loop)

        self.servers = []
        for listener in self._listeners:
            if listener.family == socket.AF_UNIX:
                self.servers.append(await loop.create_unix_server(protocol, sock=listener, backlog=1024))
            else:
                self.servers.append(await loop.create_server(protocol, sock=listener, backlog=1024))
        self.started = True
        await self.on_tick(0)
        self.listening.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Streams end now: most would go on for ever. Requests without an answer yet have the configured grace."""
        unanswered = {connection.unanswered for connection in self.server_state.connections}  # type: ignore[union-attr]
        for task in self.server_state.tasks - unanswered:
            task.cancel()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        yield

    def _stop(self) -> None:
        self.should_exit = True
