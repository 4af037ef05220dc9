"""Main processes and execs in the sandbox."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from functools import partial

from backends.api.errors import Conflict
from backends.core.drivers import ContainerSpec, ExecSpec, Interface, Limits, ProcessRow, StartError, Usage
from backends.memory.boxes import Box, Boxes, sandbox_limits
from backends.memory.process import MemoryProcess
from sandbox.wasm.sandbox import ExecError, Process, ProcessInfo, ProcessSpec, Sandbox

_NAMES = {0: "root", 65534: "nobody"}
_GONE_LIMIT = 10.0


class Lifecycle:
    """Implements ProcessLifecycleDriver and ExecDriver. Nothing of a container exists before it is needed."""

    def __init__(self, boxes: Boxes) -> None:
        self._boxes = boxes

    async def prepare(self, container: ContainerSpec) -> None:
        """Remember it; the sandbox is made by the first start or copy."""
        self._boxes.put(container)

    async def start(self, container: ContainerSpec, process: ExecSpec) -> MemoryProcess:
        """Start pid 1."""
        self._boxes.put(container)
        box = self._boxes.get(container.id)
        return MemoryProcess(await _started(partial(self._start, box, process_spec(process))), process.tty)

    def _start(self, box: Box, run: ProcessSpec) -> Process:
        sandbox = self._boxes.sandbox(box)
        sandbox.configure(self._boxes.sandbox_spec(box))
        return sandbox.start(run)

    async def exec(self, container_id: str, process: ExecSpec) -> MemoryProcess:
        """Start a process beside pid 1."""
        sandbox = self._sandbox(container_id)
        return MemoryProcess(await _started(partial(sandbox.exec, process_spec(process))), process.tty)

    def _sandbox(self, container_id: str) -> Sandbox:
        sandbox = self._boxes.get(container_id).sandbox
        if sandbox is None:
            raise Conflict(f"container {container_id} is not running")
        return sandbox

    async def pause(self, container_id: str) -> None:
        """Freeze its processes."""
        self._sandbox(container_id).pause()

    async def unpause(self, container_id: str) -> None:
        """Let them go on."""
        self._sandbox(container_id).unpause()

    async def update(self, container_id: str, limits: Limits) -> None:
        """Other limits from now on."""
        box = self._boxes.get(container_id)
        box.spec = dataclasses.replace(box.spec, limits=limits)
        self._sandbox(container_id).update(sandbox_limits(box.spec))

    async def top(self, container_id: str) -> list[ProcessRow]:
        """Its processes, by number."""
        return [_row(info) for info in self._sandbox(container_id).processes()]

    async def stats(self, container_id: str) -> Usage:
        """What it uses now; the sandbox does not tell user from system time."""
        box, usage = self._boxes.get(container_id), self._sandbox(container_id).usage()
        return Usage(
            cpu_user=usage.cpu,
            memory=usage.memory,
            memory_peak=usage.memory_peak,
            memory_limit=usage.memory_limit,
            pids=usage.pids,
            read_bytes=usage.read,
            write_bytes=usage.written,
            interfaces=traffic(box),
        )

    async def stop_all(self, container_id: str) -> None:
        """Kill what is left of it."""
        box = self._boxes.known(container_id)
        if box is not None and box.sandbox is not None:
            box.sandbox.kill_all()

    async def release(self, container_id: str) -> None:
        """Give back its file system and network; its directory is the engine's to remove."""
        box = self._boxes.known(container_id)
        if box is None:
            return
        if box.sandbox is not None:
            box.sandbox.kill_all()
            async with asyncio.timeout(_GONE_LIMIT):
                while box.sandbox.processes():  # noqa: ASYNC110
                    await asyncio.sleep(0.002)  # the sandbox tells nobody when its last process has gone
        await asyncio.to_thread(box.close)
        self._boxes.forget(container_id)


async def _started(start: Callable[[], Process]) -> Process:
    """Start a process in a thread: loading and instantiating a program blocks. Who is cancelled leaves none behind."""
    starting = asyncio.ensure_future(asyncio.to_thread(start))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        starting.add_done_callback(_discard)
        raise
    except ExecError as error:
        raise StartError(error.code, error.message) from error
    except ProcessLookupError:
        raise Conflict("can only create exec sessions on running containers: container is not running") from None


def _discard(starting: asyncio.Future[Process]) -> None:
    if not starting.cancelled() and starting.exception() is None:
        starting.result().discard()


def process_spec(spec: ExecSpec) -> ProcessSpec:
    """The engine's process as the sandbox takes it."""
    return ProcessSpec(
        argv=spec.argv,
        env=spec.env,
        cwd=spec.cwd,
        uid=spec.user.uid,
        gid=spec.user.gid,
        groups=spec.user.groups,
        tty=spec.tty,
        stdin=spec.stdin,
        size=spec.size,
        umask=spec.umask,
    )


def _row(info: ProcessInfo) -> ProcessRow:
    return ProcessRow(
        pid=info.pid,
        ppid=info.ppid,
        uid=info.uid,
        command=info.name,
        argv=" ".join(info.argv) or f"[{info.name}]",
        user=_NAMES.get(info.uid, ""),
        gid=info.gid,
        started=info.started,
        cpu=info.cpu,
        tty=info.tty,
        state=info.state,
        rss=info.memory,
        vsz=info.memory,
    )


def traffic(box: Box) -> dict[str, Interface]:
    """What has gone over each interface of a container's own network."""
    if box.stack is None or box.shared_stack:
        return {}
    return {
        name: Interface(found.received, found.received_packets, found.sent, found.sent_packets)
        for name, found in box.stack.traffic().items()
    }
