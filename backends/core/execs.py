"""Processes beside the main one: create, start, inspect, resize. Finished execs are kept five minutes."""

from __future__ import annotations

import asyncio
import itertools
from functools import partial

from backends.api import types as t
from backends.api.errors import Conflict, EngineError, InvalidArgument, NotFound
from backends.api.framing import STDOUT
from backends.core.attach import Attachment, parse_detach_keys
from backends.core.clock import SECOND
from backends.core.container import Container
from backends.core.context import Context
from backends.core.drivers import ExecSpec, ExitStatus, Process, StartError
from backends.core.environment import complete_env, user_of
from backends.core.launch import runtime_words
from backends.core.lifecycle import Status
from backends.core.names import new_id
from backends.core.pumps import Drain
from backends.core.records import ExecRecord
from backends.core.registry import Registry
from backends.core.stdin import StdinQueue

KEEP = 300 * SECOND
DRAIN_LIMIT = 2.0
_SOME = 50
EXEC_PREFIX = "OCI runtime exec failed: exec failed: unable to start container process: "


class Exec:
    """One exec; ``attachment`` is its only client."""

    def __init__(self, record: ExecRecord, container: Container) -> None:
        self.record = record
        self.container = container
        self.process: Process | None = None
        self.attachment: Attachment | None = None
        self.abandoned = False
        self.finished: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def abandon(self) -> None:
        """Its client went away before it had the stream: nobody reads what it writes."""
        self.abandoned = True
        if self.attachment is not None:
            self.attachment.end()

    def emit(self, action: str, **attributes: str) -> None:
        """Tell the event bus."""
        self.container.emit(action, execID=self.record.id, **attributes)


class Execs:
    """All execs of one worker by id."""

    def __init__(self, context: Context, registry: Registry) -> None:
        self._context = context
        self._registry = registry
        self._by_id: dict[str, Exec] = {}

    def recover(self) -> None:
        """Read the journal: what ran when the worker died was killed with it."""
        for record in self._context.store.all("exec", ExecRecord):
            container = self._registry.get(record.container)
            if container is None:
                self._context.store.delete("exec", record.id)
                continue
            if record.running:
                record.running, record.exit_code, record.finished_at = False, 137, self._context.clock()
                self._context.store.put("exec", record.id, record)
            self._by_id[record.id] = Exec(record, container)
            container.execs.add(record.id)
        self._forget_old()

    async def create(self, container: Container, request: t.CreateExec) -> Exec:
        """Docker's POST /containers/{id}/exec."""
        if container.status is Status.PAUSED:
            raise Conflict(f"Container {container.name} is paused, unpause the container before exec")
        container.require_alive()
        if not request.cmd:
            raise InvalidArgument("No exec command specified")
        parse_detach_keys(request.detach_keys)
        if request.user:
            await user_of(self._context.drivers, container, request.user)
        record = ExecRecord(
            id=new_id(),
            container=container.id,
            argv=request.cmd,
            env=request.env,
            user=request.user,
            cwd=request.working_dir,
            tty=request.tty,
            privileged=request.privileged,
            stdin=request.attach_stdin,
            stdout=request.attach_stdout,
            stderr=request.attach_stderr,
            detach_keys=request.detach_keys,
            console_size=request.console_size,
        )
        self._forget_old()
        found = Exec(record, container)
        self._by_id[record.id] = found
        container.execs.add(record.id)
        self._save(record)
        found.emit(f"exec_create: {describe(record.argv)}")
        return found

    def find(self, exec_id: str) -> Exec:
        """Return an exec; NotFound in Docker's words."""
        found = self._by_id.get(exec_id)
        if found is None or found.container.gone:
            raise NotFound(f"No such exec instance: {exec_id}")
        return found

    def running(self, container: Container) -> list[str]:
        """Return the ids of the execs that run in a container."""
        return [key for key in container.execs if key in self._by_id and self._by_id[key].record.running]

    async def start(self, found: Exec, request: t.StartExec) -> Attachment | None:
        """Start it, attached unless ``request.detach``. A program that cannot run says so on the stream (attached)."""
        record, container = found.record, found.container
        if record.started:
            if record.exit_code is not None and not record.running:
                raise Conflict(f"Error: Exec command {record.id} has already run")
            raise Conflict(f"Error: Exec command {record.id} is already running")
        if container.status is Status.PAUSED:
            raise Conflict(f"Container {container.name} is paused, unpause the container before exec")
        container.require_alive()
        record.started = True
        stdin = StdinQueue() if record.stdin and not request.detach else None
        attachment = None
        if not request.detach:
            attachment = found.attachment = self._attach(found, stdin, request.tty)
            if found.abandoned:
                found.abandon()
        found.emit(f"exec_start: {describe(record.argv)}")
        try:
            spec = await self._spec(found, request)
            if not spec.cwd.startswith("/"):
                raise StartError(128, "OCI runtime exec failed: exec failed: Cwd must be an absolute path")
            found.process = await self._context.drivers.exec.exec(container.id, spec)
        except StartError as error:
            return self._refuse(found, attachment, error)
        except BaseException:
            self._finish(found, 126)
            raise
        record.running, record.pid = True, found.process.pid
        self._save(record)
        self._context.spawn(self._supervise(found, found.process, stdin), f"exec {record.id[:12]}")
        return attachment

    async def _spec(self, found: Exec, request: t.StartExec) -> ExecSpec:
        record, container = found.record, found.container
        user = await user_of(self._context.drivers, container, record.user or container.config.user or "")
        size = request.console_size or record.console_size
        return ExecSpec(
            argv=tuple(record.argv),
            env=complete_env(container, user, record.tty, record.env),
            cwd=record.cwd or container.config.working_dir or "/",
            user=user.credentials,
            tty=record.tty,
            stdin=record.stdin and not request.detach,
            size=(size[0], size[1]) if size and len(size) == 2 and any(size) else None,
            privileged=record.privileged,
        )

    @staticmethod
    def _attach(found: Exec, stdin: StdinQueue | None, raw: bool) -> Attachment:
        """``raw``: as in Docker, whoever starts it says whether its output is framed."""
        record = found.record

        def close_stdin(_: Attachment) -> None:
            if stdin is not None:
                stdin.close()

        return Attachment(
            tty=raw,
            stdout=record.stdout,
            stderr=record.stderr,
            stdin=stdin,
            on_eof=close_stdin,
            on_close=close_stdin,
            on_detach=lambda _: found.emit("exec_detach"),
            detach_keys=parse_detach_keys(record.detach_keys) if record.tty else b"",
        )

    def _refuse(self, found: Exec, attachment: Attachment | None, error: StartError) -> Attachment | None:
        """The program could not start: Docker writes the runtime's words to an attached stdout."""
        message = runtime_words(EXEC_PREFIX, error.message)
        self._finish(found, error.code)
        if attachment is None:
            raise InvalidArgument(message)
        text = f"{message}\r\n".encode()
        attachment.offer(STDOUT, text)
        attachment.end()
        return attachment

    async def _supervise(self, found: Exec, process: Process, stdin: StdinQueue | None) -> None:
        attachment = found.attachment

        async def sink(stream: int, data: bytes) -> None:
            if attachment is not None and attachment.wants(stream):
                attachment.offer(stream, data)
                if attachment.full:
                    await attachment.room()

        drain = Drain(process, sink, stdin)
        status = ExitStatus(137)
        try:
            status = await process.wait()
            if attachment is not None:
                attachment.release()
            await drain.finish(DRAIN_LIMIT)
        except TimeoutError:
            drain.leave()  # a process it left behind may go on writing; nobody listens
        finally:
            self._finish(found, status.code)
            if attachment is not None:
                attachment.end()

    def _finish(self, found: Exec, code: int) -> None:
        record = found.record
        record.running, record.exit_code, record.pid = False, code, 0
        record.finished_at = self._context.clock()
        found.process = found.attachment = None  # whoever needs them has them: all that is kept is the record
        self._save(record)
        found.emit("exec_die", exitCode=str(code))
        if not found.finished.done():
            found.finished.set_result(code)

    def _save(self, record: ExecRecord) -> None:
        self._context.store.later(lambda: self._context.store.put("exec", record.id, record))

    def resize(self, found: Exec, height: int, width: int) -> None:
        """Tell its terminal a new size."""
        if found.process is None or not found.record.running:
            raise EngineError(f"exec process is not started: {found.record.id}")
        found.process.resize(height, width)

    def _forget_old(self) -> None:
        """Drop execs that ended long ago, some at a time. What has not ended goes to the end, out of the way."""
        limit = self._context.clock() - KEEP
        for exec_id, found in list(itertools.islice(self._by_id.items(), _SOME)):
            record = found.record
            if not found.container.gone and record.finished_at > limit:
                return
            del self._by_id[exec_id]
            if not found.container.gone and not record.finished_at:
                self._by_id[exec_id] = found
                continue
            found.container.execs.discard(exec_id)
            self._context.store.later(partial(self._context.store.delete, "exec", exec_id))


def describe(argv: list[str]) -> str:
    """The command as events and inspect show it: entry point, a space, arguments."""
    return f"{argv[0]} {' '.join(argv[1:])}"


def render(found: Exec) -> t.Exec:
    """Docker's GET /exec/{id}/json."""
    record = found.record
    return t.Exec(
        id=record.id,
        running=record.running,
        exit_code=record.exit_code,
        process_config=t.ProcessConfig(
            tty=record.tty,
            entrypoint=record.argv[0],
            arguments=record.argv[1:],
            privileged=record.privileged,
            user=record.user,
        ),
        open_stdin=record.stdin,
        open_stderr=record.stderr,
        open_stdout=record.stdout,
        can_remove=False,
        container_id=record.container,
        detach_keys=record.detach_keys,
        pid=record.pid,
    )
