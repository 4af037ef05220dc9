"""Who has which port in one protocol of one network namespace."""

from __future__ import annotations

import errno
import random
import threading
from typing import Protocol

from sandbox.wasm.net.base import ANY, Inet, fail

EPHEMERAL = range(32768, 61000)


class Owner(Protocol):
    """What holds a port: a socket."""

    listening: bool

    @property
    def shares(self) -> bool: ...


class Binding:
    """One socket's hold on an address and port. `peer` is set while it is connected."""

    __slots__ = ("address", "owner", "peer", "port")

    def __init__(self, owner: Owner, address: str, port: int) -> None:
        self.owner = owner
        self.address = address
        self.port = port
        self.peer: Inet | None = None

    def conflicts(self, owner: Owner, address: str) -> bool:
        """Linux's rule, simplified: the same or an overlapping address, unless both share and neither listens."""
        if ANY not in (self.address, address) and self.address != address:
            return False
        return not (self.owner.shares and owner.shares and not self.owner.listening)

    def rank(self, address: str, source: Inet | None) -> int:
        """How well it fits a packet to `address` from `source`; 0 is not at all."""
        if self.address not in (ANY, address):
            return 0
        if self.peer is not None:
            return 3 if self.peer == source else 0
        return 2 if self.address == address else 1


class PortTable:
    """Thread-safe; no call waits."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ports: dict[int, list[Binding]] = {}
        self._next = random.choice(EPHEMERAL)

    def claim(self, owner: Owner, address: str, port: int) -> Binding:
        """Give `owner` a port, 0 for any free one; EADDRINUSE."""
        with self._lock:
            if port == 0:
                port = self._free()
            elif any(held.conflicts(owner, address) for held in self._ports.get(port, ())):
                fail(errno.EADDRINUSE)
            return self._add(owner, address, port)

    def join(self, owner: Owner, address: str, port: int) -> Binding:
        """Share the port of a listener: an accepted connection."""
        with self._lock:
            return self._add(owner, address, port)

    def _add(self, owner: Owner, address: str, port: int) -> Binding:
        binding = Binding(owner, address, port)
        self._ports.setdefault(port, []).append(binding)
        return binding

    def _free(self) -> int:
        for _ in EPHEMERAL:
            port = self._next
            self._next = port + 1 if port + 1 in EPHEMERAL else EPHEMERAL[0]
            if port not in self._ports:
                break
        else:
            fail(errno.EADDRINUSE)
        return port

    def may_listen(self, binding: Binding) -> bool:
        """Whether nobody else listens where `binding` is about to."""
        with self._lock:
            others = (held for held in self._ports.get(binding.port, ()) if held is not binding)
            return not any(
                held.owner.listening and (ANY in (held.address, binding.address) or held.address == binding.address)
                for held in others
            )

    def release(self, binding: Binding) -> None:
        """Give a port back."""
        with self._lock:
            held = self._ports.get(binding.port, [])
            if binding in held:
                held.remove(binding)
            if not held:
                self._ports.pop(binding.port, None)

    def find(self, address: str, port: int, source: Inet | None = None, *, listening: bool = False) -> Owner | None:
        """Who gets a packet sent to `address` and `port`."""
        with self._lock:
            held = self._ports.get(port, ())
            ranked = [(b.rank(address, source), b.owner) for b in held if b.owner.listening or not listening]
        best = max(ranked, key=lambda pair: pair[0], default=None)
        return best[1] if best is not None and best[0] else None

    def bindings(self) -> list[Binding]:
        """All of them at this moment."""
        with self._lock:
            return [binding for held in self._ports.values() for binding in held]
