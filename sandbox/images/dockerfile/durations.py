"""Durations as Go writes them: 1h30m, 500ms, 1.5s."""

from __future__ import annotations

import re
from fractions import Fraction

from sandbox.images.dockerfile.errors import DockerfileError

_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_PART = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_MAX = 2**63 - 1
_LONGEST = 400


def parse_duration(text: str) -> int:
    """Nanoseconds of a duration; DockerfileError in the words of Go's time.ParseDuration."""
    sign = -1 if text.startswith("-") else 1
    rest = text[1:] if text[:1] in ("+", "-") else text
    if rest == "0":
        return 0
    total = Fraction(0)
    position = 0
    while position < len(rest) <= _LONGEST:
        found = _PART.match(rest, position)
        if found is None:
            break
        total += Fraction(found[1].rstrip(".") if found[1][0] != "." else f"0{found[1]}") * _UNITS[found[2]]
        position = found.end()
    if not rest or position < len(rest) or total > _MAX:
        missing = re.fullmatch(r"[0-9.]+", rest) is not None and rest != "."
        raise DockerfileError(f'time: {"missing unit in" if missing else "invalid"} duration "{text}"')
    return sign * int(total)


def format_duration(nanoseconds: int) -> str:
    """Go's time.Duration.String: 0s, 1.5ms, 30s, 1m30s, 1h0m0s."""
    if not nanoseconds:
        return "0s"
    if nanoseconds < 0:
        return "-" + format_duration(-nanoseconds)
    for unit, size in (("ns", 10**3), ("µs", 10**6), ("ms", 10**9)):
        if nanoseconds < size:
            return _decimal(nanoseconds, size // 1000) + unit
    minutes, rest = divmod(nanoseconds, 60 * 10**9)
    seconds = _decimal(rest, 10**9) + "s"
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{seconds}"
    return f"{minutes}m{seconds}" if minutes else seconds


def _decimal(value: int, unit: int) -> str:
    whole, rest = divmod(value, unit)
    digits = str(rest).rjust(len(str(unit)) - 1, "0").rstrip("0") if rest else ""
    return f"{whole}.{digits}" if digits else str(whole)
