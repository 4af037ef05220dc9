"""Health checks: probes as execs, and the verdict they add up to."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from backends.api import types as t
from backends.api.errors import EngineError
from backends.api.framing import Deframer
from backends.core.clock import SECOND
from backends.core.config import Healthcheck
from backends.core.container import Container
from backends.core.context import Context
from backends.core.execs import Execs
from backends.core.records import HealthRecord, ProbeRecord

OUTPUT_LIMIT = 4096
LOG_LENGTH = 5
_DEFAULTS = {"interval": 30.0, "timeout": 30.0, "start_interval": 5.0}


@dataclass(frozen=True)
class Plan:
    """A health check with its defaults filled in; seconds."""

    argv: tuple[str, ...]
    interval: float
    timeout: float
    start_period: float
    start_interval: float
    retries: int


def plan(check: Healthcheck | None, shell: list[str] | None = None) -> Plan | None:
    """Return what to do, None when there is nothing to check."""
    if check is None or not check.test or check.test[0] == "NONE":
        return None
    kind, *rest = check.test
    argv = tuple(rest) if kind == "CMD" else (*(shell or ("/bin/sh", "-c")), *rest)
    return Plan(
        argv,
        (check.interval / SECOND) or _DEFAULTS["interval"],
        (check.timeout / SECOND) or _DEFAULTS["timeout"],
        check.start_period / SECOND,
        (check.start_interval / SECOND) or _DEFAULTS["start_interval"],
        check.retries or 3,
    )


def judge(health: HealthRecord, probe: ProbeRecord, retries: int, starting: bool) -> bool:
    """Add a probe; returns whether the status changed. Failures within the start period do not count."""
    before = health.status
    health.log = [*health.log, probe][-LOG_LENGTH:]
    if probe.exit_code == 0:
        health.failing_streak = 0
        health.status = "healthy"
    elif not (starting and health.status == "starting"):
        health.failing_streak += 1
        if health.failing_streak >= retries:
            health.status = "unhealthy"
    return health.status != before


class Health:
    """Runs the checks of running containers."""

    def __init__(self, context: Context, execs: Execs) -> None:
        self._context = context
        self._execs = execs

    def begin(self, container: Container) -> None:
        """A container has started: check it from now on, if it wants that."""
        found = plan(container.config.healthcheck, container.record.config.get("Shell"))
        container.record.state.health = None
        if found is not None:
            container.record.state.health = HealthRecord()
            container.health_task = self._context.spawn(self._watch(container, found), f"health {container.id[:12]}")

    async def _watch(self, container: Container, found: Plan) -> None:
        began = self._context.clock()
        health = container.record.state.health
        assert health is not None
        while container.alive:
            elapsed = (self._context.clock() - began) / SECOND
            starting = elapsed < found.start_period
            quick = starting and health.status == "starting"
            await asyncio.sleep(min(found.start_interval, found.interval) if quick else found.interval)
            if container.record.state.status != "running":
                continue
            probe = await self._probe(container, found)
            if not container.alive:
                return
            starting = (self._context.clock() - began) / SECOND < found.start_period
            if judge(health, probe, found.retries, starting):
                container.save()
                container.emit(f"health_status: {health.status}")
            else:
                container.rendered = None

    async def _probe(self, container: Container, found: Plan) -> ProbeRecord:
        start = self._context.clock()
        try:
            async with asyncio.timeout(found.timeout):
                code, output = await self._run(container, found)
        except TimeoutError:
            seconds = f"{found.timeout:g}s"
            code, output = -1, f"Health check exceeded timeout ({seconds})"
        except EngineError as error:
            code, output = -1, error.message
        return ProbeRecord(start, self._context.clock(), code, output)

    async def _run(self, container: Container, found: Plan) -> tuple[int, str]:
        request = t.CreateExec(cmd=list(found.argv), attach_stdout=True, attach_stderr=True)
        probe = await self._execs.create(container, request)
        stream = await self._execs.start(probe, t.StartExec())
        assert stream is not None
        deframer, output = Deframer(), bytearray()
        try:
            while data := await stream.read():
                for _, payload in deframer.feed(data):
                    output += payload[: OUTPUT_LIMIT - len(output)]
            code = await probe.finished
        finally:
            await stream.close()
            if probe.process is not None and probe.record.running:
                try:
                    probe.process.signal(9)
                except ProcessLookupError:
                    pass
        return code, output.decode("utf-8", "replace")
