"""Runs unmodified gitlab-ci-local on a pipeline of tests/clients/gcl and reads what it prints."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.clients import act_client, images
from tests.clients.engine import Engine
from tests.oracle.tools import MissingTool, tool, venv_tool

FOLDER = Path(__file__).parent
PIPELINES = FOLDER / "gcl"
PROGRAM = FOLDER / "node_modules/gitlab-ci-local/dist/index.js"
WAIT_IMAGE = "sockerless-test/wait-for-it:latest"
OUTPUT = re.compile(r"^(\S[^$]*?) +> ?(.*)$")
FINISHED = re.compile(
    r"^(?!pipeline )(\S.*?) +finished in [\d.]+ (?:ms|s|min)(?: +(FAIL|WARN) (\d+))? *$", re.MULTILINE
)
WAITING = "still running..."
"""What it says itself every ten seconds."""
WAIT = """#!/bin/sh
# wait-for-it HOST:PORT -t SECONDS
host=${1%:*} port=${1#*:} left=$(($3 * 10))
until nc "$host" "$port" < /dev/null > /dev/null 2>&1; do
  left=$((left - 1))
  [ "$left" -gt 0 ] || { echo "no answer from $1" >&2; exit 1; }
  sleep 0.1
done
"""


@dataclass(frozen=True)
class Run:
    """A finished gitlab-ci-local: exit code, all it printed, and each job's lines on standard output and error."""

    code: int
    text: str
    jobs: dict[str, list[str]]
    errors: dict[str, list[str]]

    def results(self) -> dict[str, str]:
        """How each job ended: "PASS", or the verdict and the exit code of its script, as "FAIL 3" or "WARN 7"."""
        return {name: f"{verdict} {code}" if verdict else "PASS" for name, verdict, code in FINISHED.findall(self.text)}


def run(engine: Engine, folder: Path, pipeline: str, *arguments: str, timeout: float = 180) -> Run:
    """Runs `gcl/<pipeline>` in a new git work tree at `folder`."""
    if not PROGRAM.exists():
        raise MissingTool(f"{PROGRAM} does not exist: npm ci --prefix {FOLDER}")
    tool("rsync")
    shutil.copytree(PIPELINES / pipeline, folder, dirs_exist_ok=True)
    act_client.project(folder)
    images.derive(engine, WAIT_IMAGE, {"Entrypoint": ["/bin/wait-for-it"], "Cmd": None}, {"bin/wait-for-it": WAIT})
    command = [
        venv_tool("node"), str(PROGRAM), "--no-color", "--pull-policy", "if-not-present", "--helper-image", images.BASE,
        "--wait-image", WAIT_IMAGE, "--shell-executor-no-image=false", *arguments,
    ]  # fmt: skip
    result = engine.run(command, cwd=folder, timeout=timeout)
    return Run(result.code, result.stdout + result.stderr, _jobs(result.stdout), _jobs(result.stderr))


def _jobs(text: str) -> dict[str, list[str]]:
    jobs: dict[str, list[str]] = {}
    for line in text.splitlines():
        found = OUTPUT.match(line)
        if found and found[2] != WAITING:
            jobs.setdefault(found[1], []).append(found[2])
    return jobs
