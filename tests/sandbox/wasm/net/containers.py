"""Containers that run our busybox, for tests of the network as programs use it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sandbox.wasm.engine import Engine
from sandbox.wasm.kernel import calls
from sandbox.wasm.kernel.credentials import Credentials
from sandbox.wasm.kernel.devfs import make_dev
from sandbox.wasm.kernel.kernel import Kernel, Start
from sandbox.wasm.kernel.pipes import HostStream
from sandbox.wasm.kernel.procfs import make_procfs
from sandbox.wasm.kernel.task import Task
from sandbox.wasm.net import Stack, hosts, resolv_conf
from sandbox.wasm.programs import Programs
from sandbox.wasm.userland.store import current, default_cache
from sandbox.wasm.vfs.node import Directory, write_all
from sandbox.wasm.vfs.tmpfs import Tmpfs
from sandbox.wasm.vfs.tree import FileTree
from tests.waiting import eventually

assert calls
_ENVIRON = ["PATH=/bin", "HOME=/"]


class Programmer:
    """Our programs, compiled once for all tests."""

    def __init__(self) -> None:
        cache = default_cache(os.environ)
        self.userland = current(cache)
        self.loader = Programs(Engine(cache / "modules"), self.userland)
        self.busybox = (self.userland / "busybox.wasm").read_bytes()
        self.applets = [Path(line).name for line in (self.userland / "applets.txt").read_text().split()]


class Container:
    """A tree of busybox only. Its first process sleeps for ever; everything else is started beside it."""

    def __init__(self, programs: Programmer, stack: Stack, hostname: str) -> None:
        self.tree = FileTree(Tmpfs().root)
        self.kernel = Kernel(self.tree, programs.loader, hostname=hostname, stack=stack)
        self.tree.mount("/proc", make_procfs(self.kernel))
        self.tree.mount("/dev", make_dev(terminal=False).root)
        self.write("/bin/busybox", programs.busybox, 0o755)
        for name in set(programs.applets) - {"busybox"}:
            self.tree.symlink("busybox", f"/bin/{name}")
        self.write("/etc/hosts", hosts(stack, hostname).encode())
        self.write("/etc/resolv.conf", resolv_conf(stack).encode())
        self.kernel.spawn(self._start(["sleep", "100000"], [], None))

    def write(self, path: str, content: bytes, mode: int = 0o644) -> None:
        directory: Directory = self.tree.makedirs(os.path.dirname(path))
        file = directory.create(os.path.basename(path), mode, 0, 0)
        write_all(file, content)

    def _start(self, argv: list[str], files: list[HostStream], done: threading.Event | None) -> Start:
        def finished(_: Task) -> None:
            if done is not None:
                done.set()

        return Start(f"/bin/{argv[0]}", argv, _ENVIRON, self.tree.root, Credentials(), list(files), on_exit=finished)

    def start(self, script: str, stdin: bytes = b"") -> Running:
        """A shell script beside the others."""
        return Running(self, script, stdin)

    def run(self, script: str, stdin: bytes = b"") -> tuple[int, str]:
        """(exit code, standard output and error) of a shell script."""
        return self.start(script, stdin).result()

    def close(self) -> None:
        self.kernel.kill_all()
        eventually(lambda: not self.kernel.tasks, 20)


class Running:
    """One script and its output."""

    def __init__(self, container: Container, script: str, stdin: bytes) -> None:
        reading, self._into = os.pipe()
        self._out, writing = os.pipe()
        files = [HostStream(reading, os.O_RDONLY), HostStream(writing, os.O_WRONLY)]
        files.append(files[1])
        os.set_blocking(reading, False)
        os.set_blocking(writing, False)
        self._done = threading.Event()
        self.task = container.kernel.spawn(container._start(["sh", "-c", script], files, self._done))
        with os.fdopen(self._into, "wb") as stream:
            stream.write(stdin)

    def line(self) -> str:
        """The next line of output."""
        found = b""
        while not found.endswith(b"\n") and (byte := os.read(self._out, 1)):
            found += byte
        return found.decode()

    def result(self) -> tuple[int, str]:
        """(exit code, the rest of the output), after it has ended."""
        with os.fdopen(self._out, "rb") as stream:
            output = stream.read()
        assert self._done.wait(30)
        return self.task.status >> 8, output.decode()


@contextmanager
def containers(programs: Programmer, **stacks: Stack) -> Iterator[list[Container]]:
    made = [Container(programs, stack, name) for name, stack in stacks.items()]
    try:
        yield made
    finally:
        for container in made:
            container.close()
