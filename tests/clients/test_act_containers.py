"""act: jobs, steps and services that have containers of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients import act_client, images
from tests.clients.engine import Engine

pytestmark = pytest.mark.oracle


@pytest.mark.usefixtures("web")
def test_services_with_health_check_and_port(engine: Engine, tmp_path: Path) -> None:
    run = act_client.run(engine, tmp_path, "services")
    assert run.code == 0, run
    assert run.jobs["container"].output == {"by name": "hello from the service\n", "health": "healthy\n"}
    assert run.jobs["published"].output == {"by port": "hello through the port\n"}
    assert act_client.leftovers(engine) == []


def test_container_job(engine: Engine, tmp_path: Path) -> None:
    engine.ok("volume", "create", "sockerless-test-data")
    run = act_client.run(engine, tmp_path, "container")
    assert run.code == 0, run
    assert run.jobs["inside"].output == {
        "host": "boxed\n",
        "environment": "declared\n",
        "write": "1\n",
        "read": "kept\n",
    }
    kept = engine.ok("run", "--rm", "--volume", "sockerless-test-data:/data", images.BASE, "cat", "/data/file")
    assert kept == "kept"
    engine.ok("volume", "rm", "sockerless-test-data")


def test_docker_step(engine: Engine, tmp_path: Path) -> None:
    run = act_client.run(engine, tmp_path, "docker_step")
    assert run.code == 0, run
    assert run.jobs["steps"].output == {"other container": "shared\ngiven\n0\n", "outcome": "failure\n"}
    assert act_client.leftovers(engine) == []
