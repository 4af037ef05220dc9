"""Engines for the tests of real clients: `engine` is ours and, for tests marked `oracle`, also Debian's dockerd."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.clients.engine import Engine, appliance
from tests.oracle import daemon


def pytest_configure(config: pytest.Config) -> None:
    # The machine has other things to do, and what fails is to fail again: --hypothesis-profile=explore looks further.
    busy = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.register_profile("explore", busy, max_examples=3000)
    settings.register_profile("same", busy, derandomize=True)
    settings.load_profile(config.getoption("--hypothesis-profile") or "same")
    config.addinivalue_line("markers", "oracle: runs against Debian's dockerd too (the run on dockerd is slow)")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--engine", choices=("ours", "oracle"), help="run the tests of clients on this engine only")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "engine" not in metafunc.fixturenames:
        return
    names = ["ours"]
    if metafunc.definition.get_closest_marker("oracle"):
        names.append("oracle")
    only = metafunc.config.getoption("--engine")
    chosen = [name for name in names if only in (None, name)]
    metafunc.parametrize("engine", [_parameter(name) for name in chosen], indirect=True, scope="session")


def _parameter(name: str) -> object:
    return pytest.param(name, marks=pytest.mark.slow) if name == "oracle" else name


@pytest.fixture(scope="session")
def dockerd() -> Iterator[daemon.Oracle]:
    """Debian's dockerd with the image sockerless/base."""
    with daemon.running() as oracle:
        yield oracle


@pytest.fixture(scope="session")
def oracle(dockerd: daemon.Oracle, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return Engine("oracle", dockerd.host, tmp_path_factory.mktemp("oracle"), dockerd.prefix)


@pytest.fixture(scope="session")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The appliance with the memory backend and its bundled image."""
    home = tmp_path_factory.mktemp("ours")
    with appliance() as host:
        yield Engine("ours", host, home)


@pytest.fixture(scope="session")
def engine(request: pytest.FixtureRequest) -> Engine:
    found: Engine = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def here(request: pytest.FixtureRequest) -> Path:
    """The folder of the test's module."""
    return request.path.parent
