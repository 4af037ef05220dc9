"""Waiting for what nothing announces: another process, or a thread that the test has no handle of."""

from __future__ import annotations

import time
from collections.abc import Callable


def eventually(condition: Callable[[], bool], seconds: float = 30, told: Callable[[], object] = lambda: "") -> None:
    """Returns once the condition holds. AssertionError after so many seconds, with what is `told` then."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"did not happen in time {told()}"
        time.sleep(0.02)
