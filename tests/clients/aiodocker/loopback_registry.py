"""A pytest plugin: the registries that aiodocker's tests want in containers are Debian's, on loopback.

The image `registry:2` is a native program, which the sandbox does not run; which process serves a registry is not what
these tests are about.
"""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from testcontainers.core import container

CONFIG = "version: 0.1\nlog: {level: warn}\nstorage: {filesystem: {}, delete: {enabled: true}}\nhttp: {}\n"
SECONDS = 20.0


class Registry:
    """As much of testcontainers' DockerContainer as the tests use."""

    def __init__(
        self,
        image: str,
        *,
        name: str,
        ports: Sequence[int],
        volumes: Sequence[tuple[str, str, str]] = (),
        env: Mapping[str, str] | None = None,
        **_: Any,
    ) -> None:
        assert image == "registry:2", f"{image} ({name}) has no stand-in"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port: int = free.getsockname()[1]
        self._inner = ports[0]
        self._folder = tempfile.TemporaryDirectory(prefix="sockerless-registry-")
        self._environment = {
            **{key: _on_the_host(value, volumes) for key, value in (env or {}).items()},
            "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY": f"{self._folder.name}/store",
            "REGISTRY_HTTP_ADDR": f"127.0.0.1:{self._port}",
        }

    def __enter__(self) -> Registry:
        config = Path(self._folder.name, "config.yml")
        config.write_text(CONFIG)
        command, environment = ["docker-registry", "serve", str(config)], {**os.environ, **self._environment}
        self._process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + SECONDS
        while not self._answers():
            assert time.monotonic() < deadline, "docker-registry does not answer"
            time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()

    def get_exposed_port(self, port: int) -> int:
        assert port == self._inner
        return self._port

    def get_container_host_ip(self) -> str:
        return "localhost"

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == 0


def _on_the_host(value: str, volumes: Sequence[tuple[str, str, str]]) -> str:
    for outside, inside, _ in volumes:
        if value.startswith(inside):
            return outside + value.removeprefix(inside)
    return value


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests() -> None:
    """Before the tests' own configuration imports the name."""
    container.DockerContainer = Registry  # type: ignore[misc, assignment]
