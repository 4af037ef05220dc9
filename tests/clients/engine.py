"""One Docker engine under test, ours or the reference, and the clients' way of talking to it."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.oracle.tools import SEARCH, VENV, tool

ROOT = Path(__file__).resolve().parents[2]
HOST_VARIABLE = "SOCKERLESS_TEST_HOST"
HOST_LINE = re.compile(r"DOCKER_HOST=(\S+)")


@dataclass(frozen=True)
class Result:
    """What a finished command left."""

    code: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Engine:
    """An engine at `host` (a DOCKER_HOST). Commands run behind `prefix`: its published ports are on their loopback."""

    name: str
    host: str
    home: Path
    prefix: tuple[str, ...] = ()

    @property
    def socket(self) -> str:
        return self.host.removeprefix("unix://")

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """A clean environment: nothing of the caller's but what is named here."""
        fixed = {
            "PATH": f"{VENV}/bin:{SEARCH}",
            "HOME": str(self.home),
            "DOCKER_CONFIG": str(self.home / ".docker"),
            "DOCKER_HOST": self.host,
            "LANG": "C.UTF-8",
            "TZ": "UTC",
        }
        return {**fixed, **(extra or {})}

    def run(
        self,
        command: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        input: str = "",
        timeout: float = 120,
    ) -> Result:
        """Runs a client to its end. Raises subprocess.TimeoutExpired (with its output) after `timeout` seconds."""
        done = subprocess.run(
            [*self.prefix, *command], cwd=cwd or self.home, env=self.environment(env), input=input.encode(),
            capture_output=True, timeout=timeout, check=False,
        )  # fmt: skip
        return Result(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))

    def docker(self, *arguments: str, input: str = "", timeout: float = 60) -> Result:
        """One docker CLI command."""
        return self.run([tool("docker"), *arguments], input=input, timeout=timeout)

    def ok(self, *arguments: str, input: str = "") -> str:
        """The standard output of a docker CLI command that has to succeed, without the last newline."""
        result = self.docker(*arguments, input=input)
        assert result.code == 0, f"docker {' '.join(arguments)}: {result}"
        return result.stdout.removesuffix("\n")


@contextlib.contextmanager
def appliance() -> Iterator[str]:
    """Ours: the DOCKER_HOST of an appliance started in a new folder, or the one that SOCKERLESS_TEST_HOST gives."""
    given = os.environ.get(HOST_VARIABLE)
    if given:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="sockerless-ours-") as folder:
        places = ("--data-dir", f"{folder}/data", "--run-dir", f"{folder}/run")
        try:
            yield _host(_appliance("up", *places))
        finally:
            _appliance("down", *places)


def _host(output: str) -> str:
    found = HOST_LINE.search(output)
    assert found, f"sockerless up printed no DOCKER_HOST: {output!r}"
    return found[1]


def _appliance(*arguments: str) -> str:
    """Runs its command line. HOME and SOCKERLESS_* are the caller's: the sandbox's programs are in their cache."""
    ours = {name: value for name, value in os.environ.items() if name.startswith(("SOCKERLESS_", "XDG_", "HOME"))}
    environment = {"PATH": f"{VENV}/bin:{SEARCH}", "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8", **ours}
    command = [sys.executable, "-m", "appliance", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout
