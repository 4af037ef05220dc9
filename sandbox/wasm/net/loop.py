"""One thread that serves all the real sockets of a switch: published ports, translated datagrams, forwarded names."""

from __future__ import annotations

import heapq
import itertools
import logging
import os
import select
import threading
import time
from collections.abc import Callable

_log = logging.getLogger(__name__)


class Timer:
    """A call that is due at a moment, unless cancelled."""

    def __init__(self, due: float, action: Callable[[], None]) -> None:
        self.due = due
        self.action: Callable[[], None] | None = action

    def cancel(self) -> None:
        self.action = None


class Loop:
    """Calls back when a descriptor is ready or a time has come. Callbacks must not wait. Starts with its first use."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._epoll = select.epoll()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._wake, select.EPOLLIN)
        self._actions: dict[int, Callable[[], None]] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._thread: threading.Thread | None = None
        self._closed = False

    def add(self, fd: int, action: Callable[[], None], events: int = select.EPOLLIN) -> None:
        """Call `action` whenever `fd` is ready."""
        with self._lock:
            self._start()
            self._actions[fd] = action
            self._epoll.register(fd, events)

    def remove(self, fd: int) -> None:
        """Forget a descriptor, before it is closed. Its action may be running for the last time."""
        with self._lock:
            if self._actions.pop(fd, None) is not None and not self._closed:
                self._epoll.unregister(fd)

    def later(self, seconds: float, action: Callable[[], None]) -> Timer:
        """Call `action` once after `seconds`."""
        timer = Timer(time.monotonic() + seconds, action)
        with self._lock:
            self._start()
            heapq.heappush(self._timers, (timer.due, next(self._order), timer))
            os.eventfd_write(self._wake, 1)
        return timer

    def _start(self) -> None:
        if self._closed:
            raise RuntimeError("the switch is closed")
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="sandbox-net", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Stop the thread. Descriptors that are still registered belong to whoever added them."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            os.eventfd_write(self._wake, 1)
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        self._epoll.close()
        os.close(self._wake)

    def _run(self) -> None:
        while not self._closed:
            for fd, _ in self._epoll.poll(self._until_next()):
                if fd == self._wake:
                    self._drain()
                elif action := self._actions.get(fd):
                    self._call(action)
            for timer in self._due():
                if timer.action is not None:
                    self._call(timer.action)

    def _until_next(self) -> float | None:
        with self._lock:
            return max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None

    def _due(self) -> list[Timer]:
        found = []
        with self._lock:
            while self._timers and self._timers[0][0] <= time.monotonic():
                found.append(heapq.heappop(self._timers)[2])
        return found

    def _drain(self) -> None:
        try:
            os.eventfd_read(self._wake)
        except BlockingIOError:
            pass

    def _call(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception:  # the thread serves everybody: one bad peer must not end it
            _log.exception("serving a socket failed")
