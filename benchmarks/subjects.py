"""The two engines that are compared, each started for the measurement alone."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.clients.engine import ROOT, Engine
from tests.oracle import daemon

PROCESS = re.compile(r"^(\w+) +(?:RUNNING|STARTING) +pid (\d+)", re.MULTILINE)


@dataclass(frozen=True)
class Subject:
    """A running engine; `started` is the seconds that its start took; `processes` gives the pids by their role."""

    engine: Engine
    started: float
    processes: Callable[[], dict[str, int]]

    def memory(self, role: str) -> float:
        """Resident memory of a process in MB (10^6 bytes)."""
        status = Path(f"/proc/{self.processes()[role]}/status").read_text()
        found = re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)
        assert found
        return int(found[1]) * 1024 / 1e6


@contextlib.contextmanager
def ours() -> Iterator[Subject]:
    """The appliance with the memory backend, in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="sockerless-bench-") as folder:
        places = ["--data-dir", f"{folder}/data", "--run-dir", f"{folder}/run"]
        home = Path(folder, "home")
        home.mkdir()
        try:
            start = time.perf_counter()
            _appliance("up", *places)
            started = time.perf_counter() - start
            engine = Engine("ours", f"unix://{folder}/run/docker.sock", home)
            yield Subject(engine, started, lambda: _roles(_appliance("status", *places)))
        finally:
            _appliance("down", *places)


@contextlib.contextmanager
def theirs() -> Iterator[Subject]:
    """Debian's dockerd. Its containerd is set against our worker: what runs the containers."""
    with tempfile.TemporaryDirectory(prefix="sockerless-bench-") as home:
        start = time.perf_counter()
        with daemon.running(base_image=False) as oracle:
            started = time.perf_counter() - start
            daemon.add_base_image(oracle)
            yield Subject(Engine("theirs", oracle.host, Path(home), oracle.prefix), started, oracle.processes)


def _roles(status: str) -> dict[str, int]:
    pids = {name: int(pid) for name, pid in PROCESS.findall(status)}
    return {"frontend": pids["frontend"], "worker": pids["memory"]}


def _appliance(*arguments: str) -> str:
    command = [sys.executable, "-m", "appliance", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout
