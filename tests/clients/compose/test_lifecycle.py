"""docker compose stop, start, restart, kill, pause, rm, wait, attach, events and logs that follow."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.clients.compose.conftest import Maker
from tests.clients.compose.project import Project
from tests.oracle.tools import tool

TEXT = """
services:
  web:
    image: sockerless/base
    command: sh -c 'trap "echo bye; exit 5" TERM; trap "echo hup" HUP; echo up; while :; do sleep 0.1; done'
    volumes: ["counts:/counts"]
volumes: {counts: {}}
"""


@pytest.fixture
def project(shop: Maker) -> Project:
    """One service that runs."""
    made = shop(TEXT)
    made.ok("up", "--detach")
    with made.running("logs", "--follow", "--no-log-prefix") as logs:
        logs.until("up")
    return made


def state(project: Project) -> str:
    return project.engine.ok("inspect", "--format={{.State.Status}} {{.State.ExitCode}}", "shop-web-1")


def wait_attached(project: Project) -> None:
    """Returns once a client is attached to the container (by its id: earlier tests had others of that name)."""
    docker = Project(project.engine, project.folder, (tool("docker"),))
    container = project.engine.ok("inspect", "--format={{.Id}}", "shop-web-1")
    with docker.running("events", "--since=5m", "--filter=event=attach", f"--filter=container={container}") as events:
        events.until("attach")


@pytest.mark.oracle
def test_stop_start_restart_kill(project: Project) -> None:
    assert project.progress("stop") == ["Container shop-web-1  Stopped", "Container shop-web-1  Stopping"]
    assert state(project) == "exited 5"
    assert project.progress("start") == ["Container shop-web-1  Started", "Container shop-web-1  Starting"]
    with project.running("logs", "--follow", "--no-log-prefix", "--tail=1") as logs:
        logs.until("up")
    assert project.progress("restart") == ["Container shop-web-1  Restarting", "Container shop-web-1  Started"]
    assert project.progress("kill") == ["Container shop-web-1  Killed", "Container shop-web-1  Killing"]
    assert state(project) == "exited 137"
    assert project.ok("rm", "--force") == "Going to remove shop-web-1"
    assert project.ok("ps", "--all", "--quiet") == ""


def test_kill_with_a_signal(project: Project) -> None:
    project.ok("kill", "--signal=HUP", "web")
    with project.running("logs", "--follow", "--no-log-prefix") as logs:
        assert logs.until("hup") == ["up", "hup"]
    assert state(project) == "running 0"


def test_pause(project: Project) -> None:
    assert project.progress("pause") == ["Container shop-web-1  Paused"]
    assert state(project) == "paused 0"
    assert project.ok("ps", "--status=paused", "--format={{.Name}}") == "shop-web-1"
    assert project.progress("unpause") == ["Container shop-web-1  Unpaused"]
    assert state(project) == "running 0"


def test_logs_follow_to_the_end(project: Project) -> None:
    with project.running("logs", "--follow", "--no-color") as logs:
        assert logs.line() == "web-1  | up"
        project.ok("stop")
        ended = logs.end()
    assert (ended.code, ended.stdout.splitlines()[0]) == (0, "web-1  | bye")


@pytest.mark.oracle
def test_events(project: Project) -> None:
    container = project.engine.ok("inspect", "--format={{.Id}}", "shop-web-1")
    project.ok("exec", "-T", "web", "true")
    project.ok("stop")
    project.ok("rm", "--force")
    rows = events_of(project, container)
    actions = [row["action"].partition(":")[0] for row in rows]
    assert actions[:6] == ["create", "start", "exec_create", "exec_start", "exec_die", "kill"]
    assert sorted(actions[6:8]) == ["die", "stop"]  # dockerd 20.10 tells them in this order, 28 the other way round
    assert actions[8:] == ["destroy"]
    assert {(row["service"], row["type"]) for row in rows} == {("web", "container")}
    (die,) = (row["attributes"] for row in rows if row["action"] == "die")
    assert (die["exitCode"], die["image"], die["name"]) == ("5", "sockerless/base", "shop-web-1")


def events_of(project: Project, container: str) -> list[dict[str, Any]]:
    """All events of a container that was removed. The project's earlier containers, of other tests, are left out."""
    rows: list[dict[str, Any]] = []
    with project.running("events", "--json", "--since=5m") as events:
        while not rows or rows[-1]["action"] != "destroy":
            row = json.loads(events.line())
            rows += [row] if row["id"] == container else []
    return rows


def test_attach(project: Project) -> None:
    with project.running("attach", "--no-stdin", "--sig-proxy=false", "web") as attached:
        wait_attached(project)
        project.ok("stop")
        ended = attached.end()
    assert (ended.code, ended.stdout) == (5, "bye\n")


def test_an_init_has_the_main_process_end_at_once(shop: Maker) -> None:
    made = shop("services: {web: {image: sockerless/base, command: sleep 1000, init: true, stop_grace_period: 10m}}")
    made.ok("up", "--detach")
    made.ok("stop")
    assert state(made) == "exited 143"
