"""testcontainers for Python and for Node: what their users write, run unmodified by their own test runners."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.engine import Engine
from tests.clients.suites import PASSED, outcomes, pytest_command
from tests.oracle.tools import VENV

pytestmark = [pytest.mark.oracle, pytest.mark.slow]
FOLDER = Path(__file__).with_name("testcontainers")
IMAGES = ("tc-node/final:1", "tc-node/kept:1")
SETTINGS = {
    "TESTCONTAINERS_RYUK_DISABLED": "true",
    # Where the tests themselves run in a container, the libraries would look for ports on its gateway.
    "TESTCONTAINERS_HOST_OVERRIDE": "localhost",
    "TESTCONTAINERS_CONNECTION_MODE": "docker_host",
}


@pytest.fixture(autouse=True)
def tidy(engine: Engine) -> Iterator[None]:
    """Removes what Ryuk would."""
    yield
    found = engine.ok("ps", "-aq", "--filter", "label=org.testcontainers=true").split()
    if found:
        engine.ok("rm", "-f", *found)
    engine.docker("rmi", "-f", *IMAGES)
    engine.ok("image", "prune", "-f")


def test_python(engine: Engine, tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    alone = ("--confcutdir", str(FOLDER), "-p", "no:asyncio", "--timeout", "120", str(FOLDER / "suite.py"))
    result = engine.run([sys.executable, *pytest_command(report, *alone)], env=SETTINGS, timeout=300)
    found = outcomes(report, result)
    assert list(found.values()) == [PASSED] * 13, result.stdout[-6000:]


def test_node(engine: Engine, tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    reporter = ("--test-reporter=junit", f"--test-reporter-destination={report}")
    result = engine.run([f"{VENV}/bin/node", "--test", *reporter, str(FOLDER / "suite.mjs")], env=SETTINGS, timeout=300)
    found = outcomes(report, result)
    assert list(found.values()) == [PASSED] * 20, report.read_text()[-6000:]
