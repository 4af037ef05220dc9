"""``docker logs``: what was recorded, one frame a line, and what comes after when following."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

from backends.api import types as t
from backends.api.errors import Conflict, InvalidArgument, Unsupported
from backends.api.framing import STDERR, STDOUT, frame
from backends.core import logoptions
from backends.core.clock import SECOND, rfc3339_fixed
from backends.core.container import Container
from backends.core.lifecycle import Status
from backends.core.log import Log, Record, pieces

_BATCH = 256 << 10


async def read_logs(container: Container, options: t.LogOptions) -> AsyncIterator[bytes]:
    """Return the stream of a logs request; refuses it before the first byte."""
    if not (options.stdout or options.stderr):
        raise InvalidArgument("must specify at least one of 'stdout' or 'stderr'")
    if container.status in (Status.DEAD, Status.REMOVING):
        raise Conflict("can not get logs from container which is dead or marked for removal")
    log = container.hub.log
    if log is None:
        raise Unsupported("configured logging driver does not support reading")
    logoptions.rotation(container.host.log_config)
    return _Reader(container, log, options).stream()


class _Reader:
    def __init__(self, container: Container, log: Log, options: t.LogOptions) -> None:
        self._container = container
        self._log = log
        self._options = options
        self._wanted = {STDOUT: options.stdout, STDERR: options.stderr}
        self._tty = container.config.tty
        self._details = _details(container) if options.details else ""
        self._past_until = False

    async def stream(self) -> AsyncIterator[bytes]:
        """Yield the past, then (following) what comes until the run ends."""
        end = self._log.end
        position, skip = 0, 0
        if self._options.tail >= 0:
            position, skip = self._log.tail_position(self._options.tail, end)
        hub = self._container.hub
        last_run = hub.runs + (self._container.status is Status.CREATED)
        while True:
            for batch in self._batches(position, end, skip):
                yield batch
                await asyncio.sleep(0)
            position, skip = end, 0
            over = not self._options.follow or self._past_until
            if over or (self._log.end == end and (hub.ended >= last_run or hub.closed or not await self._more())):
                break
            end = self._log.end
        if hub.gap is not None and self._wanted[hub.gap[0]] and not self._past_until:
            buffer = bytearray()
            self._render(Record(self._container.clock(), *hub.gap, end), 0, buffer)
            yield bytes(buffer)

    async def _more(self) -> bool:
        """Wait for the log to move; False when ``until`` has passed."""
        if not self._options.until:
            await self._log.changed()
            return True
        left = (self._options.until - self._container.clock()) / SECOND
        try:
            async with asyncio.timeout(max(left, 0.0)):
                await self._log.changed()
        except TimeoutError:
            return False
        return True

    def _batches(self, start: int, end: int, skip: int) -> Iterator[bytes]:
        buffer = bytearray()
        for record in self._log.read(start, end):
            if self._options.until and record.time > self._options.until:
                self._past_until = True
                break
            if self._wanted[record.stream] and record.time >= self._options.since:
                self._render(record, skip, buffer)
            skip = 0
            if len(buffer) >= _BATCH:
                yield bytes(buffer)
                buffer.clear()
        if buffer:
            yield bytes(buffer)

    def _render(self, record: Record, skip: int, buffer: bytearray) -> None:
        prefix = self._details
        if self._options.timestamps:
            prefix = f"{rfc3339_fixed(record.time)} {prefix}"
        head = prefix.encode()
        lines = pieces(record.data)
        for _ in range(skip):
            next(lines)
        for line in lines:
            buffer += head + line if self._tty else frame(record.stream, head + line)


def _details(container: Container) -> str:
    """``details=1``: the labels and variables that the log options name; without any an empty prefix and a space."""
    record = container.record
    subject = logoptions.Subject(
        id=record.id,
        name=record.name,
        image=record.config.get("Image") or "",
        image_id=record.image,
        labels=record.config.get("Labels") or {},
        env=dict(entry.partition("=")[::2] for entry in record.config.get("Env") or ()),
    )
    return logoptions.details(container.host.log_config, subject) + " "
