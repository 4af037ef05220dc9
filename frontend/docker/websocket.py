"""/containers/{ref}/attach/ws: a container's streams as websocket messages (RFC 6455).

The connection is taken over as for attach; wsproto, imported when the first client comes, reads and writes its frames.
Output is never multiplexed here: stdout and stderr come as they are, one message a chunk, binary since API 1.28.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections import deque
from collections.abc import Callable

from falcon.asgi import Response

from backends.api import types as t
from backends.api.bytestream import ByteStream
from backends.api.engine import Stream
from backends.api.framing import Deframer
from backends.api.relay import relay
from frontend.docker.answers import Area
from frontend.request import Request
from frontend.wire.detach import parse_detach_keys
from frontend.wire.errors import BadRequest

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_BINARY_SINCE = (1, 28)
_CHOICE_SINCE = (1, 42)
_NORMAL = 1000


class WebSockets(Area):
    """A container's output and input for browsers."""

    async def on_get_attach(self, req: Request, resp: Response, ref: str) -> None:
        """101 and messages both ways; before API 1.42 always all three streams."""
        parse_detach_keys(req.text("detachKeys"))
        all_streams = req.version < _CHOICE_SINCE
        options = t.AttachOptions(
            stdin=all_streams or req.flag("stdin"),
            stdout=all_streams or req.flag("stdout"),
            stderr=all_streams or req.flag("stderr"),
            stream=req.flag("stream"),
            logs=req.flag("logs"),
            detach_keys=req.text("detachKeys"),
        )
        stream = await self.engine.attach_container(ref, options)
        try:
            client = await req.takeover("101 Switching Protocols", _handshake(req))
        except BaseException:
            await stream.close()
            raise
        async with client:
            await relay(WebSocket(client, stream, req.version >= _BINARY_SINCE), stream, options.stdin)


class WebSocket:
    """A connection that speaks the websocket protocol, as the plain bytes both ways that ``relay`` carries.

    ``write`` takes output as the engine frames it. A client's Close ends the connection: it is answered, and the client
    counts as gone. What is no websocket frame closes it too, with the reason.
    """

    def __init__(self, client: ByteStream, stream: Stream, binary: bool) -> None:
        from wsproto.frame_protocol import FrameProtocol

        self._client = client
        self._protocol = FrameProtocol(client=False, extensions=[])
        self._deframer = None if stream.tty else Deframer()
        self._binary = binary
        self._closing = False
        self._ended = False
        self._received: deque[bytes] = deque()

    @property
    def lost(self) -> bool:
        """The connection is gone."""
        return self._client.lost

    @property
    def on_lost(self) -> Callable[[], object] | None:
        """Called when the connection is gone."""
        return self._client.on_lost

    @on_lost.setter
    def on_lost(self, callback: Callable[[], object] | None) -> None:
        self._client.on_lost = callback

    async def write(self, data: bytes) -> None:
        """Send output, a message for each chunk."""
        chunks = [data] if self._deframer is None else [chunk for _, chunk in self._deframer.feed(data)]
        for chunk in chunks:
            payload = chunk if self._binary else chunk.decode(errors="replace")
            await self._client.write(bytes(self._protocol.send_data(payload, fin=True)))

    def write_eof(self) -> None:
        """Say that nothing more comes."""
        self._close(_NORMAL)

    @property
    def inbox(self) -> WebSocket:
        """The payload of the client's messages."""
        return self

    def __aiter__(self) -> WebSocket:
        return self

    async def __anext__(self) -> bytes:
        if data := await self.read():
            return data
        raise StopAsyncIteration

    async def read(self) -> bytes:
        """The next input; b"" at its end."""
        while not self._received and not self._ended:
            data = await self._client.read()
            self._ended = self._ended or not data
            await self._take(data)
        return self._received.popleft() if self._received else b""

    async def _take(self, data: bytes) -> None:
        """Sort out what came: input is queued, pings and a Close are answered."""
        from wsproto.frame_protocol import Opcode, ParseFailed

        self._protocol.receive_bytes(data)
        try:
            for frame in self._protocol.received_frames():
                payload = frame.payload
                if frame.opcode is Opcode.CLOSE:
                    self._end(_NORMAL)
                elif frame.opcode is Opcode.PING:
                    assert isinstance(payload, bytes | bytearray)
                    await self._client.write(bytes(self._protocol.pong(bytes(payload))))
                elif payload and isinstance(payload, str):
                    self._received.append(payload.encode())
                elif payload and isinstance(payload, bytes | bytearray) and frame.opcode is not Opcode.PONG:
                    self._received.append(bytes(payload))
        except ParseFailed as error:
            self._end(error.code, str(error))

    def _end(self, code: int, reason: str = "") -> None:
        self._ended = True
        self._close(code, reason)
        self._client.close()

    def _close(self, code: int, reason: str = "") -> None:
        if not self._closing and not self.lost:
            self._closing = True
            self._client.transport.write(bytes(self._protocol.close(code, reason)))


def _handshake(req: Request) -> list[tuple[str, str]]:
    """The headers that accept the client's; BadRequest if it does not ask for a websocket (RFC 6455, 4.2.1)."""
    if (req.get_header("upgrade") or "").lower() != "websocket":
        raise BadRequest("not websocket protocol")
    if req.get_header("sec-websocket-version") != "13":
        raise BadRequest("websocket: only version 13 is supported")
    key = req.get_header("sec-websocket-key") or ""
    if not _is_key(key):
        raise BadRequest("websocket: bad Sec-WebSocket-Key")
    accepted = base64.b64encode(hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest()).decode()
    headers = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accepted)]
    offered = req.get_header("sec-websocket-protocol") or ""
    if offered and "," not in offered:
        headers.append(("Sec-WebSocket-Protocol", offered.strip()))
    return headers


def _is_key(key: str) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except binascii.Error:
        return False
