"""epoll over the same waiting as poll; level and edge triggered, one-shot."""

from __future__ import annotations

import errno
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox.wasm.kernel.files import OpenFile
from sandbox.wasm.kernel.polling import wait_ready
from sandbox.wasm.kernel.regular import DirectoryFile, RegularFile
from sandbox.wasm.vfs.node import fail

if TYPE_CHECKING:
    from sandbox.wasm.kernel.task import Task

ADD, REMOVE, MODIFY = 1, 2, 3
EPOLLET, EPOLLONESHOT = 1 << 31, 1 << 30
_EVENTS = 0xFFFF


@dataclass(slots=True)
class Watch:
    file: OpenFile
    events: int
    data: int


class EpollFile(OpenFile):
    """Edge triggering is approximated by level triggering: a program that drains, as it must, sees no difference."""

    name = "anon_inode:[eventpoll]"

    def __init__(self) -> None:
        super().__init__(os.O_RDWR)
        self._watches: dict[int, Watch] = {}

    def control(self, operation: int, fd: int, file: OpenFile, events: int, data: int) -> None:
        known = self._watches.get(fd)
        if known is not None and known.file is not file:
            known = None
        if operation == ADD and known is not None:
            fail(errno.EEXIST)
        if operation in (REMOVE, MODIFY) and known is None:
            fail(errno.ENOENT)
        if isinstance(file, RegularFile | DirectoryFile):
            fail(errno.EPERM)
        if operation in (ADD, MODIFY):
            self._watches[fd] = Watch(file, events, data)
        elif operation == REMOVE:
            del self._watches[fd]
        else:
            fail(errno.EINVAL)

    def wait(self, task: Task, count: int, timeout: float | None) -> list[tuple[int, int]] | None:
        """[(events, data)], at most `count`; empty: time over, None: a signal."""
        end = None if timeout is None else time.monotonic() + timeout
        for fd in [fd for fd, watch in self._watches.items() if watch.file.references == 0]:
            del self._watches[fd]
        wanted = [(fd, watch.file, watch.events & _EVENTS) for fd, watch in self._watches.items() if watch.events]
        left = None if end is None else max(0.0, end - time.monotonic())
        ready = wait_ready(task, wanted, left)
        if ready is None:
            return None
        answer = []
        for fd, events in list(ready.items())[:count]:
            watch = self._watches[fd]
            answer.append((events, watch.data))
            if watch.events & EPOLLONESHOT:
                watch.events = 0
        return answer

    def poll(self, events: int) -> int:
        return 0
