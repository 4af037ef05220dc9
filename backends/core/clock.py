"""Times: nanoseconds since the epoch inside the engine, RFC 3339 with nanoseconds on the wire, durations for people."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

from backends.api.types import ZERO_TIME

Clock = Callable[[], int]
SECOND = 1_000_000_000

system_clock: Clock = time.time_ns


def rfc3339(nanoseconds: int) -> str:
    """Render like Go's RFC3339Nano: UTC, trailing zeros of the fraction cut; 0 is "never"."""
    if not nanoseconds:
        return ZERO_TIME
    seconds, fraction = divmod(nanoseconds, SECOND)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{fraction:09d}".rstrip("0").rstrip(".") + "Z"


def rfc3339_fixed(nanoseconds: int) -> str:
    """Render with exactly nine digits, as ``docker logs --timestamps`` does."""
    seconds, fraction = divmod(nanoseconds, SECOND)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{fraction:09d}Z"


def rfc3339_seconds(nanoseconds: int) -> str:
    """Render whole seconds (volumes' CreatedAt)."""
    return datetime.fromtimestamp(nanoseconds // SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def human_duration(seconds: float) -> str:
    """Say a duration as ``docker ps`` does (docker/go-units HumanDuration)."""
    whole = int(seconds)
    if whole < 1:
        return "Less than a second"
    if whole == 1:
        return "1 second"
    if whole < 60:
        return f"{whole} seconds"
    minutes = whole // 60
    if minutes == 1:
        return "About a minute"
    if minutes < 60:
        return f"{minutes} minutes"
    hours = int(seconds / 3600 + 0.5)
    if hours == 1:
        return "About an hour"
    if hours < 48:
        return f"{hours} hours"
    for size, until, unit in ((24, 14 * 24, "days"), (168, 60 * 24, "weeks"), (720, 730 * 24, "months")):
        if hours < until:
            return f"{hours // size} {unit}"
    return f"{int(seconds / 3600) // 24 // 365} years"
