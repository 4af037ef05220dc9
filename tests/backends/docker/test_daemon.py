"""Asking an engine whose every byte the test decides."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from backends.docker.engine import DockerEngine
from backends.docker.place import Place
from tests.frontend.routing.fake_engine import FakeEngine

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"
Both = tuple[FakeEngine, DockerEngine]


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[Both]:
    fake = FakeEngine(tmp_path / "engine.sock")
    engine = DockerEngine(Place(path=str(fake.path)))
    yield fake, engine
    await engine.close()
    fake.close()


async def test_characters_that_arrive_in_pieces_stay_whole(both: Both) -> None:
    fake, engine = both
    asked = asyncio.create_task(engine.events(0, 0, {}))
    wire = await fake.accept()
    await wire.send(HEAD)
    stream = await asked
    event = '{"Type":"container","Action":"die","Actor":{"ID":"1","Attributes":{"name":"größe€"}}}\n'.encode()
    event_read = asyncio.ensure_future(anext(stream))
    for byte in event:
        await wire.send(bytes([byte]))
        await wire.flushed()
    assert (await event_read).Actor["Attributes"]["name"] == "größe€"
    await stream.aclose()  # type: ignore[attr-defined]


async def test_streams_that_are_followed_keep_nobody_waiting(both: Both) -> None:
    fake, engine = both
    for _ in range(300):
        asked = asyncio.create_task(engine.events(0, 0, {}))
        await (await fake.accept()).send(HEAD)
        await asked
    listed = asyncio.create_task(engine.list_containers(True, -1, False, {}))
    await (await fake.accept()).send(HEAD.replace(b"\r\n\r\n", b"\r\nContent-Length: 2\r\n\r\n[]"))
    assert await listed == []
