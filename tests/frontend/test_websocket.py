"""attach/ws as a websocket client sees it."""

from __future__ import annotations

import asyncio
import base64
import hashlib

import pytest
from wsproto.frame_protocol import Frame, FrameProtocol, Opcode

from backends.api import types as t
from tests.backends.api.peer import Peer
from tests.frontend.site import Site, Wire, request

KEY = base64.b64encode(b"k" * 16).decode()
HEADERS = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": KEY}
WS = "/v1.51/containers/{}/attach/ws?stream=1&stdin=1&stdout=1&stderr=1"


class Client:
    """The client's side."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self._protocol = FrameProtocol(client=True, extensions=[])
        self._frames: list[Frame] = []

    @classmethod
    async def open(cls, site: Site, target: str) -> Client:
        wire = await site.connect()
        await wire.send(request("GET", target, headers=HEADERS))
        status, headers = await wire.head()
        accepted = hashlib.sha1(KEY.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
        assert (status, headers["upgrade"]) == (101, "websocket")
        assert headers["sec-websocket-accept"] == base64.b64encode(accepted).decode()
        return cls(wire)

    async def send(self, data: bytes | str, fin: bool = True) -> None:
        await self.wire.send(bytes(self._protocol.send_data(data, fin)))

    async def ping(self) -> None:
        await self.wire.send(bytes(self._protocol.ping(b"there?")))

    async def close(self) -> None:
        await self.wire.send(bytes(self._protocol.close(1000)))

    async def frame(self) -> tuple[Opcode, object]:
        while not self._frames:
            self._protocol.receive_bytes(await self.wire.receive())
            self._frames += self._protocol.received_frames()
        found = self._frames.pop(0)
        payload = found.payload
        return found.opcode, bytes(payload) if isinstance(payload, bytearray) else payload


async def container(peer: Peer, image: str, **config: object) -> str:
    return (await peer.create_container(t.CreateContainer(name="c", config={"Image": image, **config}))).id


async def finished(peer: Peer) -> None:
    program = await asyncio.wait_for(peer.attached.get(), 5)
    await asyncio.wait_for(program.finished.wait(), 5)


async def test_output_is_not_framed_and_its_end_closes(site: Site, peer: Peer) -> None:
    client = await Client.open(site, WS.format(await container(peer, "hello")))
    assert await client.frame() == (Opcode.BINARY, b"out\n")
    assert await client.frame() == (Opcode.BINARY, b"err\n")
    assert await client.frame() == (Opcode.CLOSE, (1000, ""))
    await client.close()
    assert await client.wire.rest() == b""
    await finished(peer)


@pytest.mark.parametrize("tty", [False, True])
async def test_input_in_messages_and_parts_of_them(site: Site, peer: Peer, tty: bool) -> None:
    client = await Client.open(site, WS.format(await container(peer, "cat", Tty=tty)))
    await client.send(b"one")
    assert await client.frame() == (Opcode.BINARY, b"one")
    await client.send("zwölf", fin=False)
    assert await client.frame() == (Opcode.BINARY, "zwölf".encode())
    await client.ping()
    assert await client.frame() == (Opcode.PONG, b"there?")
    await client.send("")
    await client.send(b"last")
    assert await client.frame() == (Opcode.BINARY, b"last")


async def test_a_client_that_closes_is_answered_and_detached(site: Site, peer: Peer) -> None:
    client = await Client.open(site, WS.format(await container(peer, "hang")))
    await client.send(b"to the end")
    await client.close()
    assert await client.frame() == (Opcode.CLOSE, (1000, ""))
    assert await client.wire.rest() == b""
    await finished(peer)
    assert (peer.streams[0].received, peer.streams[0].input_ended.is_set()) == (b"to the end", True)


async def test_a_client_that_vanishes(site: Site, peer: Peer) -> None:
    client = await Client.open(site, WS.format(await container(peer, "hang")))
    client.wire.close()
    await finished(peer)


async def test_what_is_no_frame_closes_the_connection(site: Site, peer: Peer) -> None:
    client = await Client.open(site, WS.format(await container(peer, "hang")))
    await client.wire.send(b"\xff\xff not a frame")
    opcode, reason = await client.frame()
    assert (opcode, reason) == (Opcode.CLOSE, (1002, "Invalid opcode 0xf"))
    assert await client.wire.rest() == b""
    await finished(peer)


async def test_a_failing_stream_says_so(site: Site, peer: Peer) -> None:
    client = await Client.open(site, WS.format(await container(peer, "break")))
    assert await client.frame() == (Opcode.BINARY, b"half")
    assert await client.frame() == (Opcode.BINARY, b"the disk is full\r\n")
    assert await client.frame() == (Opcode.CLOSE, (1000, ""))


async def test_versions(site: Site, peer: Peer) -> None:
    identity = await container(peer, "hello")
    for version, opcode, every in (("1.27", Opcode.TEXT, True), ("1.41", Opcode.BINARY, True)):
        client = await Client.open(site, f"/v{version}/containers/{identity}/attach/ws?stream=1&detachKeys=ctrl-x")
        wanted = t.AttachOptions(stream=True, detach_keys="ctrl-x", stdin=every, stdout=every, stderr=every)
        assert peer.seen["attach"] == wanted
        assert (await client.frame())[0] is opcode
    await Client.open(site, f"/v1.42/containers/{identity}/attach/ws?logs=1&stdout=1")
    assert peer.seen["attach"] == t.AttachOptions(logs=True, stdout=True)


async def test_the_protocol_a_client_offers(site: Site, peer: Peer) -> None:
    identity = await container(peer, "hang")
    for offered, chosen in (("binary", "binary"), ("a, b", None)):
        wire = await site.connect()
        await wire.send(request("GET", WS.format(identity), headers={**HEADERS, "Sec-WebSocket-Protocol": offered}))
        _, headers = await wire.head()
        assert headers.get("sec-websocket-protocol") == chosen


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"Upgrade": "tcp"}, "not websocket protocol"),
        ({"Sec-WebSocket-Version": "8"}, "websocket: only version 13 is supported"),
        ({"Sec-WebSocket-Key": "short"}, "websocket: bad Sec-WebSocket-Key"),
    ],
)
async def test_other_handshakes(site: Site, peer: Peer, changed: dict[str, str], message: str) -> None:
    identity = await container(peer, "hang")
    refused = await site.call("GET", WS.format(identity), headers={**HEADERS, **changed})
    assert (refused.status, refused.message) == (400, message)
    await finished(peer)


async def test_refusals(site: Site, peer: Peer) -> None:
    missing = await site.call("GET", WS.format("nosuch"), headers=HEADERS)
    assert (missing.status, missing.message) == (404, "No such container: nosuch")
    bad = await site.call("GET", WS.format("x") + "&detachKeys=ctrl-%3F%3F", headers=HEADERS)
    assert (bad.status, bad.message) == (400, "Invalid detach keys (ctrl-??) provided")


@pytest.mark.parametrize("path", ["/session", "/grpc"])
async def test_no_upgrade_proto(site: Site, path: str) -> None:
    refused = await site.call("POST", path)
    assert (refused.status, refused.message) == (400, "no upgrade proto in request")
