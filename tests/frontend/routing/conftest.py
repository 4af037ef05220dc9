"""Two workers with real engines over the local driver, a router over both, and the whole endpoint."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from backends.api import types as t
from backends.api.client import connect
from backends.api.server import Server, serve
from backends.core.engine import CoreEngine
from frontend.routing.router import Router, route
from frontend.routing.workers import Worker
from sandbox.images.archive import Imported, import_
from sandbox.images.reference import parse
from sandbox.images.store import Store
from tests.backends.core.conftest import CONFIG, chunks, rootfs
from tests.backends.core.local_driver import LocalDriver


@dataclass
class Place:
    """One worker of the endpoint."""

    name: str
    engine: CoreEngine
    server: Server
    worker: Worker


@dataclass
class Endpoint:
    """The router, and its workers by name: ``left`` is the default."""

    router: Router
    places: dict[str, Place]

    async def create(self, name: str, *, runtime: str = "", image: str = "busybox", **host: object) -> str:
        request = t.CreateContainer(
            name=name, config={"Image": image, "Cmd": ["sleep", "1000"]}, host_config={"Runtime": runtime, **host}
        )
        return (await self.router.create_container(request)).id

    async def names(self) -> list[str]:
        rows = await self.router.list_containers(True, -1, False, {})
        return sorted(row.names[0] for row in rows)


async def _place(stack: AsyncExitStack, folder: Path, name: str) -> Place:
    folder.mkdir()
    images = Store(folder / "images")
    await import_(images, chunks(rootfs()), Imported(reference=parse("busybox:latest"), config=CONFIG))
    await import_(images, chunks(rootfs()), Imported(reference=parse(f"only-{name}:latest"), config=CONFIG))
    drivers = dataclasses.replace(LocalDriver(images).drivers(), name=name)
    engine = CoreEngine(folder / "data", drivers, images)
    await engine.open()
    stack.push_async_callback(engine.close)
    server = await serve(engine, folder / "worker.sock")
    stack.push_async_callback(server.close)
    client = connect(folder / "worker.sock", name)
    stack.callback(client.close)
    return Place(name, engine, server, Worker(name, client))


@pytest.fixture
async def endpoint(tmp_path: Path) -> AsyncIterator[Endpoint]:
    async with AsyncExitStack() as stack:
        places = {name: await _place(stack, tmp_path / name, name) for name in ("left", "right")}
        yield Endpoint(route([place.worker for place in places.values()]), places)
