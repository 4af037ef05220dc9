"""A container's streams: the log, everyone attached, and standard input, across all its runs.

Output goes to the log first, then to each attachment. Registering an attachment is atomic with respect to output (no
await in between), so one that asks for the log too gets every byte once. Attachments made before a start belong to the
next run and end with it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

from backends.api.framing import STDERR, STDOUT
from backends.core.attach import Attachment
from backends.core.clock import Clock, system_clock
from backends.core.log import LineCutter, Log, Record, Unwritten, pieces
from backends.core.stdin import StdinQueue

logger = logging.getLogger(__name__)


class Hub:
    """``log`` None = the log driver "none"."""

    def __init__(self, log: Log | None, *, tty: bool, stdin_once: bool, clock: Clock = system_clock) -> None:
        self.log = log
        self.tty = tty
        self._stdin_once = stdin_once
        self._clock = clock
        self._cutters = {STDOUT: LineCutter(), STDERR: LineCutter()}
        self._attachments: list[Attachment] = []
        self.stdin = StdinQueue()
        self._lost = 0  # bytes of output that are not in the log and not yet told of there
        self._reason = ""
        self._hurry = False
        self.runs = 0  # how many runs have begun, and how many of them are over
        self.ended = 0
        self.closed = False

    async def append(self, stream: int, data: bytes) -> None:
        """Take output of the program; waits while an attached client is too slow."""
        if self.log is not None:
            ready = self._cutters[stream].feed(data)
            if ready:
                self._record(stream, ready)
        if not self._attachments:
            return
        for attachment in tuple(self._attachments):
            if attachment.wants(stream):
                attachment.offer(stream, data)
                if attachment.full and not self._hurry:
                    await attachment.room()

    def attach(
        self, *, stdin: bool, stdout: bool, stderr: bool, logs: bool, stream: bool, detach_keys: bytes = b""
    ) -> Attachment:
        """Register a client. ``logs`` replays what was recorded; without ``stream``, or any stream, nothing follows."""
        attachment = Attachment(
            tty=self.tty,
            stdout=stdout,
            stderr=stderr,
            stdin=self.stdin if stdin and stream else None,
            on_eof=self._stdin_eof,
            on_close=self._closed,
            detach_keys=detach_keys,
        )
        if logs:
            self._replay(attachment)
        if stream and (stdout or stderr or attachment.stdin is not None):
            self._attachments.append(attachment)
        else:
            attachment.end()
        return attachment

    def release_producer(self) -> None:
        """The program is gone: take the rest of its output (a pipe's worth) without waiting for slow clients."""
        self._hurry = True
        for attachment in self._attachments:
            attachment.release()

    def begin_run(self) -> None:
        """The program is started: let those who follow the log look again."""
        self._hurry = False
        self.runs += 1
        if self.log is not None:
            self.log.wake()

    def end_run(self) -> None:
        """The program is gone and drained: finish its last lines, release its clients, forget its input."""
        for stream, cutter in self._cutters.items():
            if (rest := cutter.flush()) and self.log is not None:
                self._record(stream, rest)
        attachments, self._attachments = self._attachments, []
        for attachment in attachments:
            attachment.end()
        self.stdin.reset()
        self.ended = self.runs
        if self.log is not None:
            self.log.close()

    def close(self) -> None:
        """The container is being removed."""
        self.closed = True
        self.end_run()

    @property
    def attached(self) -> int:
        """How many clients are attached."""
        return len(self._attachments)

    @property
    def gap(self) -> tuple[int, bytes] | None:
        """What is missing at the log's end, as a stream and a line for whoever reads it; None when nothing is."""
        if not self._lost:
            return None
        line = f"[sockerless: {self._lost} bytes of output were not logged: {self._reason}]\n"
        return (STDOUT if self.tty else STDERR), line.encode()

    def _record(self, stream: int, data: bytes) -> None:
        """Write to the log. What a full disk keeps out of it is counted, and told where it is missing."""
        assert self.log is not None
        try:
            if (gap := self.gap) is not None:
                self.log.append(self._clock(), *gap)
                self._lost = 0
            self.log.append(self._clock(), stream, data)
        except Unwritten as error:
            if not self._lost:
                logger.error("%s is not complete: %s", self.log.path, error)
            self._lost += len(data) if self._lost else error.lost
            self._reason = str(error)

    def _replay(self, attachment: Attachment) -> None:
        if self.log is not None:
            attachment.precede(_recorded(self.log.read(0, self.log.end)))
        if self.gap is not None and attachment.wants(self.gap[0]):
            attachment.offer(*self.gap)
        for stream, cutter in self._cutters.items():
            if cutter.held and attachment.wants(stream):
                attachment.offer(stream, cutter.held)

    def _stdin_eof(self, attachment: Attachment) -> None:
        """Docker's rule: StdinOnce closes the program's input; otherwise this client's output ends with its input."""
        if attachment.stdin is None:
            return
        if self._stdin_once and not self.tty:
            self.stdin.close()
        else:
            attachment.end()

    def _closed(self, attachment: Attachment) -> None:
        if attachment in self._attachments:
            self._attachments.remove(attachment)
            if attachment.stdin is not None and self._stdin_once and not self.tty:
                self.stdin.close()


def _recorded(records: Iterator[Record]) -> Iterator[tuple[int, bytes]]:
    for record in records:
        for piece in pieces(record.data):
            yield record.stream, piece
