"""What this process has open, counted while threads of its own open and close a file now and then."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.waiting import eventually


@contextmanager
def at_most_more(allowed: int) -> Iterator[None]:
    """Afterwards no more than `allowed` descriptors more than before are open, or soon will be.

    The thread that watches the machine's memory has a file of /proc open for a moment, a process that was killed its
    pipes; what has leaked stays.
    """
    gc.collect()  # what other tests left to the collector
    before = _descriptors()
    yield
    eventually(
        lambda: len(_descriptors()) <= len(before) + allowed,
        20,
        told=lambda: sorted(_descriptors().items() - before.items()),
    )


def _descriptors() -> dict[str, str]:
    found = {}
    for fd in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # closed since, as the one of the listing itself
            found[fd] = os.readlink(f"/proc/self/fd/{fd}")
    return found
