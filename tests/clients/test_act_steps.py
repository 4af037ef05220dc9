"""act: what a step sees and says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients import act_client
from tests.clients.engine import Engine

pytestmark = pytest.mark.oracle


def test_shell_steps(engine: Engine, tmp_path: Path) -> None:
    run = act_client.run(engine, tmp_path, "shell")
    job = run.jobs["steps"]
    assert run.code == 0, run
    assert sorted(job.output.pop("standard error").splitlines()) == ["to stderr", "to stdout"]
    assert job.output == {
        "environment": "step from workflow\npush steps Linux\n",
        "job level": "job\n",
        "read environment": "one = 1\nfirst\n  second\n",
        "read output": "forty two\na\nb\n",
        "use path": "tool got argument\n",
        "summary": "# Title\n",
        "mask": "the password is ***!\n",
        "pipes": "a b c\n1,4,9\ntail -f /dev/null \n",
    }
    assert "⚙  Summary - # Title" in job.messages
    assert set(job.results.values()) == {"success"}
    assert act_client.leftovers(engine) == []


def test_shells(engine: Engine, tmp_path: Path) -> None:
    run = act_client.run(engine, tmp_path, "shells")
    assert run.code == 0, run
    assert run.jobs["shells"].output == {
        "bash": "3 THREE\nb\nno difference\nerrexit on\npipefail on\n",
        "sh": "no bash\nstatus 4\ntrapped\n",
        "custom": "unset is an error\n",
        "outcome": "failure\n",
    }


def test_defaults_and_working_directory(engine: Engine, tmp_path: Path) -> None:
    run = act_client.run(engine, tmp_path, "defaults")
    assert run.code == 0, run
    assert run.jobs["here"].output == {
        "prepare": "/tmp\n",
        "default": "sub/folder\nsh\n",
        "override": "sub\n5\n",
    }


def test_large_output_is_complete_and_in_order(engine: Engine, tmp_path: Path) -> None:
    run = act_client.run(engine, tmp_path, "large")
    assert run.code == 0, run.stderr
    assert run.output("output", "numbers").split("\n") == [*map(str, range(1, 50001)), ""]
    assert run.output("output", "long line") == "x" * 60000 + "\n"
    assert run.output("output", "after") == "after\n"


def test_default_socket_bind(engine: Engine, tmp_path: Path) -> None:
    run = act_client.run(engine, tmp_path, "socket", socket_bind=True)
    assert run.code == 0, run
    assert run.jobs["bound"].output == {"works": "with the daemon's socket\n"}
