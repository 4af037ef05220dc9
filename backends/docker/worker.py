"""The docker worker: one engine API over one Docker Engine, served on a Unix socket."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from pathlib import Path

from backends.api import descriptors
from backends.api.server import serve
from backends.docker.engine import DockerEngine
from backends.docker.place import Place

logger = logging.getLogger("backends.docker")


async def work(path: Path, place: Place) -> None:
    """Serve until SIGTERM or SIGINT. The engine and its containers stay as they are, also while it is away."""
    descriptors.raise_limit()
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    engine = DockerEngine(place)
    server = await serve(engine, path)
    logger.info("ready", extra={"socket": str(path), "engine": str(place), "pid": os.getpid()})
    await stop.wait()
    await server.close()
    await engine.close()
