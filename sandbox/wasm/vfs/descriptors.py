"""Host descriptors with an owner, and a bounded number of them kept open.

SECURITY: a descriptor number that is closed while another thread uses it may come to mean another file. So nobody
closes one: it closes itself when the last reference to its `Descriptor` is gone, and every user holds one meanwhile.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol


class Descriptor:
    """An open host file."""

    __slots__ = ("__weakref__", "fd")

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __del__(self, _close: Callable[[int], None] = os.close) -> None:
        _close(self.fd)

    @property
    def path(self) -> str:
        """A host path that leads to exactly this inode."""
        return f"/proc/self/fd/{self.fd}"


class Keeper(Protocol):
    """What may keep a descriptor open: `kept`, and `used` since it was last in danger of losing it."""

    kept: Descriptor | None
    used: bool


class DescriptorCache:
    """Lets at most `limit` keepers keep theirs; whoever has not used it for a while loses it (second chance)."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._keepers: deque[Keeper] = deque()

    def keep(self, keeper: Keeper, descriptor: Descriptor) -> None:
        """Let `keeper` keep it."""
        with self._lock:
            if keeper.kept is None:
                self._keepers.append(keeper)
            keeper.kept, keeper.used = descriptor, False
            while len(self._keepers) > self._limit:
                oldest = self._keepers.popleft()
                if oldest.used:
                    oldest.used = False
                    self._keepers.append(oldest)
                else:
                    oldest.kept = None

    def forget(self, keepers: Iterable[Keeper]) -> None:
        """Let these keep theirs no longer."""
        with self._lock:
            gone = {id(keeper) for keeper in keepers}
            for keeper in [keeper for keeper in self._keepers if id(keeper) in gone]:
                self._keepers.remove(keeper)
                keeper.kept = None
