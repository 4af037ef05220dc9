"""Engines as they are and as they show behind the docker worker."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.backends.docker.relayed import relayed as relaying
from tests.clients.engine import Engine
from tests.oracle import daemon, podman


@pytest.fixture(scope="session")
def driven() -> Iterator[daemon.Oracle]:
    """A dockerd of its own, so that its events are not those of `oracle`."""
    with daemon.running() as found:
        yield found


@pytest.fixture(scope="session")
def behind(driven: daemon.Oracle, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """The same, for clients."""
    return Engine("behind", driven.host, tmp_path_factory.mktemp("behind"), driven.prefix)


@pytest.fixture(scope="session")
def relayed(behind: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The same dockerd behind us."""
    with relaying(behind, tmp_path_factory.mktemp("relayed")) as found:
        yield found


@pytest.fixture(scope="session")
def relayed_podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Debian's podman behind us."""
    with podman.running() as service:
        direct = Engine("podman", service.host, tmp_path_factory.mktemp("podman"), service.prefix)
        with relaying(direct, tmp_path_factory.mktemp("relayed")) as found:
            yield found
