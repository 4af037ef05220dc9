"""Resource limits of a process, as getrlimit tells them."""

from __future__ import annotations

import errno

from sandbox.wasm.kernel.abi import RLIM_INFINITY, RLIMIT_CORE, RLIMIT_NOFILE, RLIMIT_STACK
from sandbox.wasm.vfs.node import fail

NAMES = (
    ("Max cpu time", "seconds"), ("Max file size", "bytes"), ("Max data size", "bytes"), ("Max stack size", "bytes"),
    ("Max core file size", "bytes"), ("Max resident set", "bytes"), ("Max processes", "processes"),
    ("Max open files", "files"), ("Max locked memory", "bytes"), ("Max address space", "bytes"),
    ("Max file locks", "locks"), ("Max pending signals", "signals"), ("Max msgqueue size", "bytes"),
    ("Max nice priority", ""), ("Max realtime priority", ""), ("Max realtime timeout", "us"),
)  # fmt: skip
WORDS = (
    *("cpu", "fsize", "data", "stack", "core", "rss", "nproc", "nofile", "memlock", "as", "locks", "sigpending"),
    *("msgqueue", "nice", "rtprio", "rttime"),
)
"""What setrlimit(2) calls them, without RLIMIT_, in the order of their numbers; so NAMES, as /proc does."""

_DEFAULTS = {RLIMIT_STACK: (8 << 20, RLIM_INFINITY), RLIMIT_CORE: (0, RLIM_INFINITY), RLIMIT_NOFILE: (1024, 1 << 20)}


class Limits:
    """(soft, hard) for each resource; what was never set is without limit."""

    __slots__ = ("_values",)

    def __init__(self, values: dict[int, tuple[int, int]] | None = None) -> None:
        self._values = dict(_DEFAULTS if values is None else values)

    def get(self, resource: int) -> tuple[int, int]:
        """EINVAL for an unknown resource."""
        if not 0 <= resource < len(NAMES):
            fail(errno.EINVAL)
        return self._values.get(resource, (RLIM_INFINITY, RLIM_INFINITY))

    def set(self, resource: int, soft: int, hard: int, privileged: bool) -> None:
        """EINVAL when the soft limit is above the hard one, EPERM to raise the hard one without privilege."""
        if soft > hard:
            fail(errno.EINVAL)
        if hard > self.get(resource)[1] and not privileged:
            fail(errno.EPERM)
        self._values[resource] = (soft, hard)

    def fork(self) -> Limits:
        return Limits(self._values)
