"""Docker Hub as client libraries' own tests see it: a registry on loopback that the appliance takes for its mirror."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.clients import images
from tests.clients.aiodocker.loopback_registry import Registry
from tests.clients.engine import Engine, appliance


class Hub:
    """The appliance's `engine`, and the mirror to stock."""

    def __init__(self, engine: Engine, address: str) -> None:
        self.engine = engine
        self._address = address

    def stock(self, name: str, config: Mapping[str, Any], files: Mapping[str, str]) -> None:
        """Give the mirror the library's image `name`, see images.derive; the appliance has it no longer."""
        pushed = f"{self._address}/library/{name}"
        images.derive(self.engine, pushed, config, files)
        self.engine.ok("push", pushed)
        self.engine.ok("rmi", pushed)


@contextmanager
def running(home: Path, environment: pytest.MonkeyPatch) -> Iterator[Hub]:
    """An appliance with an empty mirror."""
    with Registry("registry:2", name="mirror", ports=[5000]) as mirror:
        address = f"127.0.0.1:{mirror.get_exposed_port(5000)}"
        environment.setenv("SOCKERLESS_REGISTRY_MIRRORS", f"http://{address}")
        with appliance() as host:
            yield Hub(Engine("ours", host, home), address)
