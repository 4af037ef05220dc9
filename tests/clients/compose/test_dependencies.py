"""depends_on with conditions: who waits for whom, and what is said when a dependency fails."""

from __future__ import annotations

import pytest

from tests.clients.compose.conftest import Maker
from tests.clients.compose.project import Project, notes

HEALTHY = """
services:
  app:
    image: sockerless/base
    command: sh -c 'cat /shared/*; exec sleep 1000'
    stop_grace_period: 0s
    volumes: [shared:/shared]
    depends_on:
      server: {condition: service_healthy, restart: true}
      seed: {condition: service_completed_successfully}
  seed:
    image: sockerless/base
    command: sh -c 'sleep 0.3; echo seeded > /shared/2-seed'
    volumes: [shared:/shared]
  server:
    image: sockerless/base
    command: sh -c 'sleep 0.5; echo ready > /shared/1-server; exec sleep 1000'
    stop_grace_period: 0s
    volumes: [shared:/shared]
    healthcheck: {test: [CMD, test, -e, /shared/1-server], interval: 200ms, timeout: 30s, retries: 100}
volumes: {shared: {}}
"""


@pytest.mark.oracle
def test_health_and_completion_are_waited_for(shop: Maker) -> None:
    project = shop(HEALTHY)
    done = project.progress("up", "--detach")
    assert {"Container shop-server-1  Healthy", "Container shop-seed-1  Exited"} <= set(done)
    with project.running("logs", "--follow", "--no-color", "app") as logs:
        assert [logs.line(), logs.line()] == ["app-1  | ready", "app-1  | seeded"]
    assert project.ok("ps", "--format={{.Service}} {{.Health}}").splitlines() == ["app ", "server healthy"]
    before = started(project)
    project.ok("restart", "server")
    assert started(project) != before


def started(project: Project) -> str:
    return project.engine.ok("inspect", "--format={{.State.StartedAt}}", "shop-app-1")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "/shared/1-server], interval: 200ms, timeout: 30s, retries: 100",
            "/never], interval: 200ms, timeout: 30s, retries: 2",
            "dependency failed to start: container shop-server-1 is unhealthy",
        ),
        ("sleep 0.3; echo", "exit 3; echo", 'service "seed" didn\'t complete successfully: exit 3'),
    ],
)
def test_a_dependency_fails(shop: Maker, old: str, new: str, said: str) -> None:
    project = shop(HEALTHY.replace(old, new))
    result = project.compose("up", "--detach")
    assert (result.code, notes(result.stderr)[-1]) == (1, said)
    assert project.ok("ps", "--all", "--format={{.Service}} {{.State}}", "app") == "app created"


def test_an_optional_dependency_may_fail(shop: Maker) -> None:
    text = HEALTHY.replace("completed_successfully}", "completed_successfully, required: false}")
    project = shop(text.replace("sleep 0.3; echo", "exit 3; echo"))
    project.ok("up", "--detach")
    assert project.ok("ps", "--format={{.Service}} {{.State}}", "app") == "app running"


def test_a_health_check_of_a_service_that_serves(shop: Maker) -> None:
    project = shop("""
services:
  web:
    image: sockerless/base
    command: sh -c 'mkdir /www; echo hello > /www/index.html; exec httpd -f -p 8080 -h /www'
    stop_grace_period: 0s
    healthcheck: {test: wget -qO- http://127.0.0.1:8080/, interval: 200ms, timeout: 30s, retries: 100}
  test:
    image: sockerless/base
    command: wget -qO- http://web:8080/
    depends_on: {web: {condition: service_healthy}}
""")
    result = project.compose("up", "--no-color", "--no-log-prefix", "--attach=test", "--exit-code-from=test")
    assert result.code == 0
    assert "hello" in result.stdout.splitlines()
