"""Query parameters as Docker's daemon reads them."""

from __future__ import annotations

import re

from frontend.wire.errors import BadRequest

_FALSE = {"", "0", "no", "false", "none"}
_INTEGER = re.compile(r"[+-]?[0-9]+")
_INT64 = 1 << 63
_LONGEST = 40  # characters of a number that is read; Python refuses the longest ones


def boolean(text: str | None) -> bool:
    """Anything is true but an empty or missing value, 0, no, false and none (any case)."""
    return text is not None and text.strip().lower() not in _FALSE


def integer(text: str) -> int:
    """Return a decimal integer of 64 bits. Raises BadRequest in the words of Go's strconv.Atoi."""
    if not _INTEGER.fullmatch(text):
        raise BadRequest(f'strconv.Atoi: parsing "{text}": invalid syntax')
    value = _decimal(text)
    if not -_INT64 <= value < _INT64:
        raise BadRequest(f'strconv.Atoi: parsing "{text}": value out of range')
    return value


def dimension(name: str, text: str) -> int:
    """Return a terminal's height or width. Raises BadRequest: ``name`` tells which."""
    if not re.fullmatch(r"[0-9]+", text):
        raise BadRequest(f'invalid resize {name} "{text}": invalid syntax')
    value = _decimal(text)
    if value >= 1 << 32:
        raise BadRequest(f'invalid resize {name} "{text}": value out of range')
    return value


def tail(text: str | None) -> int:
    """Return how many lines of a log are asked for; -1 = all. What is no number means all, as in the daemon."""
    value = _decimal(text) if text is not None and _INTEGER.fullmatch(text) else -1
    return max(value, -1) if value < _INT64 else -1


def _decimal(text: str) -> int:
    """The number, or one beyond 64 bits if there are so many digits that it can be no other."""
    if len(text) <= _LONGEST:
        return int(text)
    return -_INT64 * 2 if text.startswith("-") else _INT64 * 2
