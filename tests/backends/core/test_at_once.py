"""Requests that meet: a removal and a start, a prune and a removal, a list and a removal."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from backends.api.errors import Conflict
from backends.core.drivers import ContainerSpec, ExecSpec
from backends.core.engine import CoreEngine
from backends.core.records import ContainerRecord
from sandbox.images.store import Store
from tests.backends.core.conftest import Shop
from tests.backends.core.local_driver import LocalDriver, LocalProcess


class Slow(LocalDriver):
    """Starts and looks at sizes wait until they are let go."""

    def __init__(self, images: Store) -> None:
        super().__init__(images)
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()

    async def _wait(self) -> None:
        self.begun.set()
        await self.go_on.wait()

    async def start(self, container: ContainerSpec, process: ExecSpec) -> LocalProcess:
        await self._wait()
        return await super().start(container, process)

    async def usage(self, container_id: str) -> tuple[int, int]:
        await self._wait()
        return await super().usage(container_id)


@pytest.fixture
async def slow(tmp_path: Path, images: Store) -> AsyncIterator[tuple[CoreEngine, Slow]]:
    driver = Slow(images)
    core = CoreEngine(tmp_path / "data", driver.drivers(), images)
    await core.open()
    yield core, driver
    driver.go_on.set()
    await core.close()


async def test_what_is_being_started_is_not_removed_without_force(slow: tuple[CoreEngine, Slow]) -> None:
    core, driver = slow
    found = await Shop(core).create("sleep", "100", name="busy")
    starting = asyncio.create_task(core.start_container(found))
    await driver.begun.wait()
    removing = asyncio.create_task(core.remove_container(found))
    pruning = asyncio.create_task(core.prune_containers({}))
    driver.go_on.set()
    await starting
    with pytest.raises(Conflict, match=r'^cannot remove container "busy": container is running: stop the container'):
        await removing
    assert (await pruning).deleted == []
    assert (await core.inspect_container(found)).state.status == "running"
    await core.remove_container(found, force=True)


async def test_what_is_removed_meanwhile_spoils_no_list_and_no_prune(slow: tuple[CoreEngine, Slow]) -> None:
    core, driver = slow
    shop = Shop(core)
    kept, gone = await shop.create("true"), await shop.create("true")
    listing = asyncio.create_task(core.list_containers(True, 0, True, {}))
    measuring = asyncio.create_task(core.disk_usage(["container"]))
    await driver.begun.wait()
    await core.remove_container(gone)
    driver.go_on.set()
    assert [row.id for row in await listing] == [kept]
    assert [row.id for row in (await measuring).containers] == [kept]
    driver.begun.clear()
    driver.go_on.clear()
    other = await shop.create("true")
    pruning = asyncio.create_task(core.prune_containers({}))
    await driver.begun.wait()
    await core.remove_container(other)
    driver.go_on.set()
    assert (await pruning).deleted == [kept]


class Releasing(LocalDriver):
    """A release waits until it is let go."""

    def __init__(self, images: Store) -> None:
        super().__init__(images)
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()

    async def release(self, container_id: str) -> None:
        self.begun.set()
        await self.go_on.wait()
        await super().release(container_id)


async def test_what_is_being_removed_is_moved_to_no_network(tmp_path: Path, images: Store) -> None:
    driver = Releasing(images)
    core = CoreEngine(tmp_path / "data", driver.drivers(), images)
    await core.open()
    await core.create_network({"Name": "net"})
    found = await Shop(core).create("true")
    removing = asyncio.create_task(core.remove_container(found))
    await driver.begun.wait()
    moves = [
        asyncio.create_task(core.connect_network("net", found, {})),
        asyncio.create_task(core.disconnect_network("bridge", found, False)),
    ]
    await asyncio.sleep(0)
    driver.go_on.set()
    await removing
    for move in moves:
        with pytest.raises(Conflict, match=rf"^Container {found} is marked for removal and cannot be connected"):
            await move
    assert core.context.store.all("container", ContainerRecord) == []
    await core.close()


async def test_a_volume_that_is_taken_meanwhile_spoils_no_prune(
    core: CoreEngine, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its user comes while the size of the first one is measured."""
    for name in ("aa", "bb", "cc"):
        await core.create_volume({"Name": name})
    (core.context.directory / "volumes/bb/_data/file").touch()
    measured, go_on = threading.Event(), threading.Event()
    walk = os.walk

    def slowly(path: Path) -> Iterator[tuple[str, list[str], list[str]]]:
        if "bb" in path.parts:
            measured.set()
            go_on.wait(10)
        return walk(path)

    monkeypatch.setattr(os, "walk", slowly)
    pruning = asyncio.create_task(core.prune_volumes({"all": ["true"]}))
    await asyncio.to_thread(measured.wait, 10)
    await shop.create("true", host={"Binds": ["bb:/data"]})
    go_on.set()
    assert (await pruning).deleted == ["aa", "cc"]
