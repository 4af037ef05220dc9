"""The facade: containers as processes of a kernel of ours, for whoever runs containers (backends/memory).

`Host` is one worker's share (compiled programs, virtual networks), `Sandbox` one container. A container has a file tree
as long as it exists and a process table from each start of its main process to its end.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from sandbox.wasm.engine import Engine, EngineError
from sandbox.wasm.kernel import calls as _calls  # noqa: F401  (fills the table of system calls)
from sandbox.wasm.kernel.abi import RLIM_INFINITY
from sandbox.wasm.kernel.credentials import Credentials
from sandbox.wasm.kernel.executable import Refused
from sandbox.wasm.kernel.files import OpenFile
from sandbox.wasm.kernel.kernel import Kernel, Shares, Start
from sandbox.wasm.kernel.limits import WORDS
from sandbox.wasm.kernel.limits import Limits as ResourceLimits
from sandbox.wasm.kernel.procpid import started_at
from sandbox.wasm.kernel.task import Task
from sandbox.wasm.lookup import find_program
from sandbox.wasm.mounting import Mounts
from sandbox.wasm.net import Switch
from sandbox.wasm.process import Process
from sandbox.wasm.programs import Programs
from sandbox.wasm.shared import SharedMemory, Tenancy
from sandbox.wasm.specs import (
    ExecError,
    ExitStatus,
    Limits,
    Mount,
    ProcessInfo,
    ProcessSpec,
    SandboxSpec,
    Usage,
)
from sandbox.wasm.vfs.node import Directory, fail
from sandbox.wasm.vfs.overlay import Overlay
from sandbox.wasm.vfs.tree import FileTree

__all__ = [
    "ExecError", "ExitStatus", "Host", "Limits", "Mount", "Process", "ProcessInfo", "ProcessSpec", "Sandbox",
    "SandboxSpec", "Usage",
]  # fmt: skip


class Host:
    """One worker's engine. `cache` is for compiled programs (private), `userland` holds ours, `state` is unused."""

    def __init__(self, *, cache: Path, userland: Path, state: Path) -> None:
        self.engine = Engine(cache)
        self.programs = Programs(self.engine, userland)
        self.switch = Switch()
        self.memory = SharedMemory()
        self.state = state

    def warm(self) -> None:
        """Load (the first time ever: compile) our programs; a few milliseconds to a few seconds."""
        self.programs.warm()

    def close(self) -> None:
        """Nothing that outlives the process needs to be given back."""


class Sandbox:
    """One container. Thread-safe. `tree` is what the last start made, with its mounts; before the first without."""

    def __init__(self, host: Host, spec: SandboxSpec) -> None:
        self._host = host
        self.spec = spec
        self._lock = threading.RLock()
        self.overlay = Overlay.open(spec.state, spec.lower)
        self._mounts = Mounts(self.overlay, spec, host.memory)
        self.tree = FileTree(self.overlay.root)
        self.kernel: Kernel | None = None
        self._tenancy = Tenancy()

    @property
    def running(self) -> bool:
        """Whether the main process lives."""
        kernel = self.kernel
        return kernel is not None and 1 in kernel.tasks

    @contextmanager
    def files(self) -> Iterator[FileTree]:
        """The files for who looks from outside, for a while: those of the processes, or as the next start finds them.

        A mount whose source is gone by now costs only what is below it (ENOENT).
        """
        with ExitStack() as stack:
            with self._lock:
                tree = self.tree if self.running else stack.enter_context(self._mounts.view())
            yield tree

    def configure(self, spec: SandboxSpec) -> None:
        """What the next start is to find (mounts, network, limits); `lower` and `state` stay what they are."""
        with self._lock:
            self.spec = self._mounts.spec = spec

    def start(self, run: ProcessSpec) -> Process:
        """The main process, pid 1 of a fresh process table. ExecError; OSError(EBUSY) while one runs."""
        with self._lock:
            if self.running:
                fail(errno.EBUSY)
            tenancy = self._tenancy = Tenancy()
            try:
                process = self._start(run, tenancy)
            except BaseException:
                self._end(tenancy)
                raise
            process.on_exit(lambda _: self._end(tenancy))
            return process

    def _end(self, tenancy: Tenancy) -> None:
        """A run is over, or did not begin."""
        with self._lock:
            tenancy.over = True
            if self._tenancy is tenancy:  # else the next run has its own mounts already
                self._mounts.end()

    def _start(self, run: ProcessSpec, tenancy: Tenancy) -> Process:
        spec = self.spec
        shares = _shares(spec.limits)
        self.tree = self._mounts.tree(tenancy)
        kernel = Kernel(self.tree, self._host.programs, hostname=spec.hostname, stack=spec.stack, shares=shares)
        kernel.domainname = spec.domainname or "(none)"
        kernel.tended = spec.init
        self._mounts.add_system(self.tree, kernel, run.tty)
        with suppress(OSError):  # what is wrong with it is told when it is entered
            self.tree.makedirs(run.cwd)
        self.kernel = kernel
        return self._spawn(kernel, run)

    def exec(self, run: ProcessSpec) -> Process:
        """A process beside the main one, in its process table. ExecError; ProcessLookupError when nothing runs."""
        kernel = self.kernel
        if kernel is None or not self.running:
            raise ProcessLookupError(self.spec.id)
        return self._spawn(kernel, run)

    def _spawn(self, kernel: Kernel, run: ProcessSpec) -> Process:
        cwd = _directory(kernel.tree, run.cwd)
        path = find_program(kernel.tree, run.argv[0], run.env, cwd)
        process = Process()
        files: list[OpenFile] = []
        try:
            terminal = None
            if run.tty:
                terminal, files = process.terminal(kernel, run.size, run.uid)
            else:
                files = process.pipes(run.stdin, run.uid)
            start = Start(
                path, list(run.argv), list(run.env), cwd, Credentials.of(run.uid, run.gid, run.groups), files,
                terminal=terminal, umask=run.umask, limits=_resource_limits(self.spec.limits), on_exit=process.ended,
                on_start=process.started,
            )  # fmt: skip
            kernel.spawn(start)
        except BaseException as error:
            for file in set(files):
                file.hold().release()
            process.abandon()
            failure = _failure(run.argv[0], error)
            if failure is None:
                raise
            raise failure from error
        return process

    def pause(self) -> None:
        """Freeze every process at its next system call or checkpoint."""
        if self.kernel is not None:
            self.kernel.freeze()

    def unpause(self) -> None:
        if self.kernel is not None:
            self.kernel.thaw()

    def update(self, limits: Limits) -> None:
        """Other limits from now on; a process that has more memory than allowed keeps it."""
        with self._lock:
            if self.kernel is not None:
                self.kernel.shares = _shares(limits)

    def processes(self) -> list[ProcessInfo]:
        kernel = self.kernel
        if kernel is None:
            return []
        with kernel.lock:
            return [_info(kernel, task) for _, task in sorted(kernel.tasks.items())]

    def usage(self) -> Usage:
        kernel = self.kernel
        if kernel is None:
            return Usage(0, 0, 0, self.spec.limits.memory, 0, 0, 0)
        with kernel.lock:
            kernel.check_memory()
            memory, counters = kernel.memory_size(), kernel.counters
            pids = sum(task.alive for task in kernel.tasks.values())
            return Usage(
                kernel.cpu_time_ns(), memory, counters.peak_memory, kernel.shares.memory, pids,
                counters.read, counters.written,
            )  # fmt: skip

    def kill_all(self) -> None:
        """SIGKILL to every process; they end soon after."""
        if self.kernel is not None:
            self.kernel.kill_all()

    def close(self) -> None:
        """Give the file systems back. Nothing may run any more."""
        with self._lock:
            self._mounts.close()
            self.overlay.close()


def _shares(limits: Limits) -> Shares:
    return Shares(limits.memory, limits.pids, limits.cpus)


def _resource_limits(limits: Limits) -> ResourceLimits | None:
    if not limits.ulimits:
        return None
    resources = ResourceLimits()
    for name, soft, hard in limits.ulimits:
        resources.set(WORDS.index(name), soft & RLIM_INFINITY, hard & RLIM_INFINITY, privileged=True)
    return resources


def _directory(tree: FileTree, path: str) -> Directory:
    try:
        node = tree.resolve(path)
    except OSError as error:
        raise _chdir_error(path, error.errno or errno.EIO) from error
    if not isinstance(node, Directory):
        raise _chdir_error(path, errno.ENOTDIR)
    return node


def _chdir_error(path: str, number: int) -> ExecError:
    code = 127 if number == errno.ENOENT else 126
    return ExecError(code, f'chdir to cwd ("{path}") set in config.json failed: {os.strerror(number).lower()}')


def _failure(name: str, error: BaseException) -> ExecError | None:
    """What an OCI runtime says about a program that it could not start."""
    if isinstance(error, Refused):
        return ExecError(126, str(error.strerror))
    if isinstance(error, MemoryError):
        return ExecError(126, f"exec {name}: not enough memory for the program")
    if isinstance(error, EngineError):
        return ExecError(126, f"exec {name}: {error}")
    if isinstance(error, OSError):
        if error.errno == errno.ENOEXEC:
            return ExecError(126, f"exec {name}: exec format error")
        if error.errno == errno.EACCES:
            return ExecError(126, f'exec: "{name}": permission denied')
        if error.errno == errno.ENOENT:
            return ExecError(127, f"exec {name}: no such file or directory")
        if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.E2BIG):
            return ExecError(126, f"exec {name}: {os.strerror(error.errno).lower()}")
    return None


def _info(kernel: Kernel, task: Task) -> ProcessInfo:
    terminal = task.session.terminal
    return ProcessInfo(
        pid=task.pid,
        ppid=task.parent.pid if task.parent is not None else 0,
        pgid=task.pgid,
        sid=task.session.sid,
        uid=task.credentials.euid,
        gid=task.credentials.egid,
        state=task.state,
        name=task.comm,
        argv=tuple(task.argv),
        tty=f"pts/{terminal.index}" if terminal is not None else "?",
        nice=task.nice,
        started=started_at(kernel, task),
        cpu=task.cpu_time_ns() / 1e9,
        memory=task.memory_size(),
    )
