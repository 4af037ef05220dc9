"""A client's connection that is handed over: the worker talks to the client, and every kind of end is seen."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from backends.api import types as t
from backends.api.bytestream import ByteStream
from backends.api.client import EngineClient, RemoteStream, connect
from backends.api.errors import Unavailable
from backends.api.framing import STDOUT, frame
from backends.api.server import Server
from tests.backends.api.peer import BLOCK, Peer, served

OUTPUT = t.AttachOptions(stdout=True, stderr=True, stream=True, stdin=True)


class Pair:
    """A client's socket, and the frontend's side of the connection."""

    def __init__(self, outer: ByteStream, inner: ByteStream) -> None:
        self.outer, self.inner = outer, inner


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    loop = asyncio.get_running_loop()
    ends = [(await loop.create_unix_connection(ByteStream, sock=each))[1] for each in socket.socketpair()]
    yield Pair(*ends)
    for end in ends:
        end.close()


@pytest.fixture
def peer() -> Peer:
    return Peer()


@pytest.fixture
async def server(peer: Peer, tmp_path: Path) -> AsyncIterator[Server]:
    made = await served(peer, tmp_path / "worker.sock")
    yield made
    await made.close()


@pytest.fixture
def remote(server: Server) -> EngineClient:
    return connect(server.path)


async def attach(remote: EngineClient, image: str) -> RemoteStream:
    created = await remote.create_container(t.CreateContainer(name=image, config={"Image": image}))
    stream = await remote.attach_container(created.id, OUTPUT)
    assert isinstance(stream, RemoteStream)
    return stream


async def rest(connection: ByteStream) -> bytes:
    return b"".join([part async for part in connection.inbox])


async def test_input_and_output_go_to_the_worker(remote: EngineClient, pair: Pair) -> None:
    stream = await attach(remote, "cat")
    await pair.outer.write(b"early")
    assert await pair.inner.read() == b"early"
    pair.inner.inbox.feed(b"kept")  # what the frontend had read and nobody had taken
    over = asyncio.create_task(stream.hand_over(pair.inner, True))
    assert await pair.outer.read() == frame(STDOUT, b"kept")
    await pair.outer.write(b"later")
    assert await pair.outer.read() == frame(STDOUT, b"later")
    pair.outer.write_eof()
    assert await rest(pair.outer) == b""
    await over


async def test_a_side_that_had_ended_before(remote: EngineClient, pair: Pair, peer: Peer) -> None:
    stream = await attach(remote, "late")
    pair.outer.write_eof()
    assert await pair.inner.read() == b""
    over = asyncio.create_task(stream.hand_over(pair.inner, True))
    assert await rest(pair.outer) == frame(STDOUT, b"late\n")
    await over


async def test_input_that_is_not_wanted_is_dropped(remote: EngineClient, pair: Pair, peer: Peer) -> None:
    stream = await attach(remote, "hello")
    await pair.outer.write(b"unwanted")
    over = asyncio.create_task(stream.hand_over(pair.inner, False))
    pair.outer.write_eof()
    assert await rest(pair.outer) == frame(STDOUT, b"out\n") + frame(2, b"err\n")
    await over
    assert peer.streams[0].received == b""


async def test_a_client_that_leaves_ends_the_stream(remote: EngineClient, pair: Pair, peer: Peer) -> None:
    stream = await attach(remote, "flood")
    over = asyncio.create_task(stream.hand_over(pair.inner, True))
    assert (await pair.outer.read()).startswith(frame(STDOUT, BLOCK)[:100])
    pair.outer.abort()
    await asyncio.wait_for(over, 10)
    assert peer.streams[0].finished.is_set()


async def test_a_frontend_that_gives_up_ends_the_stream(remote: EngineClient, pair: Pair, peer: Peer) -> None:
    stream = await attach(remote, "hang")
    over = asyncio.create_task(stream.hand_over(pair.inner, True))
    await pair.outer.write(b"seen")
    await asyncio.wait_for(peer.streams[0].input.get(), 10)
    over.cancel()
    await stream.close()
    pair.inner.close()
    assert await asyncio.wait_for(rest(pair.outer), 10) == b""
    await asyncio.wait_for(peer.streams[0].finished.wait(), 10)


async def test_a_caller_that_never_says_who_carries(remote: EngineClient, peer: Peer) -> None:
    stream = await attach(remote, "hang")
    await stream.close()
    await asyncio.wait_for(peer.streams[0].finished.wait(), 10)


async def test_a_worker_that_ends_is_told(remote: EngineClient, server: Server, pair: Pair, peer: Peer) -> None:
    stream = await attach(remote, "hang")
    over = asyncio.create_task(stream.hand_over(pair.inner, True))
    await pair.outer.write(b"seen")
    await asyncio.wait_for(peer.streams[0].input.get(), 10)
    await server.close()
    with pytest.raises(Unavailable):
        await over
    await pair.inner.write(b"the caller's again")
    assert await pair.outer.read() == b"the caller's again"


async def test_a_stream_that_fails_says_why(remote: EngineClient, pair: Pair) -> None:
    stream = await attach(remote, "break")
    over = asyncio.create_task(stream.hand_over(pair.inner, True))
    pair.outer.write_eof()
    assert await rest(pair.outer) == frame(STDOUT, b"half") + frame(2, b"the disk is full\r\n")
    await over
