"""What is left of the machine's memory, and how much of it containers do not get."""

from __future__ import annotations

import os
from pathlib import Path

_MEMINFO = Path("/proc/meminfo")
TOTAL = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
RESERVE = max(min(256 << 20, TOTAL // 8), TOTAL // 32)
"""Bytes: with less than this left the host's kernel is about to kill the worker, and all containers with it."""


def available() -> int:
    """Bytes that can be had without swapping."""
    for line in _MEMINFO.read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    return TOTAL
