"""act: a step that takes too long is ended and its container removed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients import act_client
from tests.clients.engine import Engine


@pytest.mark.slow
def test_step_timeout(engine: Engine, tmp_path: Path) -> None:
    """act counts timeouts in whole minutes, so this takes one; dockerd, on which it passes too, is spared it."""
    run = act_client.run(engine, tmp_path, "timeout")
    assert run.code == 1, run
    assert run.jobs["slow"].output == {"too long": "started\n", "afterwards": "afterwards\n"}
    assert run.jobs["slow"].results["too long"] == "failure"
    assert run.jobs["slow"].result == "failure"
    assert act_client.leftovers(engine) == []
