"""aiodocker's own test-suite, unmodified, against an appliance that takes its images from a registry on loopback."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients import hub, sources
from tests.clients.aiodocker.expected import FAILS, NOT_RUN, PASSES
from tests.clients.engine import Engine
from tests.clients.suites import FAILED, PASSED, outcomes, run_twice, those

HERE = Path(__file__).with_name("aiodocker")
TAGS = ("3.13-alpine", "3.14-alpine", "latest")


@pytest.fixture
def stocked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """An appliance whose mirror of Docker Hub has the images that the tests name, each with a `python`."""
    python = (HERE / "python.sh").read_text()
    files = {"usr/local/bin/python": python, "usr/local/bin/python3": python}
    with hub.running(tmp_path, monkeypatch) as found:
        for tag in TAGS:
            found.stock(f"python:{tag}", {"Cmd": ["python3"], "Labels": {"tag": tag}}, files)
        found.engine.ok("pull", "python")
        yield found.engine


@pytest.mark.slow
@pytest.mark.timeout(1300)
def test_own_suite(stocked: Engine, tmp_path: Path) -> None:
    folder = sources.fetch(HERE / "requirements.txt")
    command = (sys.executable, "-m", "pytest", "-q", "--timeout=60")
    fixed = ("-p", "no:cacheprovider", "-p", "loopback_registry", "-o", "addopts=", "-o", "filterwarnings=default")
    left_out = [f"--deselect={name}" if "::" in name else f"--ignore={name}" for name in NOT_RUN]

    def run(report: Path, *options: str) -> dict[str, str]:
        result = stocked.run(
            [*command, *fixed, *left_out, f"--junitxml={report}", *options, "tests"],
            cwd=folder,
            env={"PYTHONPATH": f"{folder}:{HERE}", "PYTHONDONTWRITEBYTECODE": "1"},
            timeout=600,
        )
        print(result.stdout[-20000:])
        return outcomes(report, result)

    found = run_twice(run, tmp_path, FAILS)
    assert those(found, FAILED) == list(FAILS)
    assert len(those(found, PASSED)) == PASSES
