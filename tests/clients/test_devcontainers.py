"""The reference implementation of development containers, @devcontainers/cli, from up to a shell inside."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.engine import Engine, Result
from tests.oracle.tools import VENV

pytestmark = [pytest.mark.oracle, pytest.mark.slow]
CLI = Path(__file__).with_name("node_modules") / "@devcontainers/cli/devcontainer.js"
PROJECTS = Path(__file__).with_name("devcontainers")
DOCKER = """#!/bin/sh
# The CLI asks for events beside its `docker run`, and waits for ever for a start that comes before they are asked for.
if [ "$1" = events ]; then
    shift
    set -- events --since $(($(date +%s) - 1)) "$@"
fi
exec docker "$@"
"""


class Project:
    """One folder with a .devcontainer, and the CLI on it."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine = engine
        self.folder = folder
        self._docker = folder.parent / "docker"
        self._docker.write_text(DOCKER)
        self._docker.chmod(0o755)

    def __call__(self, command: str, *arguments: str, input: str = "") -> Result:
        words = [f"{VENV}/bin/node", str(CLI), command, "--workspace-folder", str(self.folder), *arguments]
        return self.engine.run(words, input=input, cwd=self.folder, timeout=120)

    def up(self, *options: str) -> dict[str, Any]:
        result = self("up", "--docker-path", str(self._docker), *options)
        assert result.code == 0, result
        found: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
        return found


@pytest.fixture
def project(engine: Engine, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Project]:
    shutil.copytree(PROJECTS / request.param, tmp_path / "ws")
    yield Project(engine, tmp_path / "ws")
    label = f"label=devcontainer.local_folder={tmp_path / 'ws'}"
    found = engine.ok("ps", "-aq", "--filter", label).split()
    if found:
        engine.ok("rm", "-f", *found)
    engine.docker("volume", "rm", "devcontainer-cache")
    built = engine.ok("images", "-q", "vsc-*").split()
    if built:
        engine.ok("rmi", "-f", *sorted(set(built)))
    engine.ok("image", "prune", "-f")


@pytest.mark.parametrize("project", ["image"], indirect=True)
def test_an_image(project: Project) -> None:
    up = project.up()
    assert (up["outcome"], up["remoteUser"], up["remoteWorkspaceFolder"]) == ("success", "root", "/workspaces/ws")
    seen = project("exec", "sh", "-c", "pwd; hostname; echo $REMOTE, $BOTH, $INNER; cat /cache/order; exit 3")
    assert (seen.code, seen.stdout.split("\n")) == (
        3,
        [
            "/workspaces/ws", "dev", "of the client, of the container!, of the container",
            "on-create", "update", "post-create of the client of the container!", "post-start", "",
        ],
    )  # fmt: skip
    assert (project.folder / "made").read_text() == "hello\n"


@pytest.mark.parametrize("project", ["image"], indirect=True)
def test_up_again(project: Project) -> None:
    first = project.up()["containerId"]
    assert project.up()["containerId"] == first
    project.engine.ok("stop", "-t", "0", first)
    assert project.up()["containerId"] == first
    order = project("exec", "cat", "/cache/order").stdout.splitlines()
    assert [line.split()[0] for line in order] == ["on-create", "update", "post-create", "post-start", "post-start"]
    replaced = project.up("--remove-existing-container")["containerId"]
    assert replaced != first
    assert project.engine.docker("inspect", first).code == 1


@pytest.mark.parametrize("project", ["built"], indirect=True)
def test_a_dockerfile_with_a_feature_and_a_user(project: Project) -> None:
    up = project.up("--buildkit", "never", "--update-remote-user-uid-default", "off")
    assert (up["remoteUser"], up["remoteWorkspaceFolder"]) == ("vscode", "/work")
    seen = project("exec", "sh", "-c", "pwd; id -un; cat /tmp/who /tmp/seen; tool; echo $TOOL")
    assert seen.stdout.splitlines() == [
        "/work", "vscode", "vscode", "built with care", "tool true for vscode", "there"
    ]  # fmt: skip
    typed = project("exec", "sh", input="echo typed\nexit 4\n")
    assert (typed.code, typed.stdout) == (4, "typed\n")


@pytest.mark.parametrize("project", ["built"], indirect=True)
def test_build_only(project: Project) -> None:
    built = project("build", "--buildkit", "never", "--image-name", "dev/built:1")
    answer = json.loads(built.stdout.splitlines()[-1])
    assert (answer["outcome"], answer["imageName"]) == ("success", ["dev/built:1"])
    labels = json.loads(project.engine.ok("inspect", "-f", "{{json .Config.Labels}}", "dev/built:1"))
    assert labels["made.here"] == "yes"
    assert [entry.get("id") for entry in json.loads(labels["devcontainer.metadata"])] == ["./tool", None]
    project.engine.ok("rmi", "dev/built:1")
