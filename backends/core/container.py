"""One container of a worker: its record, its streams, its process while it runs, and everyone who waits for it."""

from __future__ import annotations

import asyncio
from functools import cached_property
from pathlib import Path

from msgspec.structs import replace

from backends.api import types as t
from backends.api.errors import Conflict, EngineError, InvalidArgument
from backends.core import logoptions
from backends.core.config import Config, view
from backends.core.context import Context
from backends.core.drivers import Process
from backends.core.hostconfig import HostConfig, LogConfig
from backends.core.hub import Hub
from backends.core.lifecycle import ALIVE, RUNNING, Happening, Status, after
from backends.core.log import Log
from backends.core.records import ContainerRecord
from sandbox.images.image import Image

CONDITIONS = ("not-running", "next-exit", "removed")


class Container:
    """``lock`` serialises what changes it. ``process`` is set while the main process lives."""

    def __init__(self, context: Context, record: ContainerRecord, image: Image | None) -> None:
        self._context = context
        self.record = record
        self.image = image
        self.lock = asyncio.Lock()
        self.process: Process | None = None
        self.supervisor: asyncio.Task[None] | None = None
        self.health_task: asyncio.Task[None] | None = None
        self.restart_task: asyncio.Task[None] | None = None
        self.back_off = 0.0
        self.stopping = 0
        self.restarting = 0
        self.removing = False
        self.gone = False
        self.execs: set[str] = set()
        self.rendered: t.ContainerSummary | None = None
        self._waiters: dict[str, set[asyncio.Future[t.ExitResult]]] = {condition: set() for condition in CONDITIONS}

    # -- what it is

    @property
    def id(self) -> str:
        """64 hex digits."""
        return self.record.id

    @property
    def name(self) -> str:
        """Without its slash."""
        return self.record.name

    @property
    def status(self) -> Status:
        """Where it is in its life."""
        return self.record.state.status

    @property
    def running(self) -> bool:
        """Docker's State.Running: also paused and restarting."""
        return self.record.state.status in RUNNING

    @property
    def alive(self) -> bool:
        """Whether its main process lives."""
        return self.record.state.status in ALIVE

    @cached_property
    def config(self) -> Config:
        """The merged Config, typed."""
        return view(self.record.config, Config)

    @property
    def host(self) -> HostConfig:
        """HostConfig, typed; changes with ``update``."""
        return view(self.record.host_config, HostConfig)

    def clock(self) -> int:
        """Now, in nanoseconds."""
        return self._context.clock()

    @property
    def directory(self) -> Path:
        """Its place in the data directory: log, system files, writable layer."""
        return self._context.directory / "containers" / self.record.id

    @property
    def log_path(self) -> Path:
        """Where its output is recorded."""
        return self.directory / "output.log"

    @cached_property
    def hub(self) -> Hub:
        """Its streams."""
        config = self.host.log_config
        log = None if config is not None and config.type == "none" else self._log(config)
        return Hub(log, tty=self.config.tty, stdin_once=self.config.stdin_once, clock=self._context.clock)

    def _log(self, config: LogConfig | None) -> Log:
        try:
            kept = logoptions.rotation(config)
        except EngineError:  # options that every start refuses: nothing will be written
            kept = logoptions.Rotation()
        return Log(self.log_path, max_size=kept.max_size, max_files=kept.max_files)

    # -- changing it

    def move(self, happening: Happening) -> None:
        """Take one transition of the table; IllegalTransition changes nothing. The caller saves."""
        self.record.state.status = after(self.record.state.status, happening)
        self.rendered = None

    def begin(self, happening: Happening) -> None:
        """Take a transition that the journal has to know before anything is done; if it cannot, none is taken."""
        state = replace(self.record.state, status=after(self.record.state.status, happening))
        self._context.store.put("container", self.record.id, replace(self.record, state=state))
        self.move(happening)

    def save(self) -> None:
        """Write it to the journal."""
        self.rendered = None
        self._context.store.put("container", self.record.id, self.record)

    def emit(self, action: str, **attributes: str) -> None:
        """Tell the event bus."""
        labels: dict[str, str] = self.record.config.get("Labels") or {}
        own = {"image": self.record.config.get("Image") or "", "name": self.record.name}
        self._context.events.emit("container", action, self.record.id, {**labels, **own, **attributes})

    # -- waiting for it

    def wait(self, condition: str) -> asyncio.Future[t.ExitResult]:
        """Return a future that resolves once, when the condition is met; at once when it is met already."""
        condition = condition or "not-running"
        if condition not in CONDITIONS:
            raise InvalidArgument(f'invalid condition: "{condition}"')
        future: asyncio.Future[t.ExitResult] = asyncio.get_running_loop().create_future()
        if condition == "not-running" and not self.running:
            future.set_result(self.result())
            return future
        waiters = self._waiters[condition]
        waiters.add(future)
        future.add_done_callback(waiters.discard)
        return future

    def result(self, error: str = "") -> t.ExitResult:
        """The outcome of the last run."""
        return t.ExitResult(status_code=self.record.state.exit_code, error=error)

    def announce(self, *conditions: str, error: str = "") -> None:
        """Resolve those who wait for these conditions."""
        result = self.result(error)
        for condition in conditions:
            for future in tuple(self._waiters[condition]):
                if not future.done():
                    future.set_result(result)

    # -- refusing

    def require_alive(self) -> Process:
        """Return the main process; Conflict in Docker's words when there is none."""
        if self.process is None or not self.alive:
            if self.status is Status.RESTARTING:
                raise Conflict(f"Container {self.id} is restarting, wait until the container is running")
            raise Conflict(f"container {self.id} is not running")
        return self.process

    def require_kept(self, subject: str = "container", what: str = "started") -> None:
        """Refuse when it is being removed, or gone."""
        if self.removing or self.status in (Status.REMOVING, Status.DEAD):
            raise Conflict(f"{subject} is marked for removal and cannot be {what}")
