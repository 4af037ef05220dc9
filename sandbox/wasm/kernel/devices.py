"""Character devices by number: null, zero, full, random, and the ways to terminals."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from sandbox.wasm.kernel.files import OpenFile
from sandbox.wasm.kernel.tty import MasterFile, Terminal
from sandbox.wasm.vfs.node import Node, fail

if TYPE_CHECKING:
    from sandbox.wasm.kernel.task import Task

PTS_MAJOR = 136
NUMBERS = {
    "null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9),
    "tty": (5, 0), "console": (5, 1), "ptmx": (5, 2),
}  # fmt: skip
_NAMES = {os.makedev(*number): f"/dev/{name}" for name, number in NUMBERS.items()}
_ZEROS = bytes(1 << 16)


class NullFile(OpenFile):
    def __init__(self, node: Node, flags: int) -> None:
        super().__init__(flags)
        self.node: Node = node
        self.name = _NAMES[node.rdev]

    def read_into(self, task: Task, view: memoryview) -> int:
        return 0

    def write_from(self, task: Task, view: memoryview) -> int:
        return len(view)

    def pread(self, task: Task, view: memoryview, offset: int) -> int:
        return self.read_into(task, view)

    def pwrite(self, task: Task, view: memoryview, offset: int) -> int:
        return self.write_from(task, view)

    def seek(self, offset: int, whence: int) -> int:
        return 0

    def reopen(self, task: Task, flags: int) -> OpenFile:
        return type(self)(self.node, flags)


class ZeroFile(NullFile):
    def read_into(self, task: Task, view: memoryview) -> int:
        for start in range(0, len(view), len(_ZEROS)):
            view[start : start + len(_ZEROS)] = _ZEROS[: len(view) - start]
        return len(view)


class FullFile(ZeroFile):
    def write_from(self, task: Task, view: memoryview) -> int:
        fail(errno.ENOSPC)


class RandomFile(NullFile):
    def read_into(self, task: Task, view: memoryview) -> int:
        view[:] = os.urandom(len(view))
        return len(view)


def _controlling(task: Task, node: Node, flags: int) -> OpenFile:
    terminal = task.session.terminal
    if terminal is None:
        fail(errno.ENXIO)
    return terminal.open(flags, node)


def _console(task: Task, node: Node, flags: int) -> OpenFile:
    return _slave(task, node, flags, 0)


def _slave(task: Task, node: Node, flags: int, index: int) -> OpenFile:
    terminal = task.kernel.terminals.get(index)
    if terminal is None:
        fail(errno.ENXIO)
    file = terminal.open(flags, node)
    with task.kernel.lock:
        leads = task.session.sid == task.pid and task.session.terminal is None
        if not flags & os.O_NOCTTY and leads and terminal.session is None:
            terminal.attach(task)
    return file


def _master(task: Task, node: Node, flags: int) -> OpenFile:
    with task.kernel.lock:
        terminal = Terminal(task.kernel, task.credentials.effective)
    return MasterFile(terminal, flags, node)


_OPENERS: dict[tuple[int, int], Callable[[Task, Node, int], OpenFile]] = {
    (1, 3): lambda task, node, flags: NullFile(node, flags),
    (1, 5): lambda task, node, flags: ZeroFile(node, flags),
    (1, 7): lambda task, node, flags: FullFile(node, flags),
    (1, 8): lambda task, node, flags: RandomFile(node, flags),
    (1, 9): lambda task, node, flags: RandomFile(node, flags),
    (5, 0): _controlling,
    (5, 1): _console,
    (5, 2): _master,
}


def open_device(task: Task, node: Node, flags: int) -> OpenFile:
    """ENXIO for a device that is not there."""
    rdev = node.rdev
    number = (os.major(rdev), os.minor(rdev))
    if number[0] == PTS_MAJOR:
        return _slave(task, node, flags, number[1])
    opener = _OPENERS.get(number)
    if opener is None:
        fail(errno.ENXIO)
    return opener(task, node, flags)
