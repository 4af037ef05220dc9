"""Moments as clients write them: Unix seconds with a fraction, RFC 3339, or how long ago in Go's duration syntax.

moby: daemon/internal/timestamp. All results are nanoseconds since the epoch.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from frontend.wire.errors import BadRequest

_UNIX = re.compile(r"(-?[0-9]+)(?:\.([0-9]*))?")
_DURATION = re.compile(r"(?:[0-9]*\.?[0-9]+(?:ns|us|µs|ms|s|m|h))+")
_PART = re.compile(r"([0-9]*\.?[0-9]+)(ns|us|µs|ms|s|m|h)")
_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:T(\d\d)(?::(\d\d))?(?::(\d\d))?(?:\.(\d+))?)?(Z|[+-]\d\d:\d\d)?",
)
_LONGEST = 64
_FARTHEST = 2**63 - 1
_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}


def log_time(name: str, text: str | None, now: int) -> int:
    """Return the moment in query parameter ``name``; 0 = unset. Raises BadRequest in the daemon's words."""
    if not text:
        return 0
    try:
        return max(point_in_time(text, now), 0)
    except BadRequest as error:
        raise BadRequest(f"invalid value for '{name}': {error.message}") from error


def point_in_time(text: str, now: int) -> int:
    """Return the moment that ``text`` means at ``now``, the nearest one that 64 bits hold. Raises BadRequest."""
    return min(max(_read(text, now), -_FARTHEST), _FARTHEST)


def _read(text: str, now: int) -> int:
    if len(text) > _LONGEST:
        raise BadRequest(f'invalid timestamp "{text}": value out of range')
    if match := _UNIX.fullmatch(text):
        fraction = (match[2] or "")[:9].ljust(9, "0")
        return int(match[1]) * 10**9 + int(fraction)
    if _DURATION.fullmatch(text):
        return now - sum(int(float(number) * _UNITS[unit]) for number, unit in _PART.findall(text))
    if match := _RFC3339.fullmatch(text):
        return _calendar(text, match)
    seconds = text.partition(".")[0]
    raise BadRequest(f'invalid timestamp "{text}": invalid seconds "{seconds}": invalid syntax')


def _calendar(text: str, match: re.Match[str]) -> int:
    day, hour, minute, second, fraction, zone = match.groups()
    clock = f"{hour or '00'}:{minute or '00'}:{second or '00'}"
    try:
        moment = datetime.fromisoformat(f"{day}T{clock}{(zone or 'Z').replace('Z', '+00:00')}")
    except ValueError as error:
        raise BadRequest(f'invalid timestamp "{text}": {error}') from error
    seconds = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (seconds.days * 86400 + seconds.seconds) * 10**9 + int((fraction or "0")[:9].ljust(9, "0"))
