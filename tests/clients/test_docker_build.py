"""docker build and docker commit by the real CLI: word for word as dockerd, whose transcripts are in builds/.

The transcripts are recorded by ``pytest tests/clients/test_docker_build.py --engine oracle`` with RECORD_BUILDS=1.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.clients.builds.case import Case, transcript
from tests.clients.builds.cases import CASES
from tests.clients.builds.differences import BY_CASE, expected
from tests.clients.engine import Engine

RECORDED = Path(__file__).parent / "builds" / "dockerd.json"


def recorded() -> dict[str, str]:
    found: dict[str, str] = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
    return found


@pytest.mark.oracle
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_transcript(engine: Engine, case: Case, tmp_path: Path) -> None:
    said = transcript(case, engine, tmp_path)
    if engine.name == "oracle" and os.environ.get("RECORD_BUILDS"):
        RECORDED.write_text(json.dumps({**recorded(), case.name: said}, indent=1, sort_keys=True) + "\n")
    wanted = recorded()[case.name]
    assert said == (wanted if engine.name == "oracle" else expected(case.name, wanted))


def test_every_difference_is_of_a_case() -> None:
    assert BY_CASE.keys() - {case.name for case in CASES} == set()
    assert recorded().keys() == {case.name for case in CASES}
