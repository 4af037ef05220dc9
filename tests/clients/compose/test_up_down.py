"""docker compose up and down: what is made, made anew, left alone and removed."""

from __future__ import annotations

import json
import re

import pytest

from tests.clients.compose.conftest import Maker, left
from tests.clients.compose.project import Project, notes

SLEEPER = """
services:
  web:
    image: sockerless/base
    command: sleep 1000
    stop_grace_period: 0s
    environment: {COLOUR: "${COLOUR:-red}"}
  cache:
    image: sockerless/base
    command: sleep 1000
    stop_grace_period: 0s
    volumes: [data:/data]
volumes: {data: {}}
"""


def states(project: Project) -> dict[str, str]:
    """Each container's name and state, as `ps --all` says."""
    lines = project.ok("ps", "--all", "--format=json").splitlines()
    return {row["Name"]: row["State"] for row in map(json.loads, lines)}


def ids(project: Project) -> dict[str, str]:
    lines = project.ok("ps", "--all", "--format=json").splitlines()
    return {row["Service"]: row["ID"] for row in map(json.loads, lines)}


@pytest.mark.oracle
def test_up_and_down_say_what_they_do(shop: Maker) -> None:
    project = shop(SLEEPER)
    assert project.progress("up", "--detach") == [
        "Container shop-cache-1  Created", "Container shop-cache-1  Creating",
        "Container shop-cache-1  Started", "Container shop-cache-1  Starting",
        "Container shop-web-1  Created", "Container shop-web-1  Creating",
        "Container shop-web-1  Started", "Container shop-web-1  Starting",
        "Network shop_default  Created", "Network shop_default  Creating",
        "Volume shop_data  Created", "Volume shop_data  Creating",
    ]  # fmt: skip
    assert sorted(left(project.engine)) == ["shop-cache-1", "shop-web-1", "shop_data", "shop_default"]
    assert project.progress("down") == [
        "Container shop-cache-1  Removed", "Container shop-cache-1  Removing",
        "Container shop-cache-1  Stopped", "Container shop-cache-1  Stopping",
        "Container shop-web-1  Removed", "Container shop-web-1  Removing",
        "Container shop-web-1  Stopped", "Container shop-web-1  Stopping",
        "Network shop_default  Removed", "Network shop_default  Removing",
    ]  # fmt: skip
    assert left(project.engine) == ["shop_data"]
    assert project.progress("down", "--volumes") == ["Volume shop_data  Removed", "Volume shop_data  Removing"]


@pytest.mark.oracle
def test_only_what_changed_is_made_anew(shop: Maker) -> None:
    project = shop(SLEEPER)
    project.ok("up", "--detach")
    before = ids(project)
    assert project.progress("up", "--detach") == ["Container shop-cache-1  Running", "Container shop-web-1  Running"]
    project.write(".env", "COLOUR=blue\n")
    assert project.progress("up", "--detach") == [
        "Container shop-cache-1  Running", "Container shop-web-1  Recreate", "Container shop-web-1  Recreated",
        "Container shop-web-1  Started", "Container shop-web-1  Starting",
    ]  # fmt: skip
    assert project.sh("web", "echo $COLOUR") == "blue"
    after = ids(project)
    assert after["cache"] == before["cache"]
    assert after["web"] != before["web"]
    project.ok("up", "--detach", "--force-recreate", "--no-deps", "cache")
    assert ids(project)["cache"] != before["cache"]


def test_orphans_are_named_and_removed(shop: Maker) -> None:
    project = shop(SLEEPER)
    project.ok("up", "--detach")
    project.write("compose.yaml", SLEEPER.replace("  cache:", "  store:"))
    result = project.compose("up", "--detach", "--no-start")
    assert result.code == 0
    assert "Found orphan containers ([shop-cache-1]) for this project." in result.stderr
    assert states(project) == {"shop-cache-1": "running", "shop-store-1": "created", "shop-web-1": "running"}
    assert "Container shop-cache-1  Removed" in project.progress("up", "--detach", "--remove-orphans")
    assert states(project) == {"shop-store-1": "running", "shop-web-1": "running"}


def test_down_removes_images(shop: Maker) -> None:
    project = shop("services: {web: {image: 'shop-test/web:1', command: sleep 1000, stop_grace_period: 0s}}")
    project.engine.ok("tag", "sockerless/base", "shop-test/web:1")
    project.ok("up", "--detach")
    done = project.progress("down", "--rmi", "all")
    assert [note for note in done if note.startswith("Image")] == [
        "Image shop-test/web:1  Removed",
        "Image shop-test/web:1  Removing",
    ]
    assert project.engine.ok("images", "--quiet", "shop-test/web") == ""


def test_scale(shop: Maker) -> None:
    project = shop(SLEEPER)
    project.ok("up", "--detach", "--scale", "web=3", "web")
    assert states(project) == {f"shop-web-{number}": "running" for number in (1, 2, 3)}
    second = project.engine.ok("inspect", "--format={{.Config.Hostname}}", "shop-web-2")
    assert project.ok("exec", "-T", "--index=2", "web", "hostname") == second
    project.ok("scale", "web=1")
    assert states(project) == {"shop-web-1": "running"}


def test_replicas(shop: Maker) -> None:
    project = shop(SLEEPER.replace("  cache:", "    deploy: {replicas: 2}\n  cache:"))
    project.ok("up", "--detach")
    assert states(project) == {"shop-cache-1": "running", "shop-web-1": "running", "shop-web-2": "running"}


def test_profiles(shop: Maker) -> None:
    project = shop(SLEEPER.replace("  cache:", "    profiles: [front]\n  cache:"))
    project.ok("up", "--detach")
    assert states(project) == {"shop-cache-1": "running"}
    project.ok("--profile", "front", "up", "--detach")
    assert states(project) == {"shop-cache-1": "running", "shop-web-1": "running"}


CLEAR_LINE = "\r\x1b[K"
PADDING = re.compile(r" +\|")
"""Behind a container's name, as wide as those that compose knows by then."""
ENDING = """
services:
  test:
    image: sockerless/base
    command: sh -c 'sleep 0.5; echo testing; exit 3'  # compose subscribes to events beside the start
    depends_on: [server]
  server:
    image: sockerless/base
    command: sh -c 'trap "echo bye; exit 0" TERM; echo serving; while :; do sleep 0.1; done'
"""


@pytest.mark.oracle
@pytest.mark.parametrize("option", ["--abort-on-container-exit", "--exit-code-from=test"])
def test_up_ends_with_a_container(shop: Maker, option: str) -> None:
    project = shop(ENDING)
    result = project.compose("up", "--no-color", option)
    lines = PADDING.sub(" |", result.stdout.replace(CLEAR_LINE, "")).splitlines()
    assert (result.code, lines[0]) == (3, "Attaching to server-1, test-1")
    assert sorted(lines[1:]) == sorted([
        "server-1 | serving", "test-1 | testing", "test-1 exited with code 3",
        "server-1 | bye", "server-1 exited with code 0",
    ])  # fmt: skip
    assert states(project) == {"shop-server-1": "exited", "shop-test-1": "exited"}


def test_ctrl_c_stops_the_containers(shop: Maker) -> None:
    project = shop(ENDING)
    with project.running("up", "--no-color", "server") as up:
        assert up.until("serving") == ["Attaching to server-1", "server-1  | serving"]
        up.interrupt()
        ended = up.end()
    assert ended.code == 130
    assert ended.stdout.splitlines()[0] == "Gracefully Stopping... press Ctrl+C again to force"
    assert project.engine.ok("inspect", "--format={{.State.Status}} {{.State.ExitCode}}", "shop-server-1") == "exited 0"
    assert project.ok("logs", "--no-log-prefix", "server") == "serving\nbye"


@pytest.mark.oracle
def test_up_waits_for_health(shop: Maker) -> None:
    project = shop("""
services:
  good:
    image: sockerless/base
    command: sh -c 'sleep 0.3; touch /ready; exec sleep 1000'
    stop_grace_period: 0s
    healthcheck: {test: test -e /ready, interval: 200ms, retries: 100}
  bad:
    image: sockerless/base
    command: sleep 1000
    stop_grace_period: 0s
    healthcheck: {test: exit 1, interval: 200ms, retries: 2}
""")
    assert "Container shop-good-1  Healthy" in project.progress("up", "--wait", "good")
    result = project.compose("up", "--wait", "bad")
    assert result.code == 1
    assert notes(result.stderr)[-1] == "container shop-bad-1 is unhealthy"
    assert "(unhealthy)" in project.ok("ps", "bad")
