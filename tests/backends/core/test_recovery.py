"""A worker comes back after it was killed at any moment: real worker processes, killed with SIGKILL."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from backends.api import types as t
from backends.api.client import EngineClient
from backends.api.errors import Unavailable
from backends.core.engine import CoreEngine
from backends.core.lifecycle import Status
from backends.core.records import ContainerRecord
from backends.core.store import Store as Journal
from sandbox.images.store import Store
from tests.backends.core.conftest import Shop, split

WORKER = """
import asyncio, sys
from pathlib import Path
from backends.api.server import serve
from backends.core.engine import CoreEngine
from sandbox.images.store import Store
from tests.backends.core.local_driver import LocalDriver

async def main(root):
    images = Store(root / "images")
    engine = CoreEngine(root / "data", LocalDriver(images).drivers(), images)
    await engine.open()
    await serve(engine, root / "socket")
    print("ready", flush=True)
    await asyncio.Event().wait()

asyncio.run(main(Path(sys.argv[1])))
"""


@asynccontextmanager
async def worker(root: Path) -> AsyncIterator[EngineClient]:
    """A worker process over ``root``; leaving the block kills it without warning."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WORKER, str(root), stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[3]
    )
    assert process.stdout is not None
    assert await asyncio.wait_for(process.stdout.readline(), 20) == b"ready\n"
    client = EngineClient(root / "socket")  # type: ignore[abstract]
    try:
        yield client
    finally:
        client.close()
        process.send_signal(signal.SIGKILL)
        await process.wait()


async def test_everything_is_back_after_a_kill(tmp_path: Path, images: Store) -> None:
    async with worker(tmp_path) as client:
        shop = Shop(client)
        await client.create_network({"Name": "net"})
        await client.create_volume({"Name": "vol", "Labels": {"a": "b"}})
        await shop.create("true", name="created")
        await shop.run("sh", "-c", "echo done; exit 3", name="exited")
        running = await shop.create("sh", "-c", "echo up; sleep 100", name="running", host={"NetworkMode": "net"})
        stream = await client.attach_container(running, t.AttachOptions(stdout=True, stream=True))
        await client.start_container(running)
        assert await stream.read()
        pid = (await client.inspect_container(running)).state.pid
    os.killpg(pid, signal.SIGKILL)  # what a worker's death does to its processes; these are of another session
    async with worker(tmp_path) as client:
        shop = Shop(client)
        rows = {row.names[0]: row.status for row in await client.list_containers(True, 0, False, {})}
        assert set(rows) == {"/created", "/exited", "/running"}
        assert rows["/created"] == "Created"
        assert (await client.inspect_container("exited")).state.exit_code == 3
        assert split(await shop.logs("exited")) == (b"done\n", b"")
        state = (await client.inspect_container("running")).state
        assert (state.status, state.exit_code, state.pid) == ("exited", 137, 0)
        assert state.error == "the worker that ran this container ended, and its processes with it"
        assert split(await shop.logs("running")) == (b"up\n", b"")
        assert (await client.inspect_network("net")).containers == {}
        assert (await client.inspect_volume("vol")).labels == {"a": "b"}
        assert await shop.finish("created") == 0
        await client.start_container("running")
        await client.remove_container("running", force=True)
        await client.remove_network("net")


async def test_restart_policy_starts_it_again(tmp_path: Path, images: Store) -> None:
    async with worker(tmp_path) as client:
        shop = Shop(client)
        pids = []
        for name in ("always", "unless-stopped", "no"):
            found = await shop.create("sleep", "100", name=name, host={"RestartPolicy": {"Name": name}})
            await client.start_container(found)
            pids.append((await client.inspect_container(found)).state.pid)
        stopped = await shop.create("sleep", "100", name="stopped", host={"RestartPolicy": {"Name": "unless-stopped"}})
        await client.start_container(stopped)
        await client.stop_container(stopped, timeout=0)
    for pid in pids:
        os.killpg(pid, signal.SIGKILL)
    async with worker(tmp_path) as client:
        started = await client.events(1, 0, {"event": ["start"]})
        after = [(await asyncio.wait_for(anext(started), 5)).Actor["Attributes"]["name"] for _ in range(6)]
        assert sorted(after[4:]) == ["always", "unless-stopped"]
        states = {row.names[0]: row.state for row in await client.list_containers(True, 0, False, {})}
        assert states == {"/always": "running", "/unless-stopped": "running", "/no": "exited", "/stopped": "exited"}
        for name in ("always", "unless-stopped"):
            await client.remove_container(name, force=True)


async def test_half_made_and_half_removed_are_finished(make_engine: Callable[[], CoreEngine], tmp_path: Path) -> None:
    first = make_engine()
    await first.open()
    shop = Shop(first)
    half, leaving = await shop.create("true", Volumes={"/data": {}}), await shop.create("true")
    kept = await shop.create("true")
    await first.close()
    journal = Journal(tmp_path / "data")
    for record in journal.all("container", ContainerRecord):
        if record.id == half:
            record.ready = False
        if record.id == leaving:
            record.state.status = Status.REMOVING
        journal.put("container", record.id, record)
    journal.close()
    (tmp_path / "data/containers/unknown").mkdir()
    second = make_engine()
    await second.open()
    assert [row.id for row in await second.list_containers(True, 0, False, {})] == [kept]
    assert [path.name for path in (tmp_path / "data/containers").iterdir()] == [kept]
    assert await second.list_volumes({}) == []
    await second.close()


async def test_a_removal_is_finished_as_it_was_asked_for(make_engine: Callable[[], CoreEngine], tmp_path: Path) -> None:
    """Anonymous volumes go only with -v, and never while someone else has them."""
    first = make_engine()
    await first.open()
    shop = Shop(first)
    plain = await shop.create("true", Volumes={"/data": {}})
    taking = await shop.create("true", Volumes={"/data": {}})
    shared = await shop.create("true", name="shared", Volumes={"/data": {}})
    other = await shop.create("true", host={"VolumesFrom": ["shared"]})
    names = {found: (await first.inspect_container(found)).mounts[0].name for found in (plain, taking, shared)}
    await first.close()
    journal = Journal(tmp_path / "data")
    for record in journal.all("container", ContainerRecord):
        if record.id != other:
            record.state.status = Status.REMOVING
            record.volumes_go = record.id != plain
            journal.put("container", record.id, record)
    journal.close()
    second = make_engine()
    await second.open()
    assert [row.id for row in await second.list_containers(True, 0, False, {})] == [other]
    assert {found.name for found in await second.list_volumes({})} == {names[plain], names[shared]}
    await second.close()


async def test_what_removes_itself_is_gone_after_a_kill(tmp_path: Path, images: Store) -> None:
    async with worker(tmp_path) as client:
        shop = Shop(client)
        found = await shop.create("sleep", "100", Volumes={"/data": {}}, host={"AutoRemove": True})
        unused = await shop.create("sleep", "100", host={"AutoRemove": True})
        await client.start_container(found)
        pid = (await client.inspect_container(found)).state.pid
    os.killpg(pid, signal.SIGKILL)
    async with worker(tmp_path) as client:
        assert [row.id for row in await client.list_containers(True, 0, False, {})] == [unused]
        assert await client.list_volumes({}) == []
        past = await client.events(1, 0, {"event": ["die", "destroy"], "container": [found]})
        events = [await asyncio.wait_for(anext(past), 5) for _ in range(2)]
        assert [event.Action for event in events] == ["die", "destroy"]
        assert events[0].Actor["Attributes"]["exitCode"] == "137"


async def test_a_volume_directory_without_a_record_is_swept(
    make_engine: Callable[[], CoreEngine], tmp_path: Path
) -> None:
    """What a worker leaves that dies between the two halves of a removal."""
    first = make_engine()
    await first.open()
    await first.create_volume({"Name": "kept"})
    await first.close()
    (tmp_path / "data/volumes/removed/_data").mkdir(parents=True)
    second = make_engine()
    await second.open()
    assert [path.name for path in (tmp_path / "data/volumes").iterdir()] == ["kept"]
    await second.close()


async def test_one_worker_per_directory(make_engine: Callable[[], CoreEngine], core: CoreEngine) -> None:
    with pytest.raises(Unavailable, match=r"is in use by another worker$"):
        make_engine()


async def test_killed_at_any_moment_the_journal_and_the_disk_agree(tmp_path: Path, images: Store) -> None:
    """Kill the worker while it creates, runs and removes; nothing is lost or left over afterwards."""
    for round_ in range(3):
        async with worker(tmp_path) as client:
            shop = Shop(client)
            busy = [asyncio.create_task(_churn(shop, f"r{round_}x{number}")) for number in range(3)]
            await asyncio.sleep(0.05 + 0.07 * round_)
            for task in busy:
                task.cancel()
            await asyncio.gather(*busy, return_exceptions=True)
    async with worker(tmp_path) as client:
        rows = await client.list_containers(True, 0, False, {})
        assert {row.state for row in rows} <= {"created", "exited"}
        assert {path.name for path in (tmp_path / "data/containers").iterdir()} == {row.id for row in rows}
        for row in rows:
            await client.remove_container(row.id)
        assert list((tmp_path / "data/containers").iterdir()) == []


async def _churn(shop: Shop, name: str) -> None:
    while True:
        found, _ = await shop.run("true", name=name)
        await shop.engine.remove_container(found)
