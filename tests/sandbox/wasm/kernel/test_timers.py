"""The thread that all alarms share."""

from __future__ import annotations

import threading
import time

import pytest

from sandbox.wasm.kernel.timers import Alarms
from tests.sandbox.wasm.kernel.kit import DEADLINE


def test_an_alarm_that_fails_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    def failing() -> None:
        raise OSError

    alarms, rang = Alarms(), threading.Event()
    now = time.monotonic()
    alarms.at(now, failing)
    alarms.at(now, rang.set)
    assert rang.wait(DEADLINE)
    assert "an alarm failed; the others go on" in caplog.text
