"""What the container's machine says about itself."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sandbox.wasm.vfs import hostmemory

if TYPE_CHECKING:
    from sandbox.wasm.kernel.kernel import Kernel

SYSTEM, RELEASE, VERSION, MACHINE = "Linux", "6.1.0-sockerless", "#1 SMP Sockerless WebAssembly sandbox", "x86_64"


def host_memory(kernel: Kernel) -> tuple[int, int]:
    """(total, free) bytes: the container's limit when it has one, else the host's."""
    total, free = hostmemory.TOTAL, os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = kernel.shares.memory
    if limit and limit < total:
        return limit, max(0, limit - kernel.memory_size())
    return total, free
