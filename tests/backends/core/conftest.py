"""An engine over the local driver, with one small image: busybox:latest."""

from __future__ import annotations

import io
import tarfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from backends.api import types as t
from backends.api.engine import Engine
from backends.api.framing import Deframer
from backends.core.engine import CoreEngine
from sandbox.images.archive import Imported, import_
from sandbox.images.reference import parse
from sandbox.images.store import Store
from sandbox.images.transport import RegistryConfig
from tests.backends.core.local_driver import LocalDriver

FILES = {
    "etc/passwd": b"root:x:0:0:root:/root:/bin/sh\nann:x:1000:100:Ann:/home/ann:/bin/sh\n",
    "etc/group": b"root:x:0:\nusers:x:100:\nwheel:x:10:ann\n",
    "seed/one": b"1\n",
    "tmp/.keep": b"",
}
CONFIG = {
    "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "FROM=image"],
    "Cmd": ["sh"],
    "Labels": {"base": "yes"},
}


def rootfs() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in FILES.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


async def chunks(data: bytes) -> AsyncIterator[bytes]:
    yield data


@pytest.fixture
async def images(tmp_path: Path) -> Store:
    store = Store(tmp_path / "images")
    await import_(store, chunks(rootfs()), Imported(reference=parse("busybox:latest"), config=CONFIG))
    return store


@pytest.fixture
def make_engine(tmp_path: Path, images: Store) -> Callable[[], CoreEngine]:
    def make() -> CoreEngine:
        impatient = RegistryConfig(attempts=1)
        return CoreEngine(tmp_path / "data", LocalDriver(images).drivers(), images, registries=impatient)

    return make


@pytest.fixture
async def core(make_engine: Callable[[], CoreEngine]) -> AsyncIterator[CoreEngine]:
    found = make_engine()
    await found.open()
    yield found
    await found.close()


class Shop:
    """Short forms of what most tests do."""

    def __init__(self, engine: Engine, image: str = "busybox") -> None:
        self.engine = engine
        self.image = image

    async def create(self, *cmd: str, name: str = "", host: t.Json | None = None, **config: Any) -> str:
        body = {"Image": self.image, **({"Cmd": list(cmd)} if cmd else {}), **config}
        request = t.CreateContainer(name=name, config=body, host_config=host or {})
        return (await self.engine.create_container(request)).id

    async def run(self, *cmd: str, **more: Any) -> tuple[str, int]:
        found = await self.create(*cmd, **more)
        code = await self.finish(found)
        return found, code

    async def finish(self, ref: str) -> int:
        waiting = await self.engine.wait_container(ref, "next-exit")
        await self.engine.start_container(ref)
        return (await anext(waiting)).status_code

    async def logs(self, ref: str, **options: Any) -> bytes:
        asked = t.LogOptions(**{"stdout": True, "stderr": True, **options})
        download = await self.engine.container_logs(ref, asked)
        return b"".join([piece async for piece in download.body])

    async def exec(
        self, ref: str, *cmd: str, stdin: bytes | None = None, **more: Any
    ) -> tuple[int | None, bytes, bytes]:
        request = t.CreateExec(
            cmd=list(cmd), attach_stdout=True, attach_stderr=True, attach_stdin=stdin is not None, **more
        )
        exec_id = await self.engine.create_exec(ref, request)
        stream = await self.engine.start_exec(exec_id, t.StartExec(tty=request.tty))
        if stdin is not None:
            await stream.write(stdin)
            await stream.write_eof()
        out, err = split(await read_all(stream))
        return (await self.engine.inspect_exec(exec_id)).exit_code, out, err


async def read_all(stream: Any) -> bytes:
    data = b""
    while piece := await stream.read():
        data += piece
    return data


def split(framed: bytes) -> tuple[bytes, bytes]:
    found = {1: b"", 2: b""}
    for stream, data in Deframer().feed(framed):
        found[stream] += data
    return found[1], found[2]


@pytest.fixture
def shop(core: CoreEngine) -> Shop:
    return Shop(core)
