"""Programs for the kernel's tests: Python functions that make system calls as a C program would."""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from sandbox.wasm.kernel import calls as _calls  # noqa: F401  (fills the table)
from sandbox.wasm.kernel.credentials import Credentials
from sandbox.wasm.kernel.devfs import make_dev, make_pts
from sandbox.wasm.kernel.executable import Executable
from sandbox.wasm.kernel.files import OpenFile
from sandbox.wasm.kernel.kernel import Kernel, Shares, Start
from sandbox.wasm.kernel.machine import Leave, PythonMachine, PythonProgram
from sandbox.wasm.kernel.numbers import NUMBERS
from sandbox.wasm.kernel.pipes import HostStream
from sandbox.wasm.kernel.procfs import make_procfs
from sandbox.wasm.kernel.task import Task
from sandbox.wasm.kernel.tty import Terminal
from sandbox.wasm.vfs.node import File, read_all, write_all
from sandbox.wasm.vfs.tmpfs import Tmpfs
from sandbox.wasm.vfs.tree import FileTree

MEMORY = 1 << 20
DEADLINE = 10
AT_FDCWD = -100


class Failed(Exception):
    """A system call answered with an errno."""

    def __init__(self, name: str, number: int) -> None:
        super().__init__(f"{name}: {os.strerror(number)}")
        self.errno = number


class Sys:
    """One process's view: `sys("read", fd, sys.room(10), 10)`; strings and bytes are put into its memory."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self._next = 4096

    def room(self, size: int) -> int:
        address = self._next
        self._next += size + 15 & ~15
        assert self._next < MEMORY
        return address

    def put(self, data: bytes) -> int:
        address = self.room(len(data) + 1)
        self.task.memory.write(address, data + b"\0")
        return address

    def get(self, address: int, size: int) -> bytes:
        return self.task.memory.read(address, size)

    def raw(self, name: str, *arguments: int | str | bytes) -> int:
        """The plain result: a negative errno on failure."""
        words = [
            self.put(each.encode() if isinstance(each, str) else each) if isinstance(each, str | bytes) else each
            for each in arguments
        ]
        words += [0] * (6 - len(words))
        return self.task.syscall(NUMBERS[name], *words)

    def __call__(self, name: str, *arguments: int | str | bytes) -> int:
        result = self.raw(name, *arguments)
        if result < 0:
            raise Failed(name, -result)
        return result

    def open(self, path: str, flags: int = os.O_RDONLY, mode: int = 0o644) -> int:
        return self("openat", AT_FDCWD, path, flags, mode)

    def read(self, fd: int, size: int = 4096) -> bytes:
        address = self.room(size)
        return self.get(address, self("read", fd, address, size))

    def write(self, fd: int, data: bytes) -> int:
        return self("write", fd, data, len(data))

    def read_file(self, path: str) -> str:
        fd = self.open(path)
        text = b""
        while chunk := self.read(fd):
            text += chunk
        self("close", fd)
        return text.decode()

    def pipe(self) -> tuple[int, int]:
        address = self.room(8)
        self("pipe2", address, 0)
        first, second = struct.unpack("<ii", self.get(address, 8))
        return first, second

    def fork(self, child: Callable[[Sys], int]) -> int:
        pid = self.task.fork(PythonMachine(_main(child, self.task), MEMORY))
        if pid < 0:
            raise Failed("fork", -pid)
        return pid

    def wait(self, pid: int = -1, options: int = 0) -> tuple[int, int]:
        """(pid, status)"""
        address = self.room(4)
        found = self("wait4", pid, address, options, 0)
        return found, struct.unpack("<i", self.get(address, 4))[0]

    def act(self, signal: int, handler: int, flags: int = 0, mask: int = 0) -> None:
        self("rt_sigaction", signal, struct.pack("<IIIQ", handler, flags, 0, mask), 0, 8)

    def mask(self, how: int, signals: int) -> None:
        self("rt_sigprocmask", how, struct.pack("<Q", signals), 0, 8)

    def taken(self) -> tuple[int, int, int, int] | None:
        """What the C library does when its flag is up: (handler, flags, signal, sender) of the next handler."""
        address = self.room(16)
        if not self.task.take_signal(address):
            return None
        handler, flags, signal, sender = struct.unpack("<IIii", self.get(address, 16))
        return handler, flags, signal, sender

    @property
    def notified(self) -> int:
        machine = self.task.machine
        assert isinstance(machine, PythonMachine)
        return machine.notified


def _main(function: Callable[[Sys], int], box_of: Task | None = None) -> Callable[[Task], int]:
    def main(task: Task) -> int:
        try:
            return function(Sys(task))
        except Leave:
            raise
        except BaseException as error:
            task.kernel.loader.failures.append(error)  # type: ignore[attr-defined]
            return 99

    return main


class Loader:
    """Programs by path; the failures of any of them end the test."""

    def __init__(self) -> None:
        self.programs: dict[str, Callable[[Sys], int]] = {}
        self.failures: list[BaseException] = []
        self.modes: dict[str, tuple[int, int, int]] = {}

    def __call__(self, task: Task, path: str, argv: list[str]) -> Executable:
        if path not in self.programs:
            raise FileNotFoundError(2, "no such program", path)
        program = PythonProgram(_main(self.programs[path]), MEMORY)
        mode, uid, gid = self.modes.get(path, (0o755, 0, 0))
        return Executable(program, path, argv, os.path.basename(path)[:15], mode, uid, gid)


@dataclass
class Box:
    """A kernel on a tmpfs, with /dev, /dev/pts and /proc; `run` runs a function as pid 1 to its end."""

    shares: Shares = field(default_factory=Shares)
    terminal: bool = False

    def __post_init__(self) -> None:
        self.loader = Loader()
        self.files = Tmpfs(mode=0o755)
        self.tree = FileTree(self.files.root)
        self.kernel = Kernel(self.tree, self.loader, hostname="box", shares=self.shares)
        self.tree.makedirs("/tmp", 0o777)
        self.tree.mount("/proc", make_procfs(self.kernel))
        self.tree.mount("/dev", make_dev(self.terminal).root)
        self.tree.mount("/dev/pts", make_pts(self.kernel))
        self._ends: dict[int, threading.Event] = {}

    def start(
        self,
        main: Callable[[Sys], int],
        *,
        path: str = "/bin/main",
        files: list[OpenFile] | None = None,
        credentials: Credentials | None = None,
        terminal: Terminal | None = None,
        environ: list[str] | None = None,
    ) -> Task:
        self.loader.programs[path] = main
        ended = threading.Event()
        who = credentials or Credentials()
        start = Start(path, [path], environ or [], self.tree.root, who, files or [], terminal=terminal)
        start.on_exit = lambda _task: ended.set()
        task = self.kernel.spawn(start)
        self._ends[task.pid] = ended
        return task

    def finish(self, task: Task) -> int:
        """Wait for its end; its status, and the first failure of any program is raised."""
        assert self._ends[task.pid].wait(DEADLINE), "the process did not end"
        if self.loader.failures:
            raise self.loader.failures[0]
        return task.status

    def run(self, main: Callable[[Sys], int], **how: object) -> int:
        return self.finish(self.start(main, **how))  # type: ignore[arg-type]

    def write(self, path: str, content: bytes, mode: int = 0o644) -> None:
        parent, name, _ = self.tree.resolve_parent(path)
        write_all(parent.create(name, mode, 0, 0), content)

    def read(self, path: str) -> bytes:
        node = self.tree.resolve(path)
        assert isinstance(node, File)
        return read_all(node)


def pipe_in(flags: int = os.O_RDONLY) -> tuple[int, HostStream]:
    """(host descriptor to write to, open file to read from)"""
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    return writing, HostStream(reading, flags)


def pipe_out() -> tuple[int, HostStream]:
    """(host descriptor to read from, open file to write to)"""
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    return reading, HostStream(writing, os.O_WRONLY)


def exited(status: int) -> int:
    """The exit code in a status of wait4."""
    assert status & 0x7F == 0, f"ended by signal {status & 0x7F}"
    return status >> 8
