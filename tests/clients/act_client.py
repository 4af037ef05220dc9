"""Runs unmodified act on a workflow of tests/clients/act and reads what it reports (`--json`, one object a line)."""

from __future__ import annotations

import json
import shutil
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.clients.engine import Engine
from tests.oracle.tools import tool, venv_tool

SECONDS = 180.0
WORKFLOWS = Path(__file__).parent / "act"
IDENTITY = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "t"), ("EMAIL", "t@localhost"), ("DATE", "2026-01-01T00:00:00Z"))
}


@dataclass
class Job:
    """What act reports of one job: its result, and each step's result and output by the step's name."""

    result: str = "not run"
    results: dict[str, str] = field(default_factory=dict)
    output: dict[str, str] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)


@dataclass
class Run:
    """A finished act: exit code, standard error, and the jobs by their names (without the workflow's name)."""

    code: int
    stderr: str
    jobs: dict[str, Job]

    def output(self, job: str, step: str) -> str:
        return self.jobs[job].output.get(step, "")


def project(folder: Path) -> Path:
    """A git work tree in `folder` with what is already in it committed, and a remote, as act expects."""
    git = tool("git")
    for command in (
        ["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "--allow-empty", "-m", "test"],
        ["remote", "add", "origin", "http://localhost/owner/repo.git"],
    ):  # fmt: skip
        _git(git, folder, command)
    return folder


def run(
    engine: Engine, folder: Path, workflow: str, *flags: str, socket_bind: bool = False, workflows: Path = WORKFLOWS
) -> Run:
    """Runs `<workflow>.yml` in a new git tree at `folder` that holds the files of the folder `<workflow>`, if any."""
    tree = workflows / workflow
    if tree.is_dir():
        shutil.copytree(tree, folder, dirs_exist_ok=True)
    project(folder)
    command = [
        venv_tool("act"), "push", "--json", "--workflows", str(workflows / f"{workflow}.yml"),
        "--platform", "ubuntu-latest=sockerless/base:latest", "--pull=false", "--no-cache-server", "--rm",
        *([] if socket_bind else ["--container-daemon-socket", "-"]), *flags,
    ]  # fmt: skip
    result = engine.run(command, cwd=folder, env={"XDG_CACHE_HOME": str(engine.home / "cache")}, timeout=SECONDS)
    return Run(result.code, result.stderr, _jobs(result.stdout))


def free_port() -> int:
    """A TCP port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def leftovers(engine: Engine) -> list[str]:
    """Containers, networks and volumes that act has not removed. Its shared tool cache stays by design."""
    containers = engine.ok("ps", "--all", "--filter", "name=act-", "--format", "container {{.Names}}")
    networks = engine.ok("network", "ls", "--filter", "name=act-", "--format", "network {{.Name}}")
    volumes = engine.ok("volume", "ls", "--filter", "name=act-", "--format", "volume {{.Name}}")
    found = f"{containers}\n{networks}\n{volumes}".split("\n")
    return [line for line in found if line not in ("", "volume act-toolcache")]


def _git(git: str, folder: Path, command: list[str]) -> None:
    engine = Engine("git", "", folder)
    result = engine.run([git, *command], cwd=folder, env=IDENTITY)
    assert result.code == 0, f"git {command}: {result}"


def _jobs(output: str) -> dict[str, Job]:
    jobs: dict[str, Job] = {}
    for line in output.splitlines():
        event = json.loads(line)
        if "job" in event:
            _apply(jobs.setdefault(event["job"].partition("/")[2].strip(), Job()), event)
    return jobs


def _apply(job: Job, event: dict[str, Any]) -> None:
    step = event.get("step", "")
    if event.get("raw_output"):
        job.output[step] = job.output.get(step, "") + event["msg"]
    else:
        job.messages.append(event["msg"].strip())
    if "stepResult" in event:
        job.results[step] = event["stepResult"]
    if "jobResult" in event:
        job.result = event["jobResult"]
