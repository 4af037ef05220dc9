"""The memory worker: one engine over one sandbox host, served on a Unix socket."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from backends.api import descriptors
from backends.core.drivers import Drivers
from backends.core.engine import CoreEngine
from backends.memory.boxes import Boxes
from backends.memory.files import Files
from backends.memory.lifecycle import Lifecycle
from backends.memory.network import Networks
from sandbox.images.store import Store
from sandbox.wasm.sandbox import Host

if TYPE_CHECKING:
    from sandbox.images.transport import RegistryConfig

logger = logging.getLogger("backends.memory")
BASE_IMAGE = "sockerless/base:latest"
THREADS = 64
#: HostConfig fields that the sandbox gives an effect
HONOURS = frozenset({"GroupAdd", "Init", "Memory", "PidsLimit", "ReadonlyRootfs", "Ulimits"})


@dataclass(frozen=True)
class Settings:
    """``images`` None = in the data directory."""

    socket: Path
    data: Path
    userland: Path
    cache: Path
    images: Path | None = None
    mirrors: tuple[str, ...] = ()
    insecure: tuple[str, ...] = ()
    add_urls: bool = False
    hub: str = field(default="docker.io")


def registry_config(settings: Settings) -> RegistryConfig | None:
    """Mirrors and insecure registries; None when there is nothing to say."""
    if not (settings.mirrors or settings.insecure):
        return None
    from sandbox.images.transport import RegistryConfig

    mirrors = {settings.hub: settings.mirrors} if settings.mirrors else {}
    return RegistryConfig(mirrors=mirrors, insecure=frozenset(settings.insecure))


def drivers(host: Host, images: Store) -> Drivers:
    """The memory backend for an engine."""
    boxes = Boxes(host, images)
    lifecycle = Lifecycle(boxes)
    return Drivers(
        name="memory",
        lifecycle=lifecycle,
        exec=lifecycle,
        files=Files(boxes),
        network=Networks(boxes, host.switch),
        storage="sandbox",
        operating_system="Sockerless (WebAssembly sandbox)",
        honours=HONOURS,
    )


async def load_base(images: Store, userland: Path, scratch: Path) -> None:
    """Put the bundled image into the store, unless it has one of that name made of the same programs."""
    from sandbox.images.archive import load
    from sandbox.wasm.userland.base_image import build_base_image

    mark = scratch / "base-image"
    stamp = str(userland.resolve())
    if mark.exists() and mark.read_text() == stamp and _has(images, BASE_IMAGE):
        return
    archive = scratch / "base-image.tar"
    await asyncio.to_thread(build_base_image, userland, archive)

    try:
        await load(images, _chunks(archive))
    finally:
        archive.unlink()
    mark.write_text(stamp)


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            yield piece


def _has(images: Store, name: str) -> bool:
    from sandbox.images.errors import ImageNotFound

    try:
        images.resolve(name)
    except ImageNotFound:
        return False
    return True


async def work(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then end the containers' processes and leave."""
    from backends.api.server import serve

    began = time.monotonic()
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(THREADS, "worker"))
    descriptors.raise_limit()
    settings.data.mkdir(parents=True, exist_ok=True)
    images = Store(settings.images or settings.data / "images")
    host = Host(cache=settings.cache, userland=settings.userland, state=settings.data)
    engine = CoreEngine(
        settings.data,
        drivers(host, images),
        images,
        registries=registry_config(settings),
        add_urls=settings.add_urls,
    )
    await load_base(images, settings.userland, settings.data)
    await engine.open()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = await serve(engine, settings.socket)
    took = round(time.monotonic() - began, 3)
    logger.info("ready", extra={"socket": str(settings.socket), "seconds": took, "pid": os.getpid()})
    loop.run_in_executor(None, host.warm)
    await stop.wait()
    await server.close()
    await engine.close()
    host.close()
