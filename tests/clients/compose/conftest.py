"""Compose projects for the tests, each taken down at its end and seen to leave nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.clients.compose.project import Project, v1, v2
from tests.clients.engine import Engine

Maker = Callable[[str], Project]
NAME = "shop"
DOWN = ("down", "--volumes", "--remove-orphans", "--timeout=0")


@pytest.fixture
def shop(engine: Engine, tmp_path: Path) -> Iterator[Maker]:
    """Makes the project `shop` of the text of its compose.yaml, for docker compose v2."""
    yield from maker(engine, tmp_path, v2(), "--profile=*")


@pytest.fixture
def shop1(engine: Engine, tmp_path: Path) -> Iterator[Maker]:
    """The same for docker-compose 1.29."""
    yield from maker(engine, tmp_path, v1())


def maker(engine: Engine, folder: Path, command: tuple[str, ...], *options: str) -> Iterator[Maker]:
    """Yields the maker of projects in `folder`; then takes down what it made (`options` precede `down`)."""
    made: list[Project] = []
    images = tags(engine)

    def make(text: str) -> Project:
        project = Project(engine, folder / NAME, command)
        project.write("compose.yaml", text)
        made.append(project)
        return project

    yield make
    for project in made:
        project.ok(*options, *DOWN)
    assert left(engine) == []
    engine.ok("image", "prune", "--force")  # what a rebuilt image was
    assert tags(engine) == images


def left(engine: Engine) -> list[str]:
    """The containers, volumes and networks of the project that exist."""
    label = f"label=com.docker.compose.project={NAME}"
    listings = (("ps", "--all", "--format={{.Names}}"), ("volume", "ls", "--format={{.Name}}"),
                ("network", "ls", "--format={{.Name}}"))  # fmt: skip
    return [name for listing in listings for name in engine.ok(*listing, f"--filter={label}").split()]


def tags(engine: Engine) -> set[str]:
    """The names of all images that have one."""
    listing = engine.ok("images", "--filter=dangling=false", "--format={{.Repository}}:{{.Tag}}")
    return set(listing.splitlines())
