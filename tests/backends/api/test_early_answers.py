"""Uploads that are answered before they have ended, of every size: the answer arrives, the next call is served."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from backends.api import http as wire
from backends.api import types as t
from backends.api.client import connect
from backends.api.engine import Download
from backends.api.errors import EngineError
from tests.backends.api.peer import served


class Picky:
    """Takes no more than 300 kB."""

    async def load_images(
        self, body: AsyncIterator[bytes], quiet: bool, platform: str = ""
    ) -> AsyncIterator[t.Progress]:
        size = 0
        async for piece in body:
            size += len(piece)
            if size > 300_000:
                raise EngineError("too much")
        return _nothing()


async def _nothing() -> AsyncIterator[t.Progress]:
    progress: t.Progress
    for progress in ():
        yield progress


class Deaf(Picky):
    """Looks at the first piece only, once all may have come; and has a large answer that one may not want."""

    def __init__(self) -> None:
        self.come = asyncio.Event()

    async def load_images(
        self, body: AsyncIterator[bytes], quiet: bool, platform: str = ""
    ) -> AsyncIterator[t.Progress]:
        await self.come.wait()
        raise EngineError("no")

    async def save_images(self, names: list[str]) -> Download:
        return Download(None, upload(40))


async def upload(pieces: int, size: int = 1 << 16) -> AsyncIterator[bytes]:
    for _ in range(pieces):
        yield bytes(size)


async def test_what_was_not_read_does_not_stop_the_next_call(tmp_path: Path) -> None:
    engine = Deaf()
    server = await served(engine, tmp_path / "s")
    client = connect(tmp_path / "s", "deaf")
    for pieces in range(125, 160):  # one of them is just as long as the server takes before it pauses
        engine.come.clear()
        call = asyncio.create_task(client.load_images(upload(pieces, 1 << 13), False))
        asyncio.get_running_loop().call_later(0.02, engine.come.set)
        with pytest.raises(EngineError, match=r"^no$"):
            await asyncio.wait_for(call, 10)
    for _ in range(5):
        download = await asyncio.wait_for(client.save_images([]), 10)
        async with wire.closing(download.body):
            await anext(download.body)
    client.close()
    await server.close()


async def test_an_early_answer_costs_the_next_call_nothing(tmp_path: Path) -> None:
    server = await served(Picky(), tmp_path / "s")
    client = connect(tmp_path / "s", "picky")
    for _ in range(5):
        for pieces in range(40):
            if pieces < 5:
                assert [line async for line in await client.load_images(upload(pieces), False)] == []
                continue
            with pytest.raises(EngineError, match=r"^too much$"):
                await client.load_images(upload(pieces), False)
    client.close()
    await server.close()
