"""act: what decides which steps and jobs run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients import act_client
from tests.clients.engine import Engine

pytestmark = pytest.mark.oracle


def test_needs_and_outputs(engine: Engine, tmp_path: Path) -> None:
    run = act_client.run(engine, tmp_path, "needs")
    assert run.code == 0, run
    assert {name: job.result for name, job in run.jobs.items()} == {
        "first": "success",
        "second": "success",
        "third": "success",
    }
    assert run.output("third", "report") == "42 84 success\n"


def test_matrix_include_and_exclude(engine: Engine, tmp_path: Path) -> None:
    run = act_client.run(engine, tmp_path, "matrix")
    assert run.code == 0, run
    assert sorted(job.output["show"] for job in run.jobs.values()) == [
        "blue-1-\n",
        "green-9-yes please\n",
        "red-1-\n",
        "red-2-\n",
    ]
    assert [job.result for job in run.jobs.values()] == ["success"] * 4
    assert act_client.leftovers(engine) == []


def test_failure(engine: Engine, tmp_path: Path) -> None:
    run = act_client.run(engine, tmp_path, "failure")
    assert run.code == 1, run
    assert run.stderr.splitlines()[-1] == "Error: Job 'broken' failed"
    broken = run.jobs["broken"]
    assert broken.output == {
        "goes on": "failure success\n",
        "fails": "before\n",
        "on failure": "cleaning failure\n",
        "always": "always\n",
    }
    assert "exitcode '1': failure" in broken.messages
    assert broken.result == "failure"
    assert run.output("regardless", "result") == "failure\n"
    assert "unreachable" not in run.jobs.get("after", act_client.Job()).results
    assert act_client.leftovers(engine) == []
