"""A server that answers exactly what a test tells it, in the place of a Docker engine, and the way to it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from backends.api.client import connect
from backends.api.server import serve
from backends.docker.engine import DockerEngine
from backends.docker.place import Place
from frontend.routing.passing import PassThrough
from tests.frontend.site import Site, Wire, serving

PATIENCE = 5.0


class FakeEngine:
    """Listens at ``path``; ``accept`` is its side of the next connection."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(64)
        self._listener.setblocking(False)
        self.wires: list[Wire] = []

    async def accept(self) -> Wire:
        loop = asyncio.get_running_loop()
        connection, _ = await asyncio.wait_for(loop.sock_accept(self._listener), PATIENCE)
        connection.setblocking(False)
        self.wires.append(Wire(connection))
        return self.wires[-1]

    def close(self) -> None:
        self._listener.close()
        for wire in self.wires:
            wire.close()


@asynccontextmanager
async def passed_on(folder: Path) -> AsyncIterator[tuple[FakeEngine, Site]]:
    """A fake engine behind a docker worker behind a frontend."""
    fake = FakeEngine(folder / "engine.sock")
    docker = DockerEngine(Place(path=str(fake.path)))
    server = await serve(docker, folder / "worker.sock")
    client = connect(folder / "worker.sock", "docker")
    try:
        async with serving(PassThrough(client), folder / "docker.sock") as site:
            yield fake, site
    finally:
        client.close()
        await server.close()
        await docker.close()
        fake.close()
