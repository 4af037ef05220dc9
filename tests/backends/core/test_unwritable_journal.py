"""A journal that cannot be written for a while: what is answered is what is so."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from backends.api.errors import Unavailable
from backends.core.drivers import ContainerSpec, ExecSpec
from backends.core.engine import CoreEngine
from backends.core.lifecycle import Status
from backends.core.records import ContainerRecord
from sandbox.images.store import Store
from tests.backends.core.conftest import Shop
from tests.backends.core.local_driver import LocalDriver, LocalProcess


@contextmanager
def unwritable(core: CoreEngine) -> Iterator[None]:
    core.context.store._db.execute("PRAGMA query_only=ON")
    yield
    core.context.store._db.execute("PRAGMA query_only=OFF")


def recorded(core: CoreEngine, container: str) -> Status:
    found = core.context.store.get("container", container, ContainerRecord)
    assert found is not None
    return found.state.status


class Late(LocalDriver):
    """The journal is lost after the process was started."""

    core: CoreEngine

    async def start(self, container: ContainerSpec, process: ExecSpec) -> LocalProcess:
        found = await super().start(container, process)
        self.core.context.store._db.execute("PRAGMA query_only=ON")
        return found


async def test_a_start_that_cannot_be_noted_starts_nothing(core: CoreEngine, shop: Shop) -> None:
    found = await shop.create("sleep", "100")
    with unwritable(core):
        with pytest.raises(Unavailable, match=r"^cannot write the journal"):
            await core.start_container(found)
        assert (await core.inspect_container(found)).state.status == "created"
    await core.start_container(found)
    assert recorded(core, found) is Status.RUNNING


async def test_a_start_that_cannot_be_recorded_any_more_has_happened(tmp_path: Path, images: Store) -> None:
    driver = Late(images)
    core = driver.core = CoreEngine(tmp_path / "data", driver.drivers(), images)
    await core.open()
    found = await Shop(core).create("sleep", "100")
    await core.start_container(found)
    assert (await core.inspect_container(found)).state.status == "running"
    assert recorded(core, found) is Status.CREATED
    core.context.store._db.execute("PRAGMA query_only=OFF")
    await asyncio.gather(*(task for task in core.context.tasks if task.get_name().startswith("record ")))
    assert recorded(core, found) is Status.RUNNING
    await core.close()


async def test_a_volume_that_cannot_be_removed_keeps_its_files(core: CoreEngine, shop: Shop) -> None:
    volume = await core.create_volume({"Name": "vv"})
    (Path(volume.mountpoint) / "file").write_text("kept")
    with unwritable(core), pytest.raises(Unavailable):
        await core.remove_volume("vv", False)
    assert (Path(volume.mountpoint) / "file").read_text() == "kept"
    await shop.create("true", host={"Binds": ["vv:/data"]})


async def test_what_cannot_be_noted_is_undone(core: CoreEngine, shop: Shop) -> None:
    """A new name, a new network: both are taken back, and nothing is held by them."""
    await core.create_network({"Name": "net"})
    found = await shop.create("sleep", "100", name="old")
    await core.start_container(found)
    with unwritable(core):
        with pytest.raises(Unavailable):
            await core.rename_container(found, "new")
        with pytest.raises(Unavailable):
            await core.connect_network("net", found, {})
    shown = await core.inspect_container("old")
    assert (shown.name, list(shown.network_settings.networks)) == ("/old", ["bridge"])
    assert (await core.inspect_network("net")).containers == {}
    with unwritable(core), pytest.raises(Unavailable):
        await core.remove_network("net")
    await core.connect_network("net", found, {})
    await core.disconnect_network("net", found, False)
    await core.remove_network("net")
    await shop.create("true", name="new")


async def test_a_container_that_cannot_be_made_or_removed(core: CoreEngine, shop: Shop) -> None:
    """A name that was wanted in vain is free again, and what could not be removed is as it was."""
    found = await shop.create("true", name="kept")
    with unwritable(core):
        with pytest.raises(Unavailable):
            await shop.create("true", name="new", Volumes={"/data": {}})
        with pytest.raises(Unavailable):
            await core.remove_container(found)
    assert (await core.inspect_container(found)).state.status == "created"
    assert await shop.finish(found) == 0
    await shop.create("true", name="new")
    assert await core.list_volumes({}) == []
