"""One compose project in a folder of its own, and the two makes of compose that act on it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from tests.clients.engine import Engine, Result
from tests.oracle.tools import VENV, MissingTool, tool

HOME = VENV / "compose"
"""What `setup/compose` makes: docker-compose 1.29 as a virtual environment, with v2 in it as a CLI plugin."""
SECONDS = 120


def v2() -> tuple[str, ...]:
    """The command `docker compose`."""
    _installed(HOME / "cli-plugins" / "docker-compose")
    return (tool("docker"), "--config", str(HOME), "compose")


def v1() -> tuple[str, ...]:
    """The command `docker-compose` of version 1.29."""
    return (_installed(HOME / "bin" / "docker-compose"),)


def _installed(path: Path) -> str:
    if not path.exists():
        raise MissingTool(f"{path} does not exist: make setup-test")
    return str(path)


@dataclass(frozen=True)
class Project:
    """A folder with a compose.yaml; the project's name is the folder's. Commands run there, on `engine`."""

    engine: Engine
    folder: Path
    command: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)

    def write(self, path: str, text: str) -> Path:
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        return target

    def compose(self, *arguments: str, input: str = "", env: Mapping[str, str] | None = None) -> Result:
        return self.engine.run(
            [*self.command, *arguments], cwd=self.folder, env={**self.env, **(env or {})}, input=input, timeout=SECONDS
        )

    def ok(self, *arguments: str, input: str = "", env: Mapping[str, str] | None = None) -> str:
        """The standard output of a command that has to succeed, without the last newline."""
        result = self.compose(*arguments, input=input, env=env)
        assert result.code == 0, f"compose {' '.join(arguments)}: {result}"
        return result.stdout.removesuffix("\n")

    def sh(self, service: str, script: str) -> str:
        """What `script` prints in the service's container."""
        return self.ok("exec", "-T", service, "sh", "-c", script)

    def progress(self, *arguments: str) -> list[str]:
        """The sorted progress notes of a command that has to succeed: their order is that of concurrent work."""
        result = self.compose(*arguments)
        assert (result.code, result.stdout) == (0, ""), f"compose {' '.join(arguments)}: {result}"
        return sorted(notes(result.stderr))

    @contextlib.contextmanager
    def running(self, *arguments: str) -> Iterator[Running]:
        """A command that goes on until it is told to end, or the test run has; a process group of its own."""
        command = [*self.engine.prefix, tool("setpriv"), "--pdeathsig", "TERM", *self.command, *arguments]
        process = subprocess.Popen(
            command, cwd=self.folder, env=self.engine.environment(self.env), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        with process:
            try:
                yield Running(process)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGTERM)


class Running:
    """A command in the background."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def line(self) -> str:
        """The next line of standard output; empty at its end."""
        return _pipe(self._process.stdout).readline().removesuffix("\n")

    def until(self, wanted: str) -> list[str]:
        """The lines up to the first that contains `wanted`, itself included. Fails if output ends before."""
        seen = []
        while line := _pipe(self._process.stdout).readline():
            seen.append(line.removesuffix("\n"))
            if wanted in line:
                return seen
        raise AssertionError(f"no line with {wanted!r} in {seen}, then {_pipe(self._process.stderr).read()}")

    def interrupt(self) -> None:
        """Ctrl-C, to the docker CLI alone: where its output is no terminal, it tells its plugin itself.

        A plugin that also had the signal would take that for the second Ctrl-C, which kills.
        """
        self._process.send_signal(signal.SIGINT)

    def end(self) -> Result:
        """Waits for the end: the exit code and what has not been read yet."""
        stdout, stderr = self._process.communicate(timeout=SECONDS)
        return Result(self._process.returncode, stdout, stderr)


def notes(stderr: str) -> list[str]:
    """The lines of progress: ` Container shop-web-1  Started `, without the spaces around."""
    return [line.strip() for line in stderr.splitlines() if line.strip()]


def _pipe(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream
