"""Volumes: naming, copy-up, sharing, in use, removal with their container."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backends.api import types as t
from backends.api.errors import Conflict, EngineError, Unsupported
from backends.core.drivers import ContainerSpec, MountSpec
from backends.core.engine import CoreEngine
from backends.core.specs import container_spec
from sandbox.images.store import Store
from tests.backends.core.conftest import Shop
from tests.backends.core.local_driver import LocalDriver


async def test_create_is_idempotent(core: CoreEngine, tmp_path: Path) -> None:
    first = await core.create_volume({"Name": "pv", "Driver": "local", "Labels": {"a": "b"}})
    assert await core.create_volume({"Name": "pv"}) == first
    assert first.mountpoint == str(tmp_path / "data/volumes/pv/_data")
    assert Path(first.mountpoint).is_dir()
    unnamed = await core.create_volume({})
    assert len(unnamed.name) == 64
    assert unnamed.labels == {"com.docker.volume.anonymous": ""}


MEMORY = {"type": "tmpfs", "device": "tmpfs"}


@pytest.mark.parametrize(
    ("request_", "status", "message"),
    [
        ({"Name": "a/b"}, 400, 'create a/b: "a/b" includes invalid characters for a local volume name, only '
         '"[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path'),
        ({"Name": "zz", "Driver": "nosuch"}, 404,
         'create zz: error looking up volume plugin nosuch: plugin "nosuch" not found'),
        ({"Name": "q"}, 400,
         "create q: volume name is too short, names should be at least two alphanumeric characters"),
        ({"Name": "vv", "DriverOpts": {"colour": "red"}}, 400, 'create vv: invalid option: "colour"'),
        ({"Name": "vv", "DriverOpts": {"type": "none"}}, 400, 'create vv: missing required option: "device"'),
        ({"Name": "vv", "DriverOpts": {"device": "/x"}}, 400, 'create vv: missing required option: "type"'),
        ({"Name": "vv", "DriverOpts": MEMORY | {"o": "size=much"}}, 400,
         "create vv: invalid size in tmpfs option: much"),
        ({"Name": "vv", "DriverOpts": MEMORY | {"o": "uid=ann"}}, 400, "create vv: invalid uid in tmpfs option: ann"),
    ],
)  # fmt: skip
async def test_refused(core: CoreEngine, request_: dict[str, Any], status: int, message: str) -> None:
    with pytest.raises(EngineError) as refused:
        await core.create_volume(request_)
    assert (refused.value.status, refused.value.message) == (status, message)


async def test_empty_volume_is_filled_from_the_image_once(core: CoreEngine, shop: Shop) -> None:
    await shop.create("true", host={"Binds": ["vv:/seed"]})
    seeded = Path((await core.inspect_volume("vv")).mountpoint) / "one"
    assert seeded.read_text() == "1\n"
    seeded.write_text("changed\n")
    await shop.create("true", host={"Binds": ["vv:/seed"]})
    assert seeded.read_text() == "changed\n"
    await shop.create("true", host={"Binds": ["bare:/seed:nocopy"]})
    assert list(Path((await core.inspect_volume("bare")).mountpoint).iterdir()) == []


async def test_in_use_then_gone(core: CoreEngine, shop: Shop) -> None:
    found = await shop.create("true", host={"Mounts": [{"Type": "volume", "Source": "vv", "Target": "/data"}]})
    with pytest.raises(EngineError) as refused:
        await core.remove_volume("vv", False)
    assert (refused.value.status, refused.value.message) == (409, f"remove vv: volume is in use - [{found}]")
    await core.remove_container(found)
    directory = Path((await core.inspect_volume("vv")).mountpoint)
    await core.remove_volume("vv", False)
    assert not directory.exists()
    await core.remove_volume("vv", True)
    with pytest.raises(EngineError, match=r"^get vv: no such volume$"):
        await core.remove_volume("vv", False)


async def test_anonymous_volumes_go_with_their_container_when_asked(core: CoreEngine, shop: Shop) -> None:
    kept = await shop.create("true", Volumes={"/data": {}})
    gone = await shop.create("true", Volumes={"/data": {}})
    assert len(await core.list_volumes({"dangling": ["false"]})) == 2
    await core.remove_container(kept)
    await core.remove_container(gone, volumes=True)
    assert len(await core.list_volumes({})) == 1
    assert len((await core.prune_volumes({})).deleted) == 1


async def test_prune_keeps_named_ones_unless_all(core: CoreEngine) -> None:
    await core.create_volume({"Name": "named"})
    assert (await core.prune_volumes({})).deleted == []
    assert (await core.prune_volumes({"all": ["true"]})).deleted == ["named"]


async def test_volumes_from_shares_the_same_directory(core: CoreEngine, shop: Shop) -> None:
    await shop.create("true", name="first", host={"Binds": ["vv:/data"]})
    second = await shop.create("true", host={"VolumesFrom": ["first:ro"]})
    (mount,) = (await core.inspect_container(second)).mounts
    assert (mount.name, mount.destination, mount.rw) == ("vv", "/data", False)


async def test_bind_source_is_made(core: CoreEngine, shop: Shop, tmp_path: Path) -> None:
    await shop.create("true", host={"Binds": [f"{tmp_path}/new/dir:/x"]})
    assert (tmp_path / "new/dir").is_dir()


async def test_a_volume_that_is_a_directory_of_the_host(core: CoreEngine, shop: Shop, tmp_path: Path) -> None:
    options = {"type": "none", "o": "bind", "device": str(tmp_path / "mine")}
    made = await core.create_volume({"Name": "vv", "DriverOpts": options})
    assert (made.options, made.mountpoint) == (options, str(tmp_path / "data/volumes/vv/_data"))
    with pytest.raises(EngineError) as refused:
        await shop.create("true", host={"Binds": ["vv:/seed"]})
    assert refused.value.message == (
        f"error while mounting volume '{made.mountpoint}': failed to mount local volume: "
        f"mount {tmp_path}/mine:{made.mountpoint}, flags: 0x1000: no such file or directory"
    )
    (tmp_path / "mine").mkdir()
    found = await shop.create("true", host={"Binds": ["vv:/seed"]})
    assert (tmp_path / "mine" / "one").read_text() == "1\n"
    await core.remove_container(found)
    await core.remove_volume("vv", False)
    assert (tmp_path / "mine" / "one").exists()


def mount(target: str, **more: Any) -> t.Json:
    """A mount of a volume in memory, which it makes if need be."""
    options = {"DriverConfig": {"Options": MEMORY | {"o": "size=1m,uid=7,gid=8,mode=700"}}, **more.pop("options", {})}
    return {"Type": "volume", "Source": "mem", "Target": target, "VolumeOptions": options, **more}


async def test_a_volume_in_memory_is_one_tmpfs_of_all_that_mount_it(core: CoreEngine, shop: Shop) -> None:
    first = await shop.create("true", host={"Mounts": [mount("/seed")]})
    second = await shop.create("true", host={"Binds": ["mem:/data"]})
    for found, place in ((first, "/seed"), (second, "/data")):
        (spec,) = [spec for spec in container_spec(core.registry.find(found), core.volumes).mounts if spec.shared]
        assert spec == MountSpec("tmpfs", place, size=1 << 20, mode=0o700, owner=(7, 8), shared="mem")
    made = await core.inspect_volume("mem")
    assert list(Path(made.mountpoint).iterdir()) == []
    assert made.options == MEMORY | {"o": "size=1m,uid=7,gid=8,mode=700"}


@pytest.mark.parametrize(
    "mounts",
    [
        [mount("/a", ReadOnly=True)],
        [mount("/a", options={"Subpath": "x"})],
        [mount("/a"), {"Type": "volume", "Source": "mem", "Target": "/b"}],
    ],
)
async def test_what_a_volume_in_memory_cannot_be(core: CoreEngine, shop: Shop, mounts: list[t.Json]) -> None:
    message = r"^volume mem is in memory: mounting it read-only, in part or twice is not supported$"
    with pytest.raises(Unsupported, match=message):
        await shop.create("true", host={"Mounts": mounts})
    assert await core.list_volumes({}) == []


async def test_a_creation_that_fails_loses_no_named_volume(
    make_engine: Callable[[], CoreEngine], tmp_path: Path
) -> None:
    first = make_engine()
    await first.open()
    with pytest.raises(EngineError, match=r"^error while creating mount source path"):
        await Shop(first).create("true", Volumes={"/a": {}}, host={"Binds": ["named:/n", "/proc/nowhere/x:/x"]})
    assert [found.name for found in await first.list_volumes({})] == ["named"]
    await first.close()
    second = make_engine()
    await second.open()
    assert [found.name for found in await second.list_volumes({})] == ["named"]
    await second.close()


class Slow(LocalDriver):
    """A container takes its time to be made."""

    def __init__(self, images: Store) -> None:
        super().__init__(images)
        self.making, self.go_on = asyncio.Event(), asyncio.Event()

    async def prepare(self, container: ContainerSpec) -> None:
        self.making.set()
        await self.go_on.wait()
        await super().prepare(container)


async def test_what_a_coming_container_needs_is_in_use(tmp_path: Path, images: Store) -> None:
    driver = Slow(images)
    core = CoreEngine(tmp_path / "data", driver.drivers(), images)
    await core.open()
    creating = asyncio.create_task(Shop(core).create("true", Volumes={"/a": {}}, host={"Binds": ["vv:/x"]}))
    await driver.making.wait()
    assert (await core.prune_volumes({"all": ["true"]})).deleted == []
    assert await core.prune_images({"dangling": ["false"]}) == ([], 0)
    with pytest.raises(Conflict, match=r"^remove vv: volume is in use"):
        await core.remove_volume("vv", True)
    driver.go_on.set()
    found = await creating
    assert len((await core.inspect_container(found)).mounts) == 2
    await core.close()
