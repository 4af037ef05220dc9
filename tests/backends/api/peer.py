"""A small engine of its own for the tests of the engine API and of the frontend.

A container's image names its program: ``cat`` copies its input to its output, ``hello`` writes one line to each of
stdout and stderr, ``told`` writes a line when it is told to, ``flood`` writes for ever, ``hang`` says nothing and never
ends, ``break`` fails in the middle.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

from backends.api import types as t
from backends.api.engine import Download, Engine
from backends.api.errors import Conflict, EngineError, InvalidArgument, NotFound, NotModified, Unsupported
from backends.api.framing import STDERR, STDOUT, frame
from backends.api.server import Server, serve

BLOCK = b"x" * 65536


class Program:
    """A running program as a stream. ``finished`` is set when its holder closed it."""

    def __init__(self, name: str, tty: bool = False) -> None:
        self.name, self._tty = name, tty
        self.input: asyncio.Queue[bytes] = asyncio.Queue()
        self.received = b""
        self.input_ended = asyncio.Event()
        self.told = asyncio.Event()
        self.finished = asyncio.Event()
        self.written = 0
        self._output = self._run()

    @property
    def tty(self) -> bool:
        return self._tty

    async def read(self) -> bytes:
        data = await anext(self._output, b"")
        self.written += len(data)
        return data

    async def write(self, data: bytes) -> None:
        self.received += data
        await self.input.put(data)

    async def write_eof(self) -> None:
        self.input_ended.set()
        await self.input.put(b"")

    async def close(self) -> None:
        self.finished.set()

    def _frame(self, stream: int, data: bytes) -> bytes:
        return data if self._tty else frame(stream, data)

    async def _run(self) -> AsyncIterator[bytes]:
        match self.name:
            case "cat":
                while data := await self.input.get():
                    yield self._frame(STDOUT, data)
            case "hello":
                yield self._frame(STDOUT, b"out\n")
                yield self._frame(STDERR, b"err\n")
            case "late":
                await self.input_ended.wait()
                yield self._frame(STDOUT, b"late\n")
            case "told":
                await self.told.wait()
                yield self._frame(STDOUT, b"told\n")
            case "flood":
                while True:
                    yield self._frame(STDOUT, BLOCK)
            case "break":
                yield self._frame(STDOUT, b"half")
                raise EngineError("the disk is full")
            case "deaf":
                yield self._frame(STDOUT, b"deaf\n")
                await asyncio.Event().wait()
            case _:
                await asyncio.Event().wait()


class SlowProgram(Program):
    """Takes its time to read."""

    async def write(self, data: bytes) -> None:
        await asyncio.sleep(0.1)
        await super().write(data)


class DeafProgram(Program):
    """Takes no input."""

    async def write(self, data: bytes) -> None:
        raise Conflict("the process has closed its input")


class Peer:
    """The engine. What a test wants to look at is public."""

    def __init__(self) -> None:
        self.containers: dict[str, t.CreateContainer] = {}
        self.running: set[str] = set()
        self.streams: list[Program] = []
        self.attached: asyncio.Queue[Program] = asyncio.Queue()
        self.execs: dict[str, t.CreateExec] = {}
        self.seen: dict[str, Any] = {}
        self.uploaded = b""
        self.cancelled = asyncio.Event()
        self.entered = asyncio.Event()
        self.stopped, self.stoppable = asyncio.Event(), asyncio.Event()
        self.stoppable.set()
        self.exits: asyncio.Queue[t.ExitResult] = asyncio.Queue()
        self.news: asyncio.Queue[t.Event] = asyncio.Queue()
        self._numbers = itertools.count(1)

    def _find(self, ref: str) -> str:
        name = ref.removeprefix("/")
        for identity, request in self.containers.items():
            if name == request.name or identity.startswith(name):
                return identity
        raise NotFound(f"No such container: {ref}")

    def _program(self, ref: str) -> Program:
        config = self.containers[self._find(ref)].config or {}
        kind = {"deaf": DeafProgram, "slow": SlowProgram}.get(config["Image"], Program)
        program = kind(config["Image"], bool(config.get("Tty")))
        self._attach(program)
        return program

    def _attach(self, program: Program) -> None:
        self.streams.append(program)
        self.attached.put_nowait(program)

    # -- system

    async def info(self) -> t.Info:
        return t.Info(
            id="peer", backend="peer", name="here", driver="none", containers=len(self.containers),
            containers_running=len(self.running), containers_paused=0,
            containers_stopped=len(self.containers) - len(self.running), images=1, kernel_version="6", ncpu=2,
            operating_system="Test", architecture="x86_64", mem_total=1 << 30, docker_root_dir="/nowhere",
            server_version="1", system_time="2026-01-01T00:00:00Z",
        )  # fmt: skip

    async def disk_usage(self, kinds: list[str]) -> t.DiskUsage:
        self.seen["kinds"] = kinds
        return t.DiskUsage(layers_size=7, images=[IMAGE_SUMMARY], containers=[], volumes=[])

    async def events(self, since: int, until: int, filters: t.Filters) -> AsyncIterator[t.Event]:
        self.seen["events"] = (since, until, filters)
        return self._follow()

    async def _follow(self) -> AsyncIterator[t.Event]:
        try:
            while True:
                yield await self.news.get()
        finally:
            self.cancelled.set()

    async def login(self, credentials: t.Json) -> t.Json:
        return {"Status": f"Login Succeeded: {credentials['username']}", "IdentityToken": ""}

    # -- containers

    async def create_container(self, request: t.CreateContainer) -> t.Created:
        assert request.config is not None
        if request.config.get("Image") == "nosuch:1":
            raise NotFound("No such image: nosuch:1")
        identity = f"{next(self._numbers):064x}"
        self.containers[identity] = request
        return t.Created(id=identity)

    async def list_containers(self, all: bool, limit: int, size: bool, filters: t.Filters) -> list[t.ContainerSummary]:
        self.seen["list"] = (all, limit, size, filters)
        return [self._summary(identity) for identity in self.containers]

    def _summary(self, identity: str) -> t.ContainerSummary:
        request = self.containers[identity]
        return t.ContainerSummary(
            id=identity, names=[f"/{request.name}"], image=(request.config or {})["Image"], image_id="", command="",
            created=1, ports=[], labels={}, state="created", status="Created", host_config={"NetworkMode": "bridge"},
            network_settings=t.ListedNetworks(), mounts=[],
        )  # fmt: skip

    async def inspect_container(self, ref: str, size: bool = False) -> t.Container:
        identity = self._find(ref)
        request = self.containers[identity]
        running = identity in self.running
        return t.Container(
            id=identity, name=f"/{request.name}", created="2026-01-01T00:00:00Z", path="", args=[],
            state=t.State(status="running" if running else "created", running=running), image="sha256:0",
            config=request.config or {}, host_config=request.host_config,
            network_settings=t.NetworkSettings(networks={"bridge": t.Endpoint(ip_address="10.0.0.2"),
                                                         "own": t.Endpoint(aliases=["a"])}),
            size_rw=5 if size else None, size_root_fs=6 if size else None,
        )  # fmt: skip

    async def start_container(self, ref: str) -> None:
        identity = self._find(ref)
        if identity in self.running:
            raise NotModified
        self.running.add(identity)

    async def stop_container(self, ref: str, timeout: int | None = None, signal: str = "") -> None:
        self.seen["stop"] = (timeout, signal)
        self.entered.set()
        try:
            await self.stoppable.wait()
            self.running.remove(self._find(ref))
            self.stopped.set()
        except KeyError:
            raise NotModified from None

    async def kill_container(self, ref: str, signal: str = "") -> None:
        raise Conflict(f"cannot kill container: {ref}: container {self._find(ref)} is not running")

    async def rename_container(self, ref: str, name: str) -> None:
        raise RuntimeError("a defect of the engine")

    async def remove_container(self, ref: str, force: bool = False, volumes: bool = False, link: bool = False) -> None:
        self.seen["remove"] = (force, volumes, link)
        del self.containers[self._find(ref)]

    async def update_container(self, ref: str, changes: t.Json) -> list[str]:
        return [f"{key} ignored" for key in changes]

    async def prune_containers(self, filters: t.Filters) -> t.Pruned:
        self.seen["prune"] = filters
        return t.Pruned(deleted=[], space_reclaimed=0)

    async def wait_container(self, ref: str, condition: str) -> AsyncIterator[t.ExitResult]:
        self._find(ref)
        self.seen["condition"] = condition
        return self._results()

    async def _results(self) -> AsyncIterator[t.ExitResult]:
        try:
            yield await self.exits.get()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise

    async def attach_container(self, ref: str, options: t.AttachOptions) -> Program:
        self.seen["attach"] = options
        return self._program(ref)

    async def resize_container(self, ref: str, height: int, width: int) -> None:
        self.seen["size"] = (height, width)

    async def container_logs(self, ref: str, options: t.LogOptions) -> Download:
        program = self._program(ref)
        self.seen["logs"] = options
        return Download(program.tty, self._log(program))

    async def _log(self, program: Program) -> AsyncIterator[bytes]:
        try:
            while data := await program.read():
                yield data
        finally:
            self.cancelled.set()

    async def top_container(self, ref: str, arguments: str) -> t.Top:
        return t.Top(titles=["PID"], processes=[[arguments]])

    async def container_stats(self, ref: str, stream: bool, one_shot: bool) -> AsyncIterator[t.Json]:
        self.seen["stats"] = (stream, one_shot)
        return self._stats(3 if stream else 1)

    async def _stats(self, count: int) -> AsyncIterator[t.Json]:
        for number in range(count):
            yield {"read": number}

    async def container_changes(self, ref: str) -> list[t.Change]:
        self._find(ref)
        return []

    async def export_container(self, ref: str) -> Download:
        async def body() -> AsyncIterator[bytes]:
            yield b"first"
            raise EngineError("the disk is gone")

        return Download(None, body())

    async def stat_path(self, ref: str, path: str) -> t.PathStat:
        if path == "/nosuch":
            raise NotFound(f"Could not find the file {path} in container {ref}")
        return t.PathStat(name=path.rpartition("/")[2], size=3, mode=420, mtime="2026-01-01T00:00:00Z")

    async def get_archive(self, ref: str, path: str) -> Download:
        async def body() -> AsyncIterator[bytes]:
            yield b"tar:"
            yield path.encode()

        return Download(await self.stat_path(ref, path), body())

    async def put_archive(
        self, ref: str, path: str, body: AsyncIterator[bytes], no_overwrite: bool = False, copy_uid_gid: bool = False
    ) -> None:
        self.seen["put"] = (ref, path, no_overwrite, copy_uid_gid)
        if path == "/file":
            raise InvalidArgument("extraction point is not a directory")
        try:
            async for data in body:
                self.uploaded += data
                self.entered.set()
                if path == "/slow":
                    await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise

    # -- exec

    async def create_exec(self, ref: str, request: t.CreateExec) -> str:
        self._find(ref)
        identity = f"{next(self._numbers):064x}"
        self.execs[identity] = request
        return identity

    async def start_exec(self, exec_id: str, request: t.StartExec) -> Program:
        found = self._exec(exec_id)
        program = Program(found.cmd[0], found.tty)
        self._attach(program)
        return program

    async def start_exec_detached(self, exec_id: str, request: t.StartExec) -> None:
        self._exec(exec_id)
        self.seen["detached"] = exec_id

    async def inspect_exec(self, exec_id: str) -> t.Exec:
        found = self._exec(exec_id)
        config = t.ProcessConfig(tty=found.tty, entrypoint=found.cmd[0], arguments=found.cmd[1:], privileged=False)
        return t.Exec(
            id=exec_id, running=False, exit_code=None, process_config=config, open_stdin=found.attach_stdin,
            open_stderr=True, open_stdout=True, can_remove=False, container_id="", detach_keys=found.detach_keys, pid=0,
        )  # fmt: skip

    def _exec(self, exec_id: str) -> t.CreateExec:
        if exec_id not in self.execs:
            raise NotFound(f"No such exec instance: {exec_id}")
        return self.execs[exec_id]

    # -- images, networks, volumes

    async def list_images(self, all: bool, filters: t.Filters, shared_size: bool) -> list[t.ImageSummary]:
        self.seen["images"] = (all, filters, shared_size)
        return [IMAGE_SUMMARY]

    async def image_history(self, name: str) -> list[t.ImageHistory]:
        return []

    async def inspect_image(self, name: str, platform: str = "") -> t.Image:
        if platform not in ("", "linux/amd64"):
            raise NotFound(f"no {platform} here")
        return t.Image(
            id="sha256:1", repo_tags=[name], repo_digests=[], parent="", comment="", author="", architecture="amd64",
            created="2026-01-01T00:00:00Z", config={}, variant="", os="linux", size=9, layers=["sha256:2"],
        )  # fmt: skip

    async def pull_image(self, name: str, tag: str, platform: str, auth: t.Json) -> AsyncIterator[t.Progress]:
        self.seen["pull"] = (name, tag, platform, auth)
        if name == "nosuch":
            raise NotFound("pull access denied for nosuch")
        return self._pull(name)

    async def push_image(self, name: str, tag: str, platform: str, auth: t.Json) -> AsyncIterator[t.Progress]:
        self.seen["push"] = (name, tag, platform, auth)
        return self._pull(name)

    async def search_images(
        self, term: str, limit: int | None, filters: t.Filters, auth: t.Json
    ) -> list[t.SearchResult]:
        self.seen["search"] = (term, limit, filters, auth)
        return [t.SearchResult(star_count=3, is_official=True, name="x", is_automated=False, description="an x")]

    async def inspect_distribution(self, name: str, auth: t.Json) -> t.DistributionInspect:
        self.seen["distribution"] = (name, auth)
        return t.DistributionInspect(descriptor={"mediaType": "m", "digest": "d", "size": 1})

    async def _pull(self, name: str) -> AsyncIterator[t.Progress]:
        if name == "early":
            raise NotFound("manifest for early not found")
        yield t.Progress(status="Pulling", id="1")
        if name == "broken":
            raise EngineError("the registry went away")
        yield t.Progress(status="Done")

    async def load_images(
        self, body: AsyncIterator[bytes], quiet: bool, platform: str = ""
    ) -> AsyncIterator[t.Progress]:
        self.uploaded = b"".join([part async for part in body])
        return self._loaded()

    async def _loaded(self) -> AsyncIterator[t.Progress]:
        yield t.Progress(stream="Loaded image: x:latest\n")

    async def tag_image(self, name: str, repo: str, tag: str) -> None:
        self.seen["tag"] = (name, repo, tag)

    async def remove_image(self, name: str, force: bool, no_prune: bool) -> list[t.RemovedImage]:
        return [t.RemovedImage(untagged=name)]

    async def prune_images(self, filters: t.Filters) -> tuple[list[t.RemovedImage], int]:
        return [t.RemovedImage(deleted="sha256:1")], 9

    async def build_image(self, body: AsyncIterator[bytes], request: t.BuildImage) -> AsyncIterator[t.Progress]:
        self.uploaded = b"".join([part async for part in body])
        self.seen["build"] = request
        return self._built()

    async def _built(self) -> AsyncIterator[t.Progress]:
        yield t.Progress(stream="Successfully built 1\n")

    async def commit_container(self, ref: str, request: t.CommitContainer) -> str:
        if ref == "nosuch":
            raise NotFound(f"No such container: {ref}")
        self.seen["commit"] = request
        return "sha256:9"

    async def prune_builds(self, filters: t.Filters, all: bool, keep: t.KeepCache) -> t.Pruned:
        self.seen["prune_builds"] = keep
        return t.Pruned(deleted=[], space_reclaimed=7)

    async def save_images(self, names: list[str]) -> Download:
        raise Unsupported(f"saving {', '.join(names)} is not supported")

    async def list_networks(self, filters: t.Filters) -> list[t.Network]:
        return [await self.inspect_network("n")]

    async def inspect_network(self, ref: str) -> t.Network:
        return t.Network(
            name=ref, id="1", created="2026-01-01T00:00:00Z", scope="local", driver="bridge", ipam={}, internal=False,
            attachable=False, ingress=False, containers={"c": {"Name": "c"}},
        )  # fmt: skip

    async def create_network(self, request: t.Json) -> t.Created:
        self.seen["network"] = request
        return t.Created(id="n1", warnings=["one", "two"])

    async def connect_network(self, ref: str, container: str, config: t.Json) -> None:
        self.seen["connect"] = (ref, container, config)

    async def prune_volumes(self, filters: t.Filters) -> t.Pruned:
        self.seen["prune"] = filters
        return t.Pruned(deleted=["v"], space_reclaimed=3)

    async def list_volumes(self, filters: t.Filters) -> list[t.Volume]:
        return []

    async def inspect_volume(self, name: str) -> t.Volume:
        return t.Volume(
            created_at="", driver="local", labels=None, mountpoint="", name=name, options=None, scope="local"
        )

    async def remove_volume(self, name: str, force: bool) -> None:
        self.seen["volume"] = (name, force)


IMAGE_SUMMARY = t.ImageSummary(id="sha256:1", parent_id="", repo_tags=["x:latest"], repo_digests=[], created=1, size=9)


async def served(engine: object, path: Path) -> Server:
    """Serve at ``path`` an engine that has no more operations than its test needs."""
    return await serve(cast("Engine", engine), path)


@asynccontextmanager
async def worker(engine: object, path: Path) -> AsyncIterator[Server]:
    """The same until the end of the block, which leaves no socket."""
    server = await served(engine, path)
    try:
        yield server
    finally:
        await server.close()
        assert not os.path.exists(path)
