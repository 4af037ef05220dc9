"""Filter maps: {"key": ["value", …]} as clients send them, whatever the object."""

from __future__ import annotations

import functools
import re
import warnings
from collections.abc import Collection, Mapping

from backends.api.errors import InvalidArgument
from backends.api.types import Filters
from backends.core.clock import SECOND


def check_keys(filters: Filters, known: Collection[str]) -> None:
    """Refuse a key that is not in ``known``, in Docker's words."""
    for key in filters:
        if key not in known:
            raise InvalidArgument(f"invalid filter '{key}'")


def labels_match(wanted: Collection[str], labels: Mapping[str, str] | None) -> bool:
    """Tell whether all of "key" or "key=value" hold."""
    have = labels or {}
    for want in wanted:
        key, equals, value = want.partition("=")
        if key not in have or (equals and have[key] != value):
            return False
    return True


def name_matches(patterns: Collection[str], *names: str) -> bool:
    """Tell whether a pattern (a regular expression, or plain text) is found in one of the names."""
    return not patterns or any(_found(pattern, name) for pattern in patterns for name in names)


def _found(pattern: str, name: str) -> bool:
    if pattern in (name, name.removeprefix("/")):
        return True
    expression = _expression(pattern)
    return expression is not None and expression.search(name) is not None


@functools.lru_cache(64)
def _expression(pattern: str) -> re.Pattern[str] | None:
    """None for what is no regular expression; InvalidArgument for one that Python may search for without end."""
    repeats, before = 0, ""
    for token in _TOKEN.findall(pattern):
        if token in _REPEATS and before not in ("", "("):
            repeats += 1
            if before == ")" or repeats > _MOST_REPEATS:
                raise InvalidArgument(f"invalid filter: {pattern!r} repeats too much to be searched for")
        before = token
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # "[[" may come to mean something else to Python
        try:
            return re.compile(pattern)
        except (re.error, RecursionError, OverflowError):
            return None


_TOKEN = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*+\]|.", re.DOTALL)
_REPEATS = ("*", "+", "?", "{")
_MOST_REPEATS = 4


@functools.lru_cache(64)
def path_match(pattern: str) -> re.Pattern[str]:
    """Go's path.Match as a regular expression: a star does not cross a slash. InvalidArgument for a malformed one."""
    found: list[str] = []
    position = 0
    while position < len(pattern):
        piece = _GLOB.match(pattern, position)
        if piece is None:
            raise InvalidArgument("syntax error in pattern")
        position = piece.end()
        if piece[0][0] == "*" and "*" in found:  # as Go: what stands between two stars is taken where it first fits
            found[found.index("*") :] = ["(?>[^/]*?" + "".join(found[found.index("*") + 1 :]) + ")"]
        found.append(_translated(piece))
    try:
        return re.compile("".join("[^/]*" if part == "*" else part for part in found), re.DOTALL)
    except re.error:  # a range that ends before it begins
        raise InvalidArgument("syntax error in pattern") from None


_ITEM = r"(?:\\.|[^\\\]-])"
_GLOB = re.compile(rf"\*+|\?|\[(?P<not>\^?+)(?P<items>(?:{_ITEM}(?:-{_ITEM})?)+)\]|\\.|[^\\*?\[]", re.DOTALL)


def _translated(piece: re.Match[str]) -> str:
    text = piece[0]
    if text[0] == "*":
        return "*"
    if text == "?":
        return "[^/]"
    if piece["items"]:
        items = re.sub(r"\\(.)|([^\\-])", lambda item: re.escape(item[1] or item[2]), piece["items"], flags=re.DOTALL)
        return f"[{piece['not']}{items}]"
    return re.escape(text[-1])


def boolean(filters: Filters, key: str) -> bool | None:
    """Return the truth of a filter such as ``dangling``, None when it is absent."""
    values = filters.get(key)
    if not values:
        return None
    truths = {_TRUTH.get(value.lower()) for value in values}
    if None in truths or len(truths) != 1:
        raise InvalidArgument(f"invalid filter '{key}={values}'")
    return truths.pop()


_TRUTH = {"1": True, "true": True, "t": True, "0": False, "false": False, "f": False}


def until(filters: Filters, now: int) -> int | None:
    """Return the ``until`` filter as ns since the epoch: a Unix time, RFC 3339, or a duration before ``now``."""
    values = filters.get("until")
    if not values:
        return None
    if len(values) > 1:
        raise InvalidArgument("more than one until filter specified")
    return parse_time(values[0], now)


_LONGEST = 64
_FARTHEST = 2**63 - 1


def parse_time(text: str, now: int) -> int:
    """Read "1700000000[.5]", "2026-01-02[T03:04:05[Z]]" or "1h30m" (before ``now``) as ns since the epoch."""
    return min(max(_read_time(text, now), -_FARTHEST), _FARTHEST)


def _read_time(text: str, now: int) -> int:
    from datetime import UTC, datetime

    if len(text) > _LONGEST:
        raise InvalidArgument(f"invalid timestamp {text!r}")
    if re.fullmatch(r"\d+(\.\d+)?", text):
        seconds, _, fraction = text.partition(".")
        return int(seconds) * SECOND + int((fraction + "000000000")[:9])
    if parts := re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", text):
        hours, minutes, rest = (int(part or 0) for part in parts.groups())
        return now - (hours * 3600 + minutes * 60 + rest) * SECOND
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise InvalidArgument(f"invalid timestamp {text!r}") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()) * SECOND
