"""How much went over each interface of a stack: for docker stats and /proc/net/dev."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, replace


@dataclass
class Traffic:
    """Bytes of payload, and calls that moved them: there are no packets here, nor headers."""

    received: int = 0
    received_packets: int = 0
    sent: int = 0
    sent_packets: int = 0


class Meter:
    """Counts by the local address that is spoken from. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counted: dict[str, Traffic] = {}

    def received(self, address: str, size: int) -> None:
        with self._lock:
            counted = self._counted.setdefault(address, Traffic())
            counted.received += size
            counted.received_packets += 1

    def sent(self, address: str, size: int) -> None:
        with self._lock:
            counted = self._counted.setdefault(address, Traffic())
            counted.sent += size
            counted.sent_packets += 1

    def of(self, address: str) -> Traffic:
        """So far, by way of one address; those of the loopback count as one."""
        with self._lock:
            if not address.startswith("127."):
                return replace(self._counted.get(address, Traffic()))
            return _sum(found for key, found in self._counted.items() if key.startswith("127."))


def _sum(parts: Iterable[Traffic]) -> Traffic:
    total = Traffic()
    for part in parts:
        total.received += part.received
        total.received_packets += part.received_packets
        total.sent += part.sent
        total.sent_packets += part.sent_packets
    return total
