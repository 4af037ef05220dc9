"""docker compose on a terminal: run, exec and attach, with its size, its signals and its colours."""

from __future__ import annotations

from contextlib import AbstractContextManager

import pytest

from tests.clients.compose.conftest import Maker
from tests.clients.compose.project import Project
from tests.clients.test_docker_terminal import Terminal, terminal

TEXT = """
services:
  web:
    image: sockerless/base
    command: sh -c 'echo started; exec sleep 1000'
    environment: {PS1: "ready> "}
    init: true
"""


def screen(project: Project, *arguments: str) -> AbstractContextManager[Terminal]:
    command = (*project.command[1:], "--project-directory", str(project.folder), *arguments)
    return terminal(project.engine, *command)


def test_run_on_a_terminal(shop: Maker) -> None:
    project = shop(TEXT)
    with screen(project, "run", "--rm", "web", "sh") as run:
        run.expect("ready> ")
        run.type(
            "until stty size 2> /dev/null; do sleep 0.1; done; tty\r"
        )  # compose tells the size when it runs already
        run.expect("33 101\r\n/dev/pts/0\r\n")
        run.type("exit 5\r")
        assert run.finish() == 5
    assert project.ok("ps", "--all", "--quiet") == ""


@pytest.mark.oracle
def test_exec_on_a_terminal(shop: Maker) -> None:
    project = shop(TEXT)
    project.ok("up", "--detach")
    with screen(project, "exec", "web", "sh") as inside:
        inside.expect("ready> ")
        inside.type("until [ \"$(stty size)\" = '33 101' ]; do sleep 0.1; done; tty\r")  # it comes after the start
        inside.expect("/dev/pts/0\r\n")
        inside.type("sh -c \"echo st''arted; sleep 1000\"\r")
        inside.expect("started\r\n")
        inside.type("\x03")
        inside.expect("ready> ")
        inside.type("exit 7\r")
        assert inside.finish() == 7


def test_up_on_a_terminal_ends_by_ctrl_c(shop: Maker) -> None:
    project = shop(TEXT)
    with screen(project, "up", "--menu=false") as up:
        up.expect("started")
        up.type("\x03")
        assert up.finish() == 130
    assert project.engine.ok("inspect", "--format={{.State.ExitCode}}", "shop-web-1") == "143"
