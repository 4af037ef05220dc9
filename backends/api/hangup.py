"""Notice that a peer is gone although it had closed its writing side before.

After a half-close there is nothing left to read, so an event loop stops watching the socket and a later full close goes
unseen until the next write. The kernel still tells: a socket closed in both directions reports EPOLLHUP. Docker's own
daemon watches attached clients the same way. On TCP the hang-up shows once our side is closed as well, or by a reset.
"""

from __future__ import annotations

import asyncio
import select
import weakref
from collections.abc import Callable
from contextlib import suppress


class HangupWatch:
    """One epoll instance inside an event loop, asked for nothing but hang-ups."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callable[[], object]] = {}
        loop.add_reader(self._epoll.fileno(), self._dispatch)

    def add(self, descriptor: int, callback: Callable[[], object]) -> None:
        """Call ``callback`` once when the socket hangs up.

        Call ``remove`` before the descriptor is closed: if another process holds the same socket its registration
        goes on under a number that may serve another one.
        """
        self._callbacks[descriptor] = callback
        try:
            self._epoll.register(descriptor, select.EPOLLONESHOT)
        except FileExistsError:
            self._epoll.modify(descriptor, select.EPOLLONESHOT)

    def remove(self, descriptor: int, callback: Callable[[], object]) -> None:
        """Forget ``callback``; the descriptor's number may serve another socket by now, which stays watched."""
        if self._callbacks.get(descriptor) == callback:
            del self._callbacks[descriptor]
            with suppress(OSError, ValueError):  # the loop may have closed it already
                self._epoll.unregister(descriptor)

    def _dispatch(self) -> None:
        for descriptor, _ in self._epoll.poll(0):
            if callback := self._callbacks.pop(descriptor, None):
                callback()


_watches: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, HangupWatch] = weakref.WeakKeyDictionary()


def hangup_watch() -> HangupWatch:
    """Return the running event loop's watch."""
    loop = asyncio.get_running_loop()
    if loop not in _watches:
        _watches[loop] = HangupWatch(loop)
    return _watches[loop]


def hung_up(descriptor: int) -> bool:
    """Whether both directions of the socket are closed."""
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(events & select.POLLHUP for _, events in poll.poll(0))
