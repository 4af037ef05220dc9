"""Alarms: one thread for those of all containers, each process's interval timer and its limit of processor time."""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from sandbox.wasm.kernel import signals as sig
from sandbox.wasm.kernel.abi import RLIM_INFINITY, RLIMIT_CPU, SIGALRM, SIGKILL, SIGXCPU

if TYPE_CHECKING:
    from sandbox.wasm.kernel.task import Task

_log = logging.getLogger(__name__)
_SOON = 0.01
_OFTEN = 10.0
"""Seconds between two looks at a process: one that has ended is kept no longer."""


class Alarms:
    """Calls functions at times of the monotonic clock, in a thread of its own that starts with the first."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._cancelled: set[int] = set()
        self._numbers = itertools.count(1)
        self._running = False

    def at(self, when: float, call: Callable[[], None]) -> int:
        """A number to cancel it with."""
        with self._condition:
            number = next(self._numbers)
            heapq.heappush(self._due, (when, number, call))
            if self._running:
                self._condition.notify()
            else:
                self._running = True
                threading.Thread(target=self._run, name="sandbox-alarms", daemon=True).start()
            return number

    def cancel(self, number: int) -> None:
        with self._condition:
            if any(entry[1] == number for entry in self._due):
                self._cancelled.add(number)
                self._condition.notify()

    def _run(self) -> None:
        while True:
            with self._condition:
                call = self._next()
            try:
                call()
            except Exception:
                _log.exception("an alarm failed; the others go on")

    def _next(self) -> Callable[[], None]:
        while True:
            left = None
            if self._due:
                when, number, call = self._due[0]
                left = when - time.monotonic()
                if number in self._cancelled or left <= 0:
                    heapq.heappop(self._due)
                    if number not in self._cancelled:
                        return call
                    self._cancelled.discard(number)
                    continue
            self._condition.wait(left if left is None else min(left, 3600.0))


ALARMS = Alarms()


class RealTimer:
    """A process's ITIMER_REAL: SIGALRM when it is due. Guarded by the kernel's lock."""

    __slots__ = ("_alarm", "_turn", "_when", "every")

    def __init__(self) -> None:
        self._alarm = 0
        self._turn: object = None
        self._when = 0.0
        self.every = 0.0

    def left(self) -> float:
        return max(0.000001, self._when - time.monotonic()) if self._alarm else 0.0

    def set(self, task: Task, first: float, every: float) -> None:
        """`first` and `every` in seconds; 0: off."""
        if self._alarm:
            ALARMS.cancel(self._alarm)
            self._alarm = 0
        self._turn = turn = object()
        self.every = every
        if first > 0:
            self._when = time.monotonic() + first
            self._alarm = ALARMS.at(self._when, lambda: self._ring(task, turn))

    def _ring(self, task: Task, turn: object) -> None:
        with task.kernel.lock:
            if turn is not self._turn:
                return  # set anew or switched off after it had become due
            self._alarm = 0
            if not task.alive:
                return
            sig.post(task, SIGALRM)
            if self.every:
                self.set(task, self.every, self.every)


def watch_processor_time(task: Task) -> None:
    """RLIMIT_CPU: SIGXCPU each second from its soft limit on, SIGKILL at the hard one. Call when one was set."""
    with task.kernel.lock:
        soft, hard = task.limits.get(RLIMIT_CPU)
        if not task.alive or soft == RLIM_INFINITY:
            return
        used = task.cpu_time_ns() / 1e9
        if used >= hard:
            sig.post(task, SIGKILL, outside=True)
            return
        if used >= soft:
            sig.post(task, SIGXCPU, outside=True)
        # Sooner than the time that is left it cannot have been used.
        left = min(soft - used, hard - used) if used < soft else min(1.0, hard - used)
    wait = min(max(left, _SOON), _OFTEN)
    ALARMS.at(time.monotonic() + wait, lambda: watch_processor_time(task))
