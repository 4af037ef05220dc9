"""The docker worker and a frontend as processes, in front of an engine."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.clients.engine import ROOT, Engine
from tests.oracle.daemon import ping
from tests.oracle.tools import SEARCH, VENV

START_SECONDS = 30.0


@contextlib.contextmanager
def processes(*commands: list[str]) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Our programs (``python -m`` …), ended at the end."""
    environment = {"PATH": f"{VENV}/bin:{SEARCH}", "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8"}
    running = [subprocess.Popen([sys.executable, "-m", *command], env=environment) for command in commands]
    try:
        yield running
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(timeout=30)


def await_answer(path: Path) -> None:
    """Return once an engine answers at ``path``."""
    deadline = time.monotonic() + START_SECONDS
    while not (path.exists() and ping(path)):
        assert time.monotonic() < deadline, f"nobody answers at {path}"
        time.sleep(0.05)


@contextlib.contextmanager
def relayed(direct: Engine, folder: Path) -> Iterator[Engine]:
    """The engine ``direct`` as it shows behind us."""
    worker, front = folder / "worker.sock", folder / "docker.sock"
    with processes(
        ["backends.docker", "--socket", str(worker), "--engine", direct.host],
        ["frontend", "--relay", f"docker={worker}", "--listen", f"unix://{front}"],
    ):
        await_answer(front)
        yield Engine("relayed", f"unix://{front}", folder, direct.prefix)
