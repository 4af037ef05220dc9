"""A running process seen from outside: its standard streams as host descriptors, signals, the end."""

from __future__ import annotations

import fcntl
import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from sandbox.wasm.kernel import signals
from sandbox.wasm.kernel.abi import SIGKILL
from sandbox.wasm.kernel.devices import NUMBERS, NullFile
from sandbox.wasm.kernel.files import OpenFile
from sandbox.wasm.kernel.lifecycle import stacks_of
from sandbox.wasm.kernel.output import output_streams
from sandbox.wasm.kernel.pipes import HostStream
from sandbox.wasm.kernel.tty import Terminal
from sandbox.wasm.specs import ExitStatus
from sandbox.wasm.vfs.dynamic import Device

if TYPE_CHECKING:
    from sandbox.wasm.kernel.kernel import Kernel
    from sandbox.wasm.kernel.task import Task

_PUMP_STACK = 256 << 10
_CHUNK = 4096
_NULL = Device(0o020666, os.makedev(*NUMBERS["null"]))


class Process:
    """`stdin` and `output` are host descriptors, non-blocking, that the caller owns and closes, or None.

    `output` carries standard output and error in the order written: a packet socket whose messages are one byte, 1 or
    2, and data (`kernel.output`). That of a terminal carries plain bytes and ends with EIO. `on_exit` is told once,
    after the process has closed all it had open.
    """

    def __init__(self) -> None:
        self.pid = 0
        self.stdin: int | None = None
        self.output: int | None = None
        self._task: Task | None = None
        self._terminal: Terminal | None = None
        self._typed: socket.socket | None = None
        self._lock = threading.Lock()
        self._status: ExitStatus | None = None
        self._callbacks: list[Callable[[ExitStatus], None]] = []
        self._ended = threading.Event()

    # Making

    def pipes(self, with_stdin: bool, uid: int) -> list[OpenFile]:
        """Open files for descriptors 0, 1 and 2 without a terminal; the pipes belong to `uid`, as runc has it."""
        files: list[OpenFile] = [NullFile(_NULL, os.O_RDWR)]
        if with_stdin:
            inner, self.stdin = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
            files = [HostStream(inner, os.O_RDONLY, owner=(uid, 0))]
        self.output, out, err = output_streams((uid, 0))
        return [*files, out, err]

    def terminal(self, kernel: Kernel, size: tuple[int, int] | None, uid: int) -> tuple[Terminal, list[OpenFile]]:
        """A new terminal of `uid` and the open files for descriptors 0, 1 and 2 on it."""
        rows, columns = size or (0, 0)
        terminal = self._terminal = Terminal(kernel, (uid, 0), rows, columns)
        node = kernel.tree.resolve(f"/dev/pts/{terminal.index}")
        file = terminal.open(os.O_RDWR, node)
        self.output = fcntl.fcntl(terminal.master, fcntl.F_DUPFD_CLOEXEC, 0)
        outer, self._typed = socket.socketpair()
        outer.setblocking(False)
        self.stdin = outer.detach()
        _start_pump(self._typed, terminal)
        return terminal, [file, file, file]

    def started(self, task: Task) -> None:
        self._task = task
        self.pid = task.pid

    def abandon(self) -> None:
        """It could not be started: nothing stays open."""
        self._release()
        self._close()

    def discard(self) -> None:
        """Whoever started it has gone: it is killed, and its descriptors are closed at its end."""
        with suppress(ProcessLookupError):
            self.signal(SIGKILL)
        self.on_exit(lambda _: self._close())

    def _close(self) -> None:
        for fd in (self.stdin, self.output):
            if fd is not None:
                os.close(fd)
        self.stdin = self.output = None

    def ended(self, task: Task) -> None:
        """Called by the kernel, on the process's thread."""
        self._release()
        signal = task.status & 0x7F
        oom = task.out_of_memory or (task.init and task.kernel.counters.out_of_memory)
        status = ExitStatus(128 + signal if signal else task.status >> 8, signal, oom)
        with self._lock:
            self._status = status
            callbacks, self._callbacks = self._callbacks, []
        try:
            for callback in callbacks:
                callback(status)
        finally:
            self._ended.set()

    def _release(self) -> None:
        if self._typed is not None:
            with suppress(OSError):
                self._typed.shutdown(socket.SHUT_RDWR)
        if self._terminal is not None:
            self._terminal.close()

    # Using

    def signal(self, number: int) -> None:
        """ProcessLookupError when it has ended."""
        task = self._task
        if task is None:
            raise ProcessLookupError(self.pid)
        with task.kernel.lock:
            if not task.alive:
                raise ProcessLookupError(self.pid)
            signals.post(task, number, outside=True)

    def resize(self, rows: int, columns: int) -> None:
        """No effect without a terminal or after the end."""
        if self._terminal is not None:
            with suppress(OSError):  # it has been closed meanwhile
                self._terminal.resize(rows, columns)

    def on_exit(self, callback: Callable[[ExitStatus], None]) -> None:
        """`callback` is called once, from any thread; at once when the process has ended."""
        with self._lock:
            if self._status is None:
                self._callbacks.append(callback)
                return
        callback(self._status)

    def wait(self, timeout: float | None = None) -> ExitStatus:
        """Block until it has ended; TimeoutError."""
        if not self._ended.wait(timeout) or self._status is None:
            raise TimeoutError
        return self._status


def _start_pump(source: socket.socket, terminal: Terminal) -> None:
    thread = threading.Thread(target=_pump, args=(source, terminal), name="sandbox-terminal", daemon=True)
    with stacks_of(_PUMP_STACK):
        thread.start()


def _pump(source: socket.socket, terminal: Terminal) -> None:
    """Type what comes from outside; the terminal looks for characters that send signals."""
    with source, suppress(OSError):
        while data := source.recv(_CHUNK):
            if not terminal.type(data):
                return
