"""What executes a program: the kernel's half of the contract with the WebAssembly engine.

A `Program` is a compiled executable; loading it gives a `Machine`, one process's memory and processor. The machine runs
on the process's thread and calls back into its `Supervisor` (the kernel's task) for everything outside its memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from sandbox.wasm.kernel.memory import Memory

if TYPE_CHECKING:
    from sandbox.wasm.kernel.task import Task


class Leave(Exception):
    """Raised by a supervisor to take the processor away from the program for good: exit, exec, a fatal signal."""


class Trap(Exception):
    """The program did something its processor cannot do; `signal` is what Linux would send for it."""

    def __init__(self, signal: int, reason: str) -> None:
        super().__init__(reason)
        self.signal = signal
        self.reason = reason


class Supervisor(Protocol):
    """What a machine may ask of the kernel; each call is made on the process's own thread and may raise `Leave`."""

    def syscall(self, number: int, a: int, b: int, c: int, d: int, e: int, f: int, /) -> int: ...

    def fork(self, machine: Machine) -> int:
        """`machine` is the child's, about to return 0 from fork; answers the child's pid or a negative errno."""

    def arguments(self, address: int) -> int:
        """Lay argc, argv, environ and the auxiliary vector out at `address` (0: only measure); answers the size."""

    def take_signal(self, address: int) -> int:
        """Write the next handler to run (handler, flags, signal, sender) to `address`; answers 0 if there is none."""

    def checkpoint(self) -> None:
        """Called soon after `Machine.interrupt`, in the middle of computing."""


class Machine(Protocol):
    memory: Memory

    def run(self, supervisor: Supervisor) -> int:
        """Run until the program returns (its exit code), `Leave` passes through, or it traps (`Trap`)."""

    def notify(self) -> None:
        """Make the program take its signals at the next opportunity. From any thread, under `Kernel.lock`."""

    def interrupt(self) -> None:
        """Make the supervisor's `checkpoint` be called soon. From any thread, under `Kernel.lock`."""

    def memory_size(self) -> int:
        """Bytes of memory in use. From any thread, under `Kernel.lock`."""

    def close(self) -> None:
        """Free the memory. On the process's thread, when nothing runs."""


class Program(Protocol):
    def load(self, memory_limit: int) -> Machine:
        """A fresh machine; `memory_limit` in bytes, 0 for none. MemoryError when there is no room for it."""


class PythonProgram:
    """A program that is a Python function of its task: refusals, and the fakes of unit tests."""

    def __init__(self, main: Callable[[Task], int], memory_size: int = 4096) -> None:
        self._main = main
        self._memory_size = memory_size

    def load(self, memory_limit: int) -> PythonMachine:
        return PythonMachine(self._main, self._memory_size)


class PythonMachine:
    def __init__(self, main: Callable[[Task], int], memory_size: int = 4096) -> None:
        self._main = main
        self.memory = Memory(memoryview(bytearray(memory_size)))
        self.notified = 0

    def run(self, supervisor: Supervisor) -> int:
        return self._main(supervisor)  # type: ignore[arg-type]  # the only supervisor there is

    def notify(self) -> None:
        self.notified += 1

    def interrupt(self) -> None:
        """Nothing to do: a Python program comes back to the kernel by itself."""

    def memory_size(self) -> int:
        return self.memory.size()

    def close(self) -> None:
        """Nothing to free."""
