"""A process that does nothing but the system calls a test makes for it, in its own memory."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from sandbox.wasm.kernel import signals, sys_socket
from sandbox.wasm.kernel.kernel import Kernel
from sandbox.wasm.kernel.memory import Memory
from sandbox.wasm.kernel.numbers import NUMBERS
from sandbox.wasm.kernel.signals import Action
from sandbox.wasm.kernel.task import Task
from sandbox.wasm.net import Stack
from sandbox.wasm.vfs.tmpfs import Tmpfs
from sandbox.wasm.vfs.tree import FileTree

assert sys_socket
_HEAP = 4096


def no_programs(task: Task, path: str, argv: list[str]) -> object:
    raise AssertionError("nothing is executed here")


class Guest:
    """One process of a container; `call` answers what the program would see: a result or a negative errno."""

    def __init__(self, stack: Stack, kernel: Kernel | None = None) -> None:
        self.kernel = kernel or Kernel(FileTree(Tmpfs().root), no_programs, stack=stack)  # type: ignore[arg-type]
        self.task = Task(self.kernel, self.kernel.new_pid(), None)
        self.task.init = False
        self.task.memory = Memory(memoryview(bytearray(1 << 20)))
        self.top = _HEAP

    def beside(self) -> Guest:
        """Another process of the same container."""
        return Guest(self.kernel.stack, self.kernel)  # type: ignore[arg-type]

    def room(self, size: int) -> int:
        address, self.top = self.top, self.top + size + -size % 8
        return address

    def put(self, data: bytes) -> int:
        address = self.room(len(data))
        self.task.memory.write(address, data)
        return address

    def get(self, address: int, size: int) -> bytes:
        return self.task.memory.read(address, size)

    def call(self, name: str, *arguments: int) -> int:
        padded = (*arguments, 0, 0, 0, 0, 0, 0)[:6]
        return self.task.syscall(NUMBERS[name], *padded)

    def socket(self, kind: int = socket.SOCK_STREAM, family: int = socket.AF_INET, protocol: int = 0) -> int:
        fd = self.call("socket", family, kind, protocol)
        assert fd >= 0
        return fd

    def inet(self, ip: str, port: int) -> tuple[int, int]:
        """(address, size) of a struct sockaddr_in."""
        return self.put(struct.pack("<H", 2) + struct.pack(">H", port) + socket.inet_aton(ip) + bytes(8)), 16

    def unix(self, path: bytes) -> tuple[int, int]:
        return self.put(struct.pack("<H", 1) + path), 2 + len(path)

    def name(self, call: str, fd: int) -> tuple[str, int]:
        """getsockname, getpeername."""
        address, size = self.room(16), self.put(struct.pack("<i", 16))
        assert self.call(call, fd, address, size) == 0
        return self.inet_at(address)

    def inet_at(self, address: int) -> tuple[str, int]:
        family, port, ip = struct.unpack("!2sH4s", self.get(address, 8))
        assert family == b"\2\0"
        return socket.inet_ntoa(ip), port

    def send(self, fd: int, data: bytes, flags: int = 0) -> int:
        return self.call("send", fd, self.put(data), len(data), flags)

    def recv(self, fd: int, size: int = 4096, flags: int = 0) -> bytes | int:
        address = self.room(size)
        found = self.call("recv", fd, address, size, flags)
        return self.get(address, found) if found >= 0 else found

    def message(
        self, parts: list[tuple[int, int]], name: tuple[int, int] = (0, 0), control: tuple[int, int] = (0, 0)
    ) -> int:
        """A struct msghdr."""
        vectors = self.put(b"".join(struct.pack("<II", *part) for part in parts))
        return self.put(struct.pack("<IiIIIIi", *name, vectors, len(parts), *control, 0))

    def signal(self, number: int = 10) -> None:
        """From another thread: a signal for which the program has a handler."""
        with self.kernel.lock:
            self.task.signals.actions[number] = Action(99, 0, 0)
            signals.post(self.task, number)

    def pending(self) -> set[int]:
        return {number for number in range(1, 32) if self.task.signals.pending >> (number - 1) & 1}

    def close(self) -> None:
        self.task.files.close_all()
        self.task.waker.close()


@contextmanager
def guests(*stacks: Stack) -> Iterator[list[Guest]]:
    made = [Guest(stack) for stack in stacks]
    try:
        yield made
    finally:
        for guest in made:
            guest.close()
