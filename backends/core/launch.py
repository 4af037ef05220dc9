"""Starting a container's main process, and what follows when it ends: the two halves of one run."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine

from backends.api.errors import Conflict, EngineError, InvalidArgument, NotModified, Unavailable
from backends.core import logoptions, ports, restart, sources
from backends.core.clock import SECOND
from backends.core.container import Container
from backends.core.context import Context
from backends.core.drivers import ExitStatus, Process, StartError
from backends.core.endpoints import Endpoints
from backends.core.environment import main_process
from backends.core.lifecycle import Happening, Status
from backends.core.linking import Linking
from backends.core.pumps import Drain
from backends.core.registry import Registry
from backends.core.specs import container_spec
from backends.core.volumes import Volumes

logger = logging.getLogger(__name__)
DRAIN_LIMIT = 30.0
RECORD_AGAIN = 1.0
RUNTIME_PREFIX = (
    "failed to create task for container: failed to create shim task: OCI runtime create failed: "
    "runc create failed: unable to start container process: "
)
Hook = Callable[[Container], Coroutine[None, None, None]]


class Launcher:
    """``on_running`` begins health checks, ``remove`` carries out AutoRemove; both are set by the engine."""

    on_running: Callable[[Container], None]
    remove: Hook

    def __init__(self, context: Context, registry: Registry, endpoints: Endpoints, volumes: Volumes) -> None:
        self._context = context
        self._registry = registry
        self._endpoints = endpoints
        self._volumes = volumes
        self._linking = Linking(context, registry, endpoints)

    async def start(self, container: Container) -> None:
        """Docker's POST /containers/{id}/start."""
        async with container.lock:
            container.require_kept()
            if container.status is Status.PAUSED:
                raise Conflict("cannot start a paused container, try unpause instead")
            if container.running:
                raise NotModified()
            container.record.manually_stopped = False
            container.record.restart_count = 0
            container.back_off = 0.0
            await self._launch(container)

    async def _launch(self, container: Container) -> None:
        """Start the process; afterwards it runs, or nothing of the attempt is left but its error."""
        record = container.record
        for mount in record.mounts:
            sources.provide(mount)
        record.starting = True
        try:
            container.save()
        except BaseException:
            record.starting = False
            raise
        try:
            process = await self._bring_up(container)
        except BaseException as error:
            await self._undo(container, error)
            self.end(container)
            raise _answer(error) from error
        record.starting = False
        container.move(Happening.START)
        state = record.state
        state.pid, state.exit_code, state.error, state.oom_killed = process.pid, 0, "", False
        state.started_at = self._context.clock()
        record.has_run = True
        container.process = process
        container.hub.begin_run()
        stdin = container.hub.stdin if container.config.open_stdin else None
        drain = Drain(process, container.hub.append, stdin)
        container.supervisor = self._context.spawn(
            self._supervise(container, process, drain), f"run {container.id[:12]}"
        )
        self.on_running(container)
        self._record(container)
        container.emit("start")

    async def _bring_up(self, container: Container) -> Process:
        record = container.record
        _check_log(container)
        for mount in record.mounts:
            if mount.kind == "volume":
                access = "false" if mount.read_only else "true"
                self._volume_event(container, mount.volume, "mount", mount.destination, access)
        hosts, environment = self._linking.resolve(container)
        await self._endpoints.join(container, hosts)
        self._linking.write_files(container, hosts)
        if self._endpoints.leads_out(container):
            await ports.publish(container, self._registry, self._context.drivers.network)
        process = await main_process(self._context.drivers, container, environment)
        return await self._context.drivers.lifecycle.start(container_spec(container, self._volumes), process)

    def refresh_files(self, container: Container) -> None:
        """Its networks have changed while it runs: /etc/hosts follows."""
        try:
            hosts, _ = self._linking.resolve(container)
            self._linking.write_files(container, hosts)
        except EngineError as error:
            logger.warning("the hosts file of container %s was not brought up to date: %s", container.id, error.message)

    def _volume_event(self, container: Container, volume: str, action: str, *mounted: str) -> None:
        attributes = {"container": container.id, "driver": "local"}
        if mounted:
            attributes |= {"destination": mounted[0], "propagation": "", "read/write": mounted[1]}
        self._context.events.emit("volume", action, volume, attributes)

    async def _take_down(self, container: Container) -> None:
        """Give back what only a running container has."""
        await self._endpoints.leave(container)
        container.record.ports = []
        for mount in container.record.mounts:
            if mount.kind == "volume":
                self._volume_event(container, mount.volume, "unmount")

    async def _undo(self, container: Container, error: BaseException) -> None:
        record = container.record
        await self._context.drivers.lifecycle.stop_all(container.id)
        await self._take_down(container)
        record.starting = False
        container.move(Happening.START_FAILED)
        if isinstance(error, StartError):
            record.state.exit_code = error.code
        record.state.exit_code = record.state.exit_code or 128  # as in Docker that of the last run stays
        record.state.error = str(_answer(error)) or type(error).__name__
        self._record(container)
        container.hub.end_run()

    # -- the end of a run

    async def _supervise(self, container: Container, process: Process, drain: Drain) -> None:
        status = await process.wait()
        container.hub.release_producer()
        await self._context.drivers.lifecycle.stop_all(container.id)
        try:
            await drain.finish(DRAIN_LIMIT)
        except TimeoutError:
            drain.leave()
            logger.error("output of container %s did not end with its processes", container.id)
        async with container.lock:
            await self._finish(container, status)
        if _removes_itself(container):
            await self.remove(container)

    def end(self, container: Container) -> None:
        """Carry out AutoRemove beside what is done now."""
        if _removes_itself(container):
            self._context.spawn(self.remove(container), f"remove {container.id[:12]}")

    async def _finish(self, container: Container, status: ExitStatus) -> None:
        record, state = container.record, container.record.state
        try:
            await self._take_down(container)
        except (EngineError, OSError) as error:
            logger.error("networks of container %s were not left cleanly: %s", container.id, error)
        now = self._context.clock()
        ran = (now - state.started_at) / SECOND
        again = restart.wanted(record, container.host, status.code)
        again = again and not (container.removing or self._context.closing)
        container.process = None
        if container.health_task is not None:
            container.health_task.cancel()
            container.health_task = None
        container.move(Happening.EXIT_TO_RESTART if again else Happening.EXIT)
        state.pid, state.exit_code, state.finished_at = 0, status.code, now
        state.oom_killed, state.error = status.oom_killed, status.error
        if again:
            record.restart_count += 1
        if status.oom_killed:
            container.emit("oom")
        if container.stopping:
            container.emit("stop")
        container.emit("die", execDuration=str(int(ran)), exitCode=str(status.code))
        await self._record_some_time(container)
        container.hub.end_run()
        container.announce("not-running", "next-exit")
        if again:
            container.back_off = restart.back_off(container.back_off, ran)
            container.restart_task = self._context.spawn(self._restart_later(container), f"restart {container.id[:12]}")

    def _record(self, container: Container) -> None:
        """Write what has happened to it and cannot be taken back: now or, on a full disk, as soon as it can be."""
        try:
            container.save()
        except Unavailable:
            self._context.spawn(self._record_some_time(container), f"record {container.id[:12]}")

    async def _record_some_time(self, container: Container) -> None:
        """The same; returns when it is written, or nothing of the container is left."""
        while not container.gone:
            try:
                container.save()
                return
            except Unavailable as error:
                logger.error("the state of container %s is not recorded yet: %s", container.id, error.message)
                await asyncio.sleep(RECORD_AGAIN)

    async def _restart_later(self, container: Container) -> None:
        """Start again after the back-off, as often as starting fails and the policy allows."""
        while True:
            await asyncio.sleep(container.back_off)
            async with container.lock:
                if container.status is not Status.RESTARTING or container.removing:
                    return
                try:
                    await self._launch(container)
                except EngineError as error:
                    logger.warning("container %s did not restart: %s", container.id, error.message)
                else:
                    container.restart_task = None
                    return
                if not restart.wanted(container.record, container.host, container.record.state.exit_code):
                    self.give_up(container)
                    return
                container.record.restart_count += 1
                container.back_off = restart.back_off(container.back_off, 0.0)
                self._record(container)

    def give_up(self, container: Container) -> None:
        """A container that waits to be restarted stays exited."""
        if container.restart_task is not None and container.restart_task is not asyncio.current_task():
            container.restart_task.cancel()
        container.restart_task = None
        container.move(Happening.GIVE_UP)
        self._record(container)
        container.announce("not-running", "next-exit")


def _removes_itself(container: Container) -> bool:
    """Whether AutoRemove is due: it has ended for good, and nobody removes it or restarts it by hand."""
    return container.host.auto_remove and not (container.running or container.restarting or container.removing)


def _check_log(container: Container) -> None:
    """What is wrong with a log option's value is told by the start, as in Docker."""
    try:
        logoptions.rotation(container.host.log_config)
    except EngineError as error:
        what = f"failed to create task for container: failed to initialize logging driver: {error.message}"
        raise EngineError(what) from None


def _answer(error: BaseException) -> BaseException:
    """What the client is told of a failed start: StartError is the user's mistake, in the runtime's words."""
    if isinstance(error, StartError):
        return InvalidArgument(runtime_words(RUNTIME_PREFIX, error.message))
    if isinstance(error, OSError):
        return EngineError(f"{RUNTIME_PREFIX}{error.strerror or error}: unknown")
    return error


def runtime_words(prefix: str, message: str) -> str:
    """Dress a runtime's message as Docker shows it."""
    if message.startswith("OCI runtime"):
        return message
    return f"{prefix}{message}" if message.endswith(": unknown") else f"{prefix}{message}: unknown"
