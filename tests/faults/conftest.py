"""An appliance for the faults that it has to survive: one for all of them, and one of a test's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.place import Calm, Place, open_stream, read_until
from tests.waiting import eventually


@pytest.fixture(scope="session")
def shared_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    place = Place(tmp_path_factory.mktemp("f")).up()
    place.request("POST", "/volumes/create", {"Name": "precious"})
    place.started("bystander", "sh", "-c", "echo ready; exec sleep 100000", host={"Binds": ["precious:/data"]})
    eventually(lambda: b"ready" in place.request("GET", "/containers/bystander/logs?stdout=1").body)
    yield place
    place.appliance.stop()


@pytest.fixture
def full_pool(shared_place: Place) -> None:
    """Many answers at once: the frontend has all the idle connections it ever keeps. For tests that do the same."""
    place = shared_place
    place.create("ending", "true")
    waiting = [open_stream(place, b"POST /containers/ending/wait?condition=next-exit") for _ in range(100)]
    for connection in waiting:
        read_until(connection, b"\r\n\r\n")
    place.start("ending")
    for connection in waiting:
        read_until(connection, b"StatusCode")
        connection.close()
    place.remove("ending")


@pytest.fixture
def site(shared_place: Place) -> Iterator[Place]:
    """The shared appliance with a container that runs; whatever the test does, afterwards all is as before."""
    before = Calm(shared_place)
    started = shared_place.state("bystander")
    yield shared_place
    before.check()
    assert shared_place.state("bystander") == started
    assert shared_place.exec("bystander", "echo", "here") == (0, b"\x01\0\0\0\0\0\0\x05here\n")


@pytest.fixture
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """An appliance that the test may kill."""
    place = Place(tmp_path_factory.mktemp("o")).up()
    yield place
    place.appliance.stop()
