"""When the machine's memory runs out: a process of the biggest container is killed, as Linux does it.

All processes of all containers are one process to the host's kernel, which would kill that one.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

from sandbox.wasm.kernel.timers import ALARMS
from sandbox.wasm.vfs import hostmemory

if TYPE_CHECKING:
    from sandbox.wasm.kernel.kernel import Kernel

_log = logging.getLogger(__name__)
_LOOK_EVERY = 0.25


class Scarcity:
    """Watches as long as a container runs. `available()` bytes below `reserve` are too few."""

    def __init__(self, available: Callable[[], int] = hostmemory.available, reserve: int = hostmemory.RESERVE) -> None:
        self._available = available
        self._reserve = reserve
        self._lock = threading.Lock()
        self._kernels: weakref.WeakSet[Kernel] = weakref.WeakSet()
        self._watching = False

    def watch(self, kernel: Kernel) -> None:
        """From now on until its pid 1 has ended."""
        with self._lock:
            self._kernels.add(kernel)
            if not self._watching:
                self._watching = True
                self._look_later()

    def _look_later(self) -> None:
        ALARMS.at(time.monotonic() + _LOOK_EVERY, self._look_again)

    def _look_again(self) -> None:
        with self._lock:
            self._kernels = weakref.WeakSet(kernel for kernel in self._kernels if 1 in kernel.tasks)
            self._watching = bool(self._kernels)
            if not self._watching:
                return
            self._look_later()
        self.look()

    def look(self) -> None:
        """Kill the biggest process of the biggest container if memory is scarce and that container is to blame."""
        if self._available() >= self._reserve:
            return
        with self._lock:
            sizes = {kernel: kernel.memory_size() for kernel in self._kernels}
        biggest = max(sizes, key=lambda kernel: sizes[kernel], default=None)
        if biggest is not None and sizes[biggest] >= self._reserve:
            _log.warning("the machine is short of memory: killing the biggest process of %s", biggest.hostname)
            biggest.kill_biggest()


SCARCITY = Scarcity()
