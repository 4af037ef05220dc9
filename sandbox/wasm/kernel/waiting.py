"""How a process sleeps and is woken: parked on a lock, or polling host descriptors beside an eventfd."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandbox.wasm.kernel.task import Task

LONGEST = 3600.0


class Waker:
    """One sleeper. Every method but `drain` is called with the kernel's lock held; the eventfd is made when needed."""

    __slots__ = ("_gate", "_lock", "_parked", "fd")

    def __init__(self, lock: threading.RLock) -> None:
        self._lock = lock
        self._gate = threading.Lock()
        self._gate.acquire()
        self._parked = False
        self.fd: int | None = None

    def wake(self) -> None:
        if self._parked:
            self._parked = False
            self._gate.release()
        if self.fd is not None:
            os.eventfd_write(self.fd, 1)

    def park(self, timeout: float | None) -> None:
        """Sleep until `wake` or the end of `timeout` (seconds); the kernel's lock is given up meanwhile."""
        self._parked = True
        self._lock.release()
        try:
            woken = self._gate.acquire(timeout=LONGEST if timeout is None else max(0.0, min(timeout, LONGEST)))
        finally:
            self._lock.acquire()
        if not woken and not self._parked:
            self._gate.acquire()
        self._parked = False

    def pollable(self) -> int:
        """The eventfd that `wake` makes readable from now on."""
        if self.fd is None:
            self.fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        return self.fd

    def drain(self) -> None:
        if self.fd is None:
            return
        try:
            os.eventfd_read(self.fd)
        except BlockingIOError:
            pass

    def close(self) -> None:
        fd, self.fd = self.fd, None
        if fd is not None:
            os.close(fd)


class WaitQueue:
    """Processes that wait for something of ours to change. Guarded by the kernel's lock."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: list[Task] = []

    def wait(self, task: Task, timeout: float | None = None) -> None:
        """Sleep until `wake_all`, a signal or the timeout; the caller looks again what is true."""
        self._waiting.append(task)
        try:
            task.park(timeout)
        finally:
            self._waiting.remove(task)

    def wake_all(self) -> None:
        for task in self._waiting:
            task.waker.wake()
