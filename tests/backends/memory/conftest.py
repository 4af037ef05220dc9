"""A real memory worker in a process of its own, shared by the tests of this folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from backends.api.client import EngineClient
from backends.api.engine import Engine
from sandbox.wasm.userland.store import current, default_cache
from tests.backends.core.conftest import Shop

ROOT = Path(__file__).resolve().parents[3]
IMAGE = "sockerless/base"


class Worker:
    """One worker process over a data directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.socket = root / "socket"
        self.ready: dict[str, object] = {}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it says that it is ready."""
        userland = current(default_cache(os.environ))
        places = {"--socket": self.socket, "--data": self.root / "data", "--userland": userland}
        command = [sys.executable, "-m", "backends.memory"]
        command += [str(part) for pair in places.items() for part in pair]
        self.process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE)
        assert self.process.stderr is not None
        line = self.process.stderr.readline()
        self.ready = msgspec.json.decode(line)
        assert self.ready["message"] == "ready", line

    def end(self, number: int = signal.SIGKILL) -> int:
        """End it by a signal; returns its exit code."""
        assert self.process is not None
        assert self.process.stderr is not None
        self.process.send_signal(number)
        code = self.process.wait(30)
        self.process.stderr.close()
        return code


@pytest.fixture
def make_worker(tmp_path: Path) -> Iterator[Callable[[], Worker]]:
    made: list[Worker] = []

    def make() -> Worker:
        worker = Worker(tmp_path)
        worker.start()
        made.append(worker)
        return worker

    yield make
    for worker in made:
        if worker.process is not None and worker.process.poll() is None:
            worker.end()


@pytest.fixture(scope="session")
def shared_worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    worker = Worker(tmp_path_factory.mktemp("memory"))
    worker.start()
    yield worker
    worker.end(signal.SIGTERM)


@pytest.fixture
async def client(shared_worker: Worker) -> AsyncIterator[Engine]:
    """The engine behind the shared worker; what a test leaves behind is removed."""
    found: Engine = EngineClient(shared_worker.socket)  # type: ignore[abstract]
    yield found
    for row in await found.list_containers(True, 0, False, {}):
        await found.remove_container(row.id, force=True, volumes=True)
    await found.prune_networks({})
    await found.prune_volumes({"all": ["true"]})


@pytest.fixture
def shop(client: Engine) -> Shop:
    return Shop(client, IMAGE)
