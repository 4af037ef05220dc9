"""eventfd: a counter to wait on, carried by a host one."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from sandbox.wasm.kernel.abi import POLLIN, POLLOUT
from sandbox.wasm.kernel.files import OpenFile
from sandbox.wasm.kernel.syscalls import Interrupted
from sandbox.wasm.vfs.node import fail

if TYPE_CHECKING:
    from sandbox.wasm.kernel.task import Task


class EventFile(OpenFile):
    name = "anon_inode:[eventfd]"

    def __init__(self, value: int, flags: int) -> None:
        super().__init__(os.O_RDWR | flags & os.O_NONBLOCK)
        semaphore = flags & os.EFD_SEMAPHORE
        self.host_fd: int = os.eventfd(value, os.EFD_NONBLOCK | os.EFD_CLOEXEC | semaphore)

    def read_into(self, task: Task, view: memoryview) -> int:
        if len(view) < 8:
            fail(errno.EINVAL)
        return self._transfer(task, POLLIN, lambda: os.readv(self.host_fd, [view[:8]]))

    def write_from(self, task: Task, view: memoryview) -> int:
        if len(view) < 8:
            fail(errno.EINVAL)
        return self._transfer(task, POLLOUT, lambda: os.write(self.host_fd, view[:8]))

    def _transfer(self, task: Task, events: int, attempt: Callable[[], int]) -> int:
        while True:
            try:
                return attempt()
            except BlockingIOError:
                if self.nonblocking:
                    raise
            if not task.wait_fd(self.host_fd, events):
                raise Interrupted

    def close(self) -> None:
        os.close(self.host_fd)
