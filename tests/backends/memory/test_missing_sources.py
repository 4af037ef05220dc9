"""The host directory that a container mounts is gone: only that mount is, as long as the container does not start."""

from __future__ import annotations

import io
import shutil
import tarfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from backends.api import types as t
from backends.api.client import EngineClient
from backends.api.engine import Engine
from backends.api.errors import EngineError, InvalidArgument, NotFound
from tests.backends.core.conftest import Shop
from tests.backends.memory.conftest import IMAGE, Worker
from tests.backends.memory.test_worker import tar_of, untar


@pytest.fixture
async def left(make_worker: Callable[[], Worker], tmp_path: Path) -> AsyncIterator[tuple[Engine, Path]]:
    """A worker that came back to three stopped containers, whose directories ``src/<name>`` are gone."""
    source = tmp_path / "src"
    for name in ("mount", "bind", "volume"):
        (source / name).mkdir(parents=True)
    worker = make_worker()
    client: Engine = EngineClient(worker.socket)  # type: ignore[abstract]
    shop = Shop(client, IMAGE)
    options = {"type": "none", "o": "bind", "device": str(source / "volume")}
    await client.create_volume({"Name": "elsewhere", "DriverOpts": options})
    mount = {"Type": "bind", "Source": str(source / "mount"), "Target": "/data"}
    write = ("sh", "-c", "echo x > /made")
    await shop.run(*write, name="mount", host={"Mounts": [mount]})
    await shop.run(*write, name="bind", host={"Binds": [f"{source}/bind:/data"]})
    await shop.run(*write, name="volume", host={"Binds": ["elsewhere:/data"]})
    shutil.rmtree(source)
    worker.end()
    worker.start()
    yield client, source


async def test_what_is_not_below_the_mount_is_there(left: tuple[Engine, Path]) -> None:
    client, _ = left
    rows = await client.list_containers(True, 0, True, {})
    assert [row.size_rw for row in rows] == [2, 2, 2]
    usage = await client.disk_usage(["container"])
    assert [row.size_rw for row in usage.containers] == [2, 2, 2]
    for name in ("mount", "bind", "volume"):
        assert ("/made", 1) in [(change.path, change.kind) for change in await client.container_changes(name)]
        assert await untar(client, name, "/made") == {"made": b"x\n"}
        await client.put_archive(name, "/tmp", tar_of(more=b"y"))
        assert await untar(client, name, "/tmp/more") == {"more": b"y"}
        exported = b"".join([piece async for piece in (await client.export_container(name)).body])
        with tarfile.open(fileobj=io.BytesIO(exported)) as archive:
            assert "made" in archive.getnames()
        assert await client.commit_container(name, t.CommitContainer(repo=f"left-{name}"))
        with pytest.raises(NotFound, match=rf"^Could not find the file /data in container {name}$"):
            await client.stat_path(name, "/data")
        with pytest.raises(NotFound, match=r"^Could not find the file /data in container"):
            await client.put_archive(name, "/data", tar_of(lost=b""))
        whole = await untar(client, name, "/.")
        assert whole["./made"] == b"x\n"
    assert len((await client.prune_containers({})).deleted) == 3


async def test_a_start_makes_what_docker_makes_and_refuses_the_rest(left: tuple[Engine, Path]) -> None:
    client, source = left
    with pytest.raises(InvalidArgument) as refused:
        await client.start_container("mount")
    assert refused.value.message == (
        f'invalid mount config for type "bind": bind source path does not exist: {source}/mount'
    )
    state = (await client.inspect_container("mount")).state
    assert (state.status, state.exit_code, state.error) == ("exited", 0, "")
    await client.start_container("bind")
    assert (source / "bind").is_dir()
    with pytest.raises(EngineError, match=r"^error while mounting volume '.*no such file or directory$"):
        await client.start_container("volume")


async def test_a_source_that_is_back_is_found(left: tuple[Engine, Path]) -> None:
    client, source = left
    with pytest.raises(NotFound):
        await client.stat_path("mount", "/data")
    (source / "mount").mkdir(parents=True)
    await client.put_archive("mount", "/data", tar_of(back=b"z"))
    assert (source / "mount" / "back").read_bytes() == b"z"
    await client.start_container("mount")
