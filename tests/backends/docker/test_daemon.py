"""Asking an engine whose every byte the test decides."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from backends.api.errors import Unsupported
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


async def test_a_filter_that_older_engines_refuse_is_applied_here(both: Both) -> None:
    fake, engine = both
    listed = asyncio.create_task(engine.list_images(False, {"until": ["1000.5"], "label": ["a"]}, False))
    wire = await fake.accept()
    line = (await wire.receive()).split(b"\r\n")[0]
    assert b"until" not in line
    assert b"label" in line
    rows = [{"Id": "old", "Created": 1000}, {"Id": "new", "Created": 1001}]
    await wire.send(HEAD + json.dumps(rows).encode())
    wire.end()
    assert [row.id for row in await listed] == ["old"]


async def test_an_old_engine_prunes_all_volumes_or_none(both: Both) -> None:
    fake, engine = both
    pong = b"HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: 2\r\nConnection: close\r\n\r\nOK"
    pruned = asyncio.create_task(engine.prune_volumes({"all": ["true"]}))
    await (await fake.accept()).send(pong)
    wire = await fake.accept()
    assert (await wire.receive()).startswith(b"POST /volumes/prune?filters=%7B%7D HTTP/1.1\r\n")
    await wire.send(HEAD + b'{"VolumesDeleted":["data"],"SpaceReclaimed":5}')
    wire.end()
    assert (await pruned).deleted == ["data"]
    pruned = asyncio.create_task(engine.prune_volumes({}))
    await (await fake.accept()).send(pong)
    with pytest.raises(Unsupported, match="cannot remove anonymous volumes only"):
        await pruned
