"""One container's kernel: its process table and what its processes share."""

from __future__ import annotations

import errno
import logging
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox.wasm.kernel import lifecycle
from sandbox.wasm.kernel import signals as sig
from sandbox.wasm.kernel.abi import RLIM_INFINITY, RLIMIT_AS, RLIMIT_NOFILE, RLIMIT_NPROC, SIGKILL
from sandbox.wasm.kernel.credentials import Credentials
from sandbox.wasm.kernel.executable import Loader, Refused, check_size
from sandbox.wasm.kernel.files import OpenFile
from sandbox.wasm.kernel.hostfiles import HostFiles
from sandbox.wasm.kernel.limits import Limits
from sandbox.wasm.kernel.locks import LockTable
from sandbox.wasm.kernel.scarcity import SCARCITY
from sandbox.wasm.kernel.session import Session, orphaned
from sandbox.wasm.kernel.task import Task
from sandbox.wasm.kernel.timers import ALARMS, watch_processor_time
from sandbox.wasm.kernel.tty import Terminal, Terminals
from sandbox.wasm.vfs.node import Directory, fail

if TYPE_CHECKING:
    from sandbox.wasm.kernel.machine import Machine
    from sandbox.wasm.vfs.tree import FileTree

_log = logging.getLogger(__name__)
PID_MAX = 4194304
_HEADROOM = 1 << 30
_LARGEST_LIMIT = 1 << 60  # wasmtime takes 63 bits
_LOOK_EVERY = 1.0


@dataclass(slots=True)
class Shares:
    """What a container may use: bytes of `memory`, number of `pids`, 0: no limit; `cpus` is told, not enforced."""

    memory: int = 0
    pids: int = 0
    cpus: float = 0.0


@dataclass(slots=True)
class Start:
    """How a process from outside starts. `files` become descriptors 0, 1, 2; `terminal` its controlling terminal."""

    path: str
    argv: list[str]
    environ: list[str]
    cwd: Directory
    credentials: Credentials
    files: list[OpenFile]
    terminal: Terminal | None = None
    umask: int = 0o022
    limits: Limits | None = None
    on_start: Callable[[Task], None] | None = None
    on_exit: Callable[[Task], None] | None = None


@dataclass(slots=True)
class Counters:
    """What docker stats asks for, besides processor time: bytes of file input and output of all processes so far."""

    read: int = 0
    written: int = 0
    cpu_ns: int = 0
    out_of_memory: bool = False
    peak_memory: int = 0


class Kernel:
    """A container from the start of pid 1 to its end. `stack` is its network namespace (`net.Stack`) or None."""

    def __init__(
        self,
        tree: FileTree,
        loader: Loader,
        *,
        hostname: str = "localhost",
        stack: object = None,
        shares: Shares | None = None,
    ) -> None:
        self.tree = tree
        self.loader = loader
        self.hostname = hostname
        self.domainname = "(none)"
        self.stack = stack
        self.shares = shares or Shares()
        self.lock = threading.RLock()
        self.tasks: dict[int, Task] = {}
        self.frozen = False
        self.tended = False
        """`docker run --init`: pid 1 is treated as if an init were above it. Default signals end it, and orphans go to
        that init, which reaps them at once."""
        self.counters = Counters()
        self.host_files = HostFiles(self)
        self.locks = LockTable(self.lock)
        self.terminals = Terminals()
        self.booted = time.monotonic()
        self.boot_time = time.time()
        self.forks = 0
        self.last_pid = 0
        self.boot_id = str(uuid.uuid4())

    # Processes.

    def spawn(self, start: Start) -> Task:
        """Start a process from outside: pid 1 when it is the first. OSError when its program cannot be started."""
        check_size(start.argv, start.environ)
        with self.lock:
            if not self.tasks and self.last_pid:
                fail(errno.ESRCH)
            task = Task(self, self.new_pid(), None)
            task.session = Session(task.pid)
        task.cwd = start.cwd
        task.credentials = start.credentials
        task.umask = start.umask
        task.limits = (start.limits or Limits()).fork()
        task.files.limit = task.limits.get(RLIMIT_NOFILE)[0]
        task.on_exit = start.on_exit
        executable = self.loader(task, start.path, start.argv)
        if executable.refusal:
            raise Refused(executable.refusal)
        lifecycle.become(task, executable, start.environ)
        for fd, file in enumerate(start.files):
            task.files.put(fd, file)
        if start.terminal is not None:
            with self.lock:
                start.terminal.attach(task)
        if start.on_start is not None:
            start.on_start(task)
        self.start(task)
        watch_processor_time(task)
        if task.init:
            self.watch_memory()
            SCARCITY.watch(self)
        return task

    def start(self, task: Task) -> None:
        """Enter it in the table and run it; EAGAIN when there is no room for it."""
        with self.lock:
            if self.shares.pids and len(self.tasks) >= self.shares.pids:
                raise BlockingIOError(errno.EAGAIN, "pids limit")
            if task.parent is not None and self._too_many(task):
                raise BlockingIOError(errno.EAGAIN, "RLIMIT_NPROC")
            self.tasks[task.pid] = task
            if task.parent is not None:
                task.parent.children[task.pid] = task
            if self.frozen:
                task.attention = True
            init = self.tasks.get(1)
            if init is None or not init.alive or (init.dying and task is not init):
                task.signals.pending |= 1 << (SIGKILL - 1)
                task.attention = True
        try:
            lifecycle.start_thread(task)
        except RuntimeError as error:
            self.forget(task)
            raise BlockingIOError(errno.EAGAIN, str(error)) from error

    def _too_many(self, task: Task) -> bool:
        """Whether its user, if not privileged, has as many processes as RLIMIT_NPROC allows."""
        most, who = task.limits.get(RLIMIT_NPROC)[0], task.credentials
        if most == RLIM_INFINITY or who.privileged:
            return False
        return sum(other.credentials.uid == who.uid for other in self.tasks.values()) >= most

    def forget(self, task: Task) -> None:
        with self.lock:
            self.tasks.pop(task.pid, None)
            if task.parent is not None:
                task.parent.children.pop(task.pid, None)

    def fork(self, parent: Task, machine: Machine) -> int:
        """A child of `parent` that runs on `machine`; its pid, or a negative errno."""
        with self.lock:
            child = Task(self, self.new_pid(), parent)
        lifecycle.inherit(child, parent, machine)
        self.forks += 1
        try:
            self.start(child)
            if self.shares.memory:
                self.check_memory()
        except OSError as error:
            child.files.close_all()
            machine.close()
            return -(error.errno or errno.EAGAIN)
        return child.pid

    def new_pid(self) -> int:
        with self.lock:
            pid = self.last_pid
            while True:
                pid = pid % PID_MAX + 1
                if pid not in self.tasks and (pid > 1 or not self.last_pid):
                    self.last_pid = pid
                    return pid

    def group(self, pgid: int) -> list[Task]:
        """The living members of a process group. Lock held."""
        return [task for task in self.tasks.values() if task.pgid == pgid and task.alive]

    def orphaned(self, pgid: int) -> bool:
        return orphaned(self.group(pgid))

    def signal_group(self, pgid: int, signal: int) -> None:
        """From the terminal to its foreground group. From any thread."""
        with self.lock:
            for task in self.group(pgid):
                sig.post(task, signal)

    # The container as a whole.

    def freeze(self) -> None:
        """Stop every process at its next system call or checkpoint."""
        with self.lock:
            self.frozen = True
            for task in self.tasks.values():
                task.demand_attention()
                task.waker.wake()

    def thaw(self) -> None:
        with self.lock:
            self.frozen = False
            for task in self.tasks.values():
                task.waker.wake()

    def kill_all(self) -> None:
        """SIGKILL to every process, pid 1 included."""
        with self.lock:
            for task in self.tasks.values():
                sig.post(task, SIGKILL, outside=True)

    def cpu_time_ns(self) -> int:
        """Processor time of all processes that ever ran here."""
        with self.lock:
            return self.counters.cpu_ns + sum(task.cpu_time_ns() for task in self.tasks.values() if task.alive)

    def memory_size(self) -> int:
        """Bytes of program memory of all processes."""
        with self.lock:
            return sum(task.memory_size() for task in self.tasks.values())

    def machine_limit(self, task: Task) -> int:
        """How big the memory of a program that is loaded may get, 0: any size.

        That is RLIMIT_AS, and above the container's limit, so that it is killed, not just refused.
        """
        own, container = task.limits.get(RLIMIT_AS)[0], self.shares.memory
        if own == RLIM_INFINITY and not container:
            return 0
        return max(1, min(own, (container or _LARGEST_LIMIT) + _HEADROOM, _LARGEST_LIMIT))

    def check_memory(self) -> None:
        """Have the biggest process killed when all together have more than the container may."""
        with self.lock:
            total = sum(task.memory_size() for task in self.tasks.values() if not task.out_of_memory)
            self.counters.peak_memory = max(self.counters.peak_memory, total)
            if self.shares.memory and total > self.shares.memory:
                self.kill_biggest()

    def kill_biggest(self) -> None:
        """SIGKILL to the process with the most memory, for want of memory; not to one that is dying of it already."""
        with self.lock:
            sizes = {task: task.memory_size() for task in self.tasks.values() if not task.out_of_memory}
            victim = max(sizes, key=lambda task: sizes[task], default=None)
            if victim is not None:
                victim.out_of_memory = self.counters.out_of_memory = True
                sig.post(victim, SIGKILL, outside=True)

    def watch_memory(self) -> None:
        """Look again and again while there is a limit and somebody lives: not all growth is noticed at once."""
        with self.lock:
            if not self.shares.memory or 1 not in self.tasks:
                return
            self.check_memory()
        ALARMS.at(time.monotonic() + _LOOK_EVERY, self.watch_memory)
