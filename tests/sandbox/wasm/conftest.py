"""Containers for the tests of the facade: fresh ones of the base image, with the programs of the last build."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sandbox.images.tree import LowerTree
from sandbox.wasm.kernel.output import MESSAGE
from sandbox.wasm.sandbox import ExitStatus, Host, Process, ProcessSpec, Sandbox, SandboxSpec
from sandbox.wasm.trial import base_tree
from sandbox.wasm.userland.store import build, default_cache
from tests.waiting import eventually

ENVIRON = ("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "TERM=xterm")
DEADLINE = 20


@dataclass
class Ran:
    status: ExitStatus
    stdout: str
    stderr: str


def read_all(process: Process) -> tuple[bytes, bytes]:
    """(standard output, standard error) to their end; closes the descriptor."""
    assert process.output is not None
    os.set_blocking(process.output, True)
    streams = {1: b"", 2: b""}
    while message := os.read(process.output, MESSAGE + 1):
        streams[message[0]] += message[1:]
    os.close(process.output)
    return streams[1], streams[2]


def finish(process: Process) -> Ran:
    """What a process says until its end."""
    out, err = read_all(process)
    return Ran(process.wait(DEADLINE), out.decode(), err.decode())


def read_until(process: Process, text: bytes) -> bytes:
    """What a terminal shows, up to and including `text`."""
    assert process.output is not None
    shown, end = b"", time.monotonic() + DEADLINE
    while text not in shown:
        assert select.select([process.output], [], [], max(0.0, end - time.monotonic()))[0], shown
        shown += os.read(process.output, 4096)
    return shown


class Containers:
    def __init__(self, host: Host, lower: LowerTree, scratch: Path) -> None:
        self.host = host
        self.lower = lower
        self._scratch = scratch
        self._made: list[Sandbox] = []

    def make(self, **spec: object) -> Sandbox:
        """A container of the base image; keywords as in SandboxSpec."""
        number = len(self._made)
        fields: dict[str, object] = {"lower": self.lower, **spec}
        made = Sandbox(self.host, SandboxSpec(f"box{number}", "box", state=self._scratch / str(number), **fields))  # type: ignore[arg-type]
        self._made.append(made)
        return made

    def run(self, *argv: str, box: Sandbox | None = None, **how: object) -> Ran:
        """Run one command as the main process of `box` (a fresh one) to its end."""
        return finish((box or self.make()).start(spec(*argv, **how)))

    def close(self) -> None:
        for made in self._made:
            made.kill_all()
        for made in self._made:
            if (kernel := made.kernel) is not None:
                eventually(lambda kernel=kernel: not kernel.tasks, DEADLINE)  # type: ignore[misc]
            made.close()


def spec(*argv: str, **how: object) -> ProcessSpec:
    return ProcessSpec(argv, **{"env": ENVIRON, **how})  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def userland() -> Path:
    """The folder of our programs; built now if it is not there (minutes)."""
    return build(default_cache(os.environ))


@pytest.fixture(scope="session")
def host(userland: Path, tmp_path_factory: pytest.TempPathFactory) -> Host:
    made = Host(cache=default_cache(os.environ) / "wasm", userland=userland, state=tmp_path_factory.mktemp("host"))
    made.warm()
    return made


@pytest.fixture(scope="session")
def lower(userland: Path, tmp_path_factory: pytest.TempPathFactory) -> LowerTree:
    return base_tree(userland, tmp_path_factory.mktemp("base"))


@pytest.fixture
def containers(host: Host, lower: LowerTree, tmp_path: Path) -> Iterator[Containers]:
    made = Containers(host, lower, tmp_path)
    yield made
    made.close()


Shell = Callable[[str], Ran]


@pytest.fixture
def sh(containers: Containers) -> Shell:
    """Run a script with ash in a fresh container."""
    return lambda script: containers.run("sh", "-c", script)


@pytest.fixture
def bash(containers: Containers) -> Shell:
    """Run a script with bash in a fresh container."""
    return lambda script: containers.run("bash", "-c", script)
