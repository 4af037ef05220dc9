"""A container is removed while its files are read and written: what is under way ends, and nothing of it is left."""

from __future__ import annotations

import asyncio
import io
import tarfile
from collections.abc import AsyncIterator

import pytest

from backends.api.engine import Engine
from backends.api.errors import EngineError, NotFound
from tests.backends.core.conftest import Shop
from tests.backends.memory.conftest import Worker

BIG = 8 << 20


def head_of(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf()


async def test_a_copy_that_goes_on_ends_with_its_container(client: Engine, shop: Shop, shared_worker: Worker) -> None:
    found = await shop.create("true")
    arrived, removed = asyncio.Event(), asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield head_of("big", BIG) + bytes(BIG // 2)
        arrived.set()
        await removed.wait()
        yield bytes(BIG // 2)

    copying = asyncio.create_task(client.put_archive(found, "/tmp", body()))
    await arrived.wait()
    await client.remove_container(found)
    removed.set()
    with pytest.raises(NotFound, match=f"^No such container: {found}$"):
        await copying
    assert not (shared_worker.root / "data/containers" / found).exists()


async def test_an_export_that_goes_on_is_cut(client: Engine, shop: Shop) -> None:
    found = await shop.create("true")
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        info = tarfile.TarInfo("big")
        info.size = 64 << 20
        archive.addfile(info, io.BytesIO(bytes(info.size)))

    async def body() -> AsyncIterator[bytes]:
        yield data.getvalue()

    await client.put_archive(found, "/", body())
    pieces = (await client.export_container(found)).body
    assert await anext(pieces)
    await client.remove_container(found)
    with pytest.raises(EngineError):
        async for _ in pieces:
            pass
