"""Restart policies and health checks."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from backends.api import types as t
from backends.api.errors import Conflict, EngineError, NotModified
from backends.core.config import Healthcheck
from backends.core.engine import CoreEngine
from backends.core.health import judge, plan
from backends.core.hostconfig import HostConfig, RestartPolicy
from backends.core.records import ContainerRecord, HealthRecord, ProbeRecord
from backends.core.restart import at_worker_start, back_off, wanted
from tests.backends.core.conftest import Shop


def record(restart_count: int = 0, manually_stopped: bool = False, has_run: bool = False) -> ContainerRecord:
    return ContainerRecord(
        id="1", name="x", created=1, image="", path="x", args=[], config={}, host_config={},
        restart_count=restart_count, manually_stopped=manually_stopped, has_run=has_run,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("policy", "retries", "code", "count", "stopped", "again"),
    [
        ("no", 0, 1, 0, False, False),
        ("always", 0, 0, 5, False, True),
        ("always", 0, 0, 5, True, False),
        ("unless-stopped", 0, 1, 0, False, True),
        ("on-failure", 0, 0, 0, False, False),
        ("on-failure", 0, 1, 99, False, True),
        ("on-failure", 2, 1, 1, False, True),
        ("on-failure", 2, 1, 2, False, False),
    ],
)
def test_wanted(policy: str, retries: int, code: int, count: int, stopped: bool, again: bool) -> None:
    host = HostConfig(restart_policy=RestartPolicy(name=policy, maximum_retry_count=retries))
    assert wanted(record(restart_count=count, manually_stopped=stopped), host, code) is again


@pytest.mark.parametrize(
    ("policy", "stopped", "was_running", "again"),
    [("always", True, False, True), ("unless-stopped", True, False, False), ("unless-stopped", False, True, True),
     ("no", False, True, False), ("on-failure", False, False, True), ("on-failure", True, False, False)],
)  # fmt: skip
def test_at_worker_start(policy: str, stopped: bool, was_running: bool, again: bool) -> None:
    host = HostConfig(restart_policy=RestartPolicy(name=policy))
    found = record(has_run=True, manually_stopped=stopped)
    found.state.exit_code = 137  # how an orderly end of the worker ends its containers too
    assert at_worker_start(found, host, was_running) is again


def test_back_off_doubles_to_a_minute_and_starts_afresh() -> None:
    pauses = [0.0]
    for _ in range(12):
        pauses.append(back_off(pauses[-1], 1.0))
    assert pauses[1:5] == [0.1, 0.2, 0.4, 0.8]
    assert pauses[-1] == 60.0
    assert back_off(60.0, 10.0) == 0.1


async def test_on_failure_gives_up_after_its_count(core: CoreEngine, shop: Shop) -> None:
    policy = {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 2}}
    found = await shop.create("sh", "-c", "echo x; exit 3", host=policy)
    events = await core.events(1, 0, {"event": ["die"]})
    await core.start_container(found)
    for _ in range(3):
        assert (await asyncio.wait_for(anext(events), 5)).Actor["Attributes"]["exitCode"] == "3"
    shown = await core.inspect_container(found)
    assert (shown.state.status, shown.restart_count) == ("exited", 2)
    assert (await shop.logs(found)).count(b"x\n") == 3


async def test_a_start_by_hand_counts_afresh(core: CoreEngine, shop: Shop) -> None:
    policy = {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 1}}
    found = await shop.create("sh", "-c", "exit 3", host=policy)
    events = await core.events(1, 0, {"event": ["die"]})
    for _ in range(2):
        await core.start_container(found)
        for _ in range(2):
            await asyncio.wait_for(anext(events), 5)
        shown = await core.inspect_container(found)
        assert (shown.state.status, shown.restart_count) == ("exited", 1)


async def test_a_container_between_two_runs_counts_as_running(core: CoreEngine, shop: Shop) -> None:
    found = await shop.create("sleep", "100", StopSignal="SIGUSR2", host={"RestartPolicy": {"Name": "always"}})
    await core.start_container(found)
    container = core.registry.find(found)
    container.back_off = 60.0
    waiting = await core.wait_container(found, "next-exit")
    container.require_alive().signal(9)
    assert (await anext(waiting)).status_code == 137
    with pytest.raises(NotModified):
        await core.start_container(found)
    await core.kill_container(found, "USR1")
    assert (await core.inspect_container(found)).state.status == "restarting"
    waiting = await core.wait_container(found, "next-exit")
    await core.kill_container(found)
    assert (await anext(waiting)).status_code == 137
    shown = await core.inspect_container(found)
    assert (shown.state.status, shown.state.exit_code) == ("exited", 137)
    assert [task.get_name() for task in core.context.tasks if task.get_name().startswith("restart")] == []


@pytest.mark.parametrize(("stop_signal", "status"), [("", "exited"), ("SIGINT", "restarting")])
async def test_what_a_signal_ends_stays_ended(core: CoreEngine, shop: Shop, stop_signal: str, status: str) -> None:
    """Any signal is meant to end a container, unless it says by which one it is stopped."""
    found = await shop.create("sleep", "100", StopSignal=stop_signal, host={"RestartPolicy": {"Name": "always"}})
    await core.start_container(found)
    core.registry.find(found).back_off = 60.0
    waiting = await core.wait_container(found, "next-exit")
    await core.kill_container(found, "USR1")  # not HUP, which processes under nohup are deaf to
    assert (await anext(waiting)).status_code == 138
    assert (await core.inspect_container(found)).state.status == status


@pytest.mark.parametrize(("stop_signal", "paused"), [("", False), ("SIGWINCH", False), ("SIGINT", True)])
async def test_a_signal_resumes_what_it_is_to_end(core: CoreEngine, shop: Shop, stop_signal: str, paused: bool) -> None:
    found = await shop.create("sleep", "100", StopSignal=stop_signal)
    await core.start_container(found)
    await core.pause_container(found)
    await core.kill_container(found, "WINCH")
    assert (await core.inspect_container(found)).state.paused is paused
    await core.kill_container(found)


async def test_stop_ends_a_restart_loop(core: CoreEngine, shop: Shop) -> None:
    found = await shop.create("sh", "-c", "exit 1", host={"RestartPolicy": {"Name": "always"}})
    assert await shop.finish(found) == 1
    assert (await core.inspect_container(found)).state.status == "restarting"
    await core.stop_container(found)
    assert (await core.inspect_container(found)).state.status == "exited"
    await core.remove_container(found)


def probe(code: int) -> ProbeRecord:
    return ProbeRecord(0, 1, code, "")


def test_judgement() -> None:
    health = HealthRecord()
    assert judge(health, probe(1), 2, True) is False
    assert (health.status, health.failing_streak) == ("starting", 0)
    assert judge(health, probe(1), 2, False) is False
    assert judge(health, probe(1), 2, False) is True
    assert (health.status, health.failing_streak) == ("unhealthy", 2)
    assert judge(health, probe(0), 2, False) is True
    assert (health.status, health.failing_streak) == ("healthy", 0)
    for _ in range(9):
        judge(health, probe(0), 2, False)
    assert len(health.log) == 5


def test_plan_of_a_check() -> None:
    assert plan(Healthcheck(test=["NONE"])) is None
    assert plan(None) is None
    found = plan(Healthcheck(test=["CMD-SHELL", "ok"]))
    assert found is not None
    assert (found.argv, found.interval, found.retries) == (("/bin/sh", "-c", "ok"), 30.0, 3)


async def test_health_follows_the_probes(core: CoreEngine, shop: Shop) -> None:
    check = {"Test": ["CMD", "sh", "-c", "echo probed; test -e ok"], "Interval": 20_000_000, "Retries": 1}
    found = await shop.create("sleep", "60", Healthcheck=check)
    events = await core.events(1, 0, {"event": ["health_status"]})
    await core.start_container(found)
    assert (await core.inspect_container(found)).state.health == t.Health(status="starting")
    assert (await asyncio.wait_for(anext(events), 5)).Action == "health_status: unhealthy"
    (core.context.directory / "containers" / found / "rootfs" / "ok").touch()
    assert (await asyncio.wait_for(anext(events), 5)).Action == "health_status: healthy"
    health = (await core.inspect_container(found)).state.health
    assert isinstance(health, t.Health)
    assert health.log[-1].output == "probed\n"
    assert (await core.list_containers(True, 0, False, {}))[0].status.endswith("(healthy)")


async def test_pause(core: CoreEngine, shop: Shop) -> None:
    found = await shop.create("sleep", "60", name="pc")
    with pytest.raises(Conflict, match=rf"^container {found} is not running$"):
        await core.pause_container("pc")
    await core.start_container("pc")
    await core.pause_container("pc")
    for act, message in (
        (core.pause_container("pc"), f"container {found} is already paused"),
        (core.create_exec("pc", t.CreateExec(cmd=["x"])), "Container pc is paused, unpause the container before exec"),
        (core.attach_container("pc", t.AttachOptions()), "container pc is paused, unpause the container before attach"),
    ):
        with pytest.raises(Conflict) as refused:
            await act
        assert refused.value.message == message
    assert (await core.inspect_container("pc")).state.paused
    await core.kill_container("pc")
    assert (await core.inspect_container("pc")).state.exit_code == 137


async def test_a_restart_is_no_end_for_what_removes_itself(core: CoreEngine, shop: Shop) -> None:
    found = await shop.create("sleep", "100", host={"AutoRemove": True})
    await core.start_container(found)
    await core.restart_container(found, timeout=0)
    assert (await core.inspect_container(found)).state.status == "running"
    removed = await core.wait_container(found, "removed")
    await core.kill_container(found)
    assert (await asyncio.wait_for(anext(removed), 5)).status_code == 137


async def test_what_removes_itself_goes_when_it_cannot_restart(core: CoreEngine, shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    mount = {"Type": "bind", "Source": str(tmp_path / "source"), "Target": "/data"}
    found = await shop.create("sleep", "100", host={"AutoRemove": True, "Mounts": [mount]})
    await core.start_container(found)
    (tmp_path / "source").rmdir()
    removed = await core.wait_container(found, "removed")
    with pytest.raises(EngineError, match=r"bind source path does not exist"):
        await core.restart_container(found, timeout=0)
    await asyncio.wait_for(anext(removed), 5)
