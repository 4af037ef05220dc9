"""A running product for what is sent at random, and what must be left of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.place import Calm, Place
from tests.fuzz.stage import Stage

GROWTH_MB = 40


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    found = Place(tmp_path_factory.mktemp("z")).up()
    yield found
    found.appliance.stop()


@pytest.fixture
def stage(place: Place) -> Iterator[Stage]:
    """Things to send requests about. Afterwards the product is as it was: what it holds, descriptors, threads, memory.

    The first round warms up what pools and allocators keep, so memory is looked at from there on.
    """
    before = Calm(place)
    found = Stage(place)
    found.set()
    yield found
    found.strike()
    before.check()
    assert place.docker("ps", "-a").stdout.splitlines()[1:] == []
    grown = {name: place.rss_mb(name) - found.memory[name] for name in found.memory}
    assert {name: size for name, size in grown.items() if size > GROWTH_MB} == {}
