"""File systems in memory that containers share: each is there while one that runs has it mounted.

They are what Docker's tmpfs volumes are. The host's, they are seen by who looks from outside, too.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from sandbox.wasm.vfs.tmpfs import Tmpfs


@dataclass(eq=False, slots=True)
class Tenancy:
    """Who has one mounted, until it is `over`: a run of a container, or a look at its files."""

    over: bool = False


class SharedMemory:
    """Those of one worker, by name. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, tuple[Tmpfs, list[Tenancy]]] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._known

    def mount(self, name: str, tenancy: Tenancy, make: Callable[[], Tmpfs]) -> Tmpfs:
        """The file system of that name that others have mounted; one that nobody has is made anew, empty."""
        with self._lock:
            system, tenancies = self._known.get(name, (None, []))
            tenancies = [one for one in tenancies if not one.over]
            if system is None or not tenancies:
                system = make()
                system.from_host = True
            self._known[name] = (system, [*tenancies, tenancy])
            return system

    def sweep(self) -> None:
        """Give back what nobody has mounted any more."""
        with self._lock:
            for name, (system, tenancies) in list(self._known.items()):
                if all(tenancy.over for tenancy in tenancies):
                    del self._known[name]
                    system.close()
