"""docker-py's own integration tests, unmodified, against an appliance whose images come from a loopback registry."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients import hub, sources
from tests.clients.dockerpy.expected import FAILS, FILES, NOT_RUN, PASSES
from tests.clients.engine import Engine
from tests.clients.suites import FAILED, PASSED, outcomes, run_twice, those

HERE = Path(__file__).with_name("dockerpy")
ALPINE = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\npostgres:x:70:70::/var/lib/postgresql:/bin/sh\n",
    "var/opt/.keep": "",
}
"""Of the image's files those that the tests count on."""
IMAGES = ("alpine:latest", "alpine:3.10", "busybox:latest", "hello-world:latest")


@pytest.fixture
def stocked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """An appliance with the images that the tests name, each one of its own."""
    with hub.running(tmp_path, monkeypatch) as found:
        for name in IMAGES:
            found.stock(name, {"Labels": {"name": name}}, ALPINE)
            found.engine.ok("pull", name)
        yield found.engine


@pytest.mark.slow
@pytest.mark.timeout(1300)
def test_own_suite(stocked: Engine, tmp_path: Path) -> None:
    folder = sources.fetch(HERE / "requirements.txt", "tests")
    fixed = ("-p", "no:cacheprovider", "-c", "/dev/null", f"--rootdir={folder}", "--timeout=60", "-q", "--tb=short")
    left_out = [f"--deselect={file}::{name}" for name in NOT_RUN for file in FILES]

    def run(report: Path, *options: str) -> dict[str, str]:
        result = stocked.run(
            [sys.executable, "-m", "pytest", *fixed, f"--junitxml={report}", *left_out, *options, *FILES],
            cwd=folder,
            env={"PYTHONPATH": str(HERE), "PYTHONDONTWRITEBYTECODE": "1"},
            timeout=600,
        )
        print(result.stdout[-30000:])
        return outcomes(report, result, classes=True)

    found = run_twice(run, tmp_path, FAILS)
    assert those(found, FAILED) == list(FAILS)
    assert len(those(found, PASSED)) == PASSES
