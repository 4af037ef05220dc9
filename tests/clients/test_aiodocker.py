"""aiodocker's own test-suite, unmodified, against an appliance that takes its images from a registry on loopback."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients import images, sources
from tests.clients.aiodocker.expected import FAILS, NOT_RUN, PASSES
from tests.clients.aiodocker.loopback_registry import Registry
from tests.clients.engine import Engine, appliance
from tests.clients.suites import FAILED, PASSED, outcomes, run_twice, those

HERE = Path(__file__).with_name("aiodocker")
TAGS = ("3.13-alpine", "3.14-alpine", "latest")


@pytest.fixture
def stocked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """An appliance whose mirror of Docker Hub has the images that the tests name."""
    with Registry("registry:2", name="mirror", ports=[5000]) as mirror:
        address = f"127.0.0.1:{mirror.get_exposed_port(5000)}"
        monkeypatch.setenv("SOCKERLESS_REGISTRY_MIRRORS", f"http://{address}")
        with appliance() as host:
            engine = Engine("ours", host, tmp_path)
            for tag in TAGS:
                stock(engine, f"{address}/library/python:{tag}", tag)
            engine.ok("pull", "python")
            yield engine


def stock(engine: Engine, name: str, tag: str) -> None:
    """Pushes sockerless/base with a `python`; each tag is an image of its own."""
    python = (HERE / "python.sh").read_text()
    files = {"usr/local/bin/python": python, "usr/local/bin/python3": python}
    images.derive(engine, name, {"Cmd": ["python3"], "Labels": {"tag": tag}}, files)
    engine.ok("push", name)
    engine.ok("rmi", name)


@pytest.mark.slow
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
