"""One process: what it is, how it enters the kernel, how it sleeps."""

from __future__ import annotations

import errno
import select
import struct
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from sandbox.wasm.kernel import signals as sig
from sandbox.wasm.kernel.abi import AT_FDCWD, POLLIN, SIGSTOP, STOPPING
from sandbox.wasm.kernel.arguments import lay_out
from sandbox.wasm.kernel.credentials import Credentials
from sandbox.wasm.kernel.files import FileTable
from sandbox.wasm.kernel.limits import Limits
from sandbox.wasm.kernel.machine import Leave, Machine
from sandbox.wasm.kernel.syscalls import HANDLERS, RESTART, Interrupted, refuse
from sandbox.wasm.kernel.timers import ALARMS, RealTimer
from sandbox.wasm.kernel.waiting import LONGEST, Waker
from sandbox.wasm.vfs.node import PATH_MAX, Directory, fail

if TYPE_CHECKING:
    from sandbox.wasm.kernel.executable import Executable
    from sandbox.wasm.kernel.kernel import Kernel
    from sandbox.wasm.kernel.memory import Memory
    from sandbox.wasm.kernel.session import Session

_ASK_AGAIN = 0.02
_SIGNAL_INFO = struct.Struct("<IIii")


class Exit(Leave):
    """The process ends; `status` as wait4 tells it."""

    def __init__(self, status: int) -> None:
        super().__init__()
        self.status = status


class Exec(Leave):
    """The process becomes another program."""

    def __init__(self, executable: Executable, environ: list[str]) -> None:
        super().__init__()
        self.executable = executable
        self.environ = environ


class Task:
    """A process. `state` is R, S, T (stopped) or Z, as /proc tells it.

    Its own thread changes it; `signals`, `state`, `parent`, `pgid`, `session` and `machine` change under `Kernel.lock`.
    """

    def __init__(self, kernel: Kernel, pid: int, parent: Task | None) -> None:
        self.kernel = kernel
        self.pid = pid
        self.parent = parent
        self.children: dict[int, Task] = {}
        self.init = pid == 1
        self.pgid = pid
        self.session: Session
        self.machine: Machine | None = None
        self.memory: Memory
        self.executable: Executable
        self.argv: list[str] = []
        self.environ: list[str] = []
        self.comm = ""
        self.files = FileTable(kernel.host_files.admit)
        self.limits = Limits()
        self.cwd: Directory = kernel.tree.root
        self.root: Directory = kernel.tree.root
        self.umask = 0o022
        self.credentials = Credentials()
        self.signals = sig.Signals()
        self.waker = Waker(kernel.lock)
        self.state = "R"
        self.status = 0
        self.out_of_memory = False
        self.attention = False
        self._attending = False
        self.unreported_stop = 0
        self.unreported_continue = False
        self.started = time.monotonic()
        self.cpu_ns = 0
        self.children_cpu_ns = 0
        self.thread = 0
        self.timer = RealTimer()
        self.nice = 0
        self.executed = False
        self.dying = False
        self.on_exit: Callable[[Task], None] | None = None

    # What the machine asks (machine.Supervisor).

    def syscall(self, number: int, a: int, b: int, c: int, d: int, e: int, f: int) -> int:
        try:
            handler = HANDLERS[number]
            result = refuse(self, number) if handler is None else handler(self, a, b, c, d, e, f)
        except OSError as error:
            result = -(error.errno or errno.EIO)
        except Interrupted:
            self.notify()
            result = RESTART
        except IndexError:
            if 0 <= number < len(HANDLERS):
                raise
            result = -errno.ENOSYS
        if self.attention:
            self.attend()
        return result

    def fork(self, machine: Machine) -> int:
        return self.kernel.fork(self, machine)

    def arguments(self, address: int) -> int:
        return lay_out(self, address)

    def take_signal(self, address: int) -> int:
        with self.kernel.lock:
            taken = sig.take(self)
        if taken is None:
            return 0
        self.memory.pack(_SIGNAL_INFO, address, *taken)
        return 1

    def checkpoint(self) -> None:
        if self.attention:
            self.attend()

    # Waiting.

    @property
    def spared(self) -> bool:
        """Whether it is the process that signals reach only if it handles them."""
        return self.init and not self.kernel.tended

    @property
    def alive(self) -> bool:
        return self.state != "Z"

    def notify(self) -> None:
        with self.kernel.lock:
            if self.machine is not None:
                self.machine.notify()

    def demand_attention(self) -> None:
        """Have the process carry out a signal's default action, or freeze, soon. Kernel lock held."""
        self.attention = True
        self._interrupt()

    def _interrupt(self) -> None:
        if self.machine is not None and not self._attending:
            self.machine.interrupt()
            # A checkpoint that was just passing when it was asked for has not seen why: ask again until it has.
            ALARMS.at(time.monotonic() + _ASK_AGAIN, self._ask_again)

    def _ask_again(self) -> None:
        with self.kernel.lock:
            if self.attention:
                self._interrupt()

    def attend(self) -> None:
        """Carry out what `attention` asks for: end, stop, freeze. Returns when the process may go on."""
        with self.kernel.lock:
            self._attend()

    def _attend(self) -> None:
        self._attending = True
        try:
            self._carry_out()
        finally:
            self._attending = False

    def _carry_out(self) -> None:
        while True:
            signal = sig.next_default(self)
            if signal and not (1 << (signal - 1)) & STOPPING:
                raise Exit(signal)
            if signal:
                self._stop(signal)
            elif self.state == "T" or self.kernel.frozen:
                self.waker.park(None)
            else:
                self.attention = False
                return

    def _stop(self, signal: int) -> None:
        self.signals.drop(1 << (signal - 1))
        if signal != SIGSTOP and self.kernel.orphaned(self.pgid):
            return
        self.state = "T"
        self.unreported_stop = signal
        self.unreported_continue = False
        sig.tell_parent(self, stopping=True)

    def resume(self, report: bool) -> None:
        """SIGCONT or SIGKILL came. Kernel lock held."""
        if self.state != "T":
            return
        self.state = "R"
        self.unreported_stop = 0
        self.unreported_continue = report
        self.waker.wake()
        if report:
            sig.tell_parent(self, stopping=True)

    def park(self, timeout: float | None) -> None:
        """Sleep until woken or `timeout` seconds are over. Kernel lock held; may leave for good."""
        self.state = "S"
        try:
            self.waker.park(timeout)
        finally:
            if self.state == "S":
                self.state = "R"
        if self.attention:
            self._attend()

    def sleep(self, seconds: float | None) -> bool:
        """Sleep; True when the time is over, False when a signal is to be delivered."""
        end = None if seconds is None else time.monotonic() + seconds
        with self.kernel.lock:
            while True:
                if self.attention:
                    self._attend()
                if self.signals.deliverable():
                    return False
                left = None if end is None else end - time.monotonic()
                if left is not None and left <= 0:
                    return True
                self.park(left)

    def wait_fd(self, host_fd: int, events: int, timeout: float | None = None) -> bool | None:
        """Wait for a host descriptor: True ready, False a signal is to be delivered, None `timeout` seconds over."""
        ready = self.wait_fds([(host_fd, events)], timeout)
        return ready if ready is None else bool(ready)

    def wait_fds(self, wanted: list[tuple[int, int]], timeout: float | None = None) -> dict[int, int] | None:
        """Wait for one of several; what is ready as {descriptor: events}, empty: a signal, None: time over."""
        poller = select.poll()
        for fd, events in wanted:
            poller.register(fd, events)
        with self.kernel.lock:
            wake = self.waker.pollable()
        poller.register(wake, POLLIN)
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            if self.attention:
                self.attend()
            if self.signals.pending and self.signals.deliverable():
                return {}
            left = None if end is None else max(0.0, min(end - time.monotonic(), LONGEST)) * 1000
            ready = self._poll(poller, left)
            found = {fd: events for fd, events in ready if fd != wake}
            if len(found) != len(ready):
                self.waker.drain()
            if found:
                return found
            if end is not None and time.monotonic() >= end:
                return None

    def _poll(self, poller: select.poll, milliseconds: float | None) -> list[tuple[int, int]]:
        self.state = "S"
        try:
            return poller.poll(milliseconds)
        finally:
            if self.state == "S":
                self.state = "R"

    # Paths.

    def directory(self, dirfd: int) -> Directory:
        """The directory that relative paths start at."""
        if dirfd == AT_FDCWD:
            return self.cwd
        node = self.files.get(dirfd).node
        if not isinstance(node, Directory):
            fail(errno.ENOTDIR)
        return node

    def path(self, address: int) -> str:
        path = self.memory.cstring(address)
        if not path:
            fail(errno.ENOENT)
        if len(path) >= PATH_MAX:
            fail(errno.ENAMETOOLONG)
        return path

    def cpu_time_ns(self) -> int:
        """Processor time so far. Kernel lock held."""
        if self.thread and self.alive:
            try:
                return time.clock_gettime_ns(time.pthread_getcpuclockid(self.thread))
            except OSError:
                return self.cpu_ns
        return self.cpu_ns

    def memory_size(self) -> int:
        """Bytes of program memory. Kernel lock held."""
        return self.machine.memory_size() if self.machine is not None else 0
