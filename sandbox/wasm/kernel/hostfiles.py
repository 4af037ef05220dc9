"""The worker's open files, which all its containers share.

A pipe, a socket, a terminal, a file with content: each is a descriptor of the worker, which needs some for itself. From
half of what it may have open on, a container gets no more than a quarter of them, and nobody gets the last quarter.
"""

from __future__ import annotations

import errno
import os
import resource
from typing import TYPE_CHECKING

from sandbox.wasm.vfs.node import fail

if TYPE_CHECKING:
    from sandbox.wasm.kernel.kernel import Kernel

_LOOK_AFTER = 16
"""Files opened without a look at how many the worker has open, unless there were many at the last one."""


class HostFiles:
    """One container's share."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._unseen = 0
        self._many = False

    def admit(self) -> None:
        """ENFILE when the container must not open another file."""
        self._unseen += 1
        if not self._many and self._unseen < _LOOK_AFTER:
            return
        self._unseen = 0
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        used = _in_use(most)
        self._many = used >= most // 2
        if self._many and (used >= most - most // 4 or self._own() > most // 4):
            fail(errno.ENFILE)

    def _own(self) -> int:
        with self._kernel.lock:
            tables = [list(task.files.table.values()) for task in self._kernel.tasks.values()]
        return len({id(file) for files in tables for file in files})


def _in_use(most: int) -> int:
    """How many descriptors the worker has open at least: the system gives the lowest free one."""
    try:
        probe = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return most
    os.close(probe)
    return probe
