"""Path patterns: Go's filepath.Match, and the lines of a .dockerignore file as Docker's pattern matcher reads them."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass

from sandbox.images.dockerfile.errors import DockerfileError


class BadPattern(DockerfileError):
    """A pattern cannot be read."""

    def __init__(self) -> None:
        super().__init__("syntax error in pattern")


def has_wildcards(path: str) -> bool:
    """Whether a path holds ``*``, ``?`` or ``[`` that is not escaped by a backslash."""
    return re.search(r"[*?\[]", re.sub(r"\\.", "", path, flags=re.DOTALL)) is not None


def glob(pattern: str) -> re.Pattern[str]:
    """Go's filepath.Match as a regular expression for ``fullmatch``: no wildcard takes a slash. BadPattern."""
    found = result = ""
    star = False
    position = 0
    while position < len(pattern):
        character = pattern[position]
        position += 1
        if character == "*":
            found, result = found + _settled(result, star), ""
            star = True
        elif character == "?":
            result += "[^/]"
        elif character == "[":
            text, position = _class(pattern, position)
            result += text
        elif character == "\\":
            if position == len(pattern):
                raise BadPattern
            result += re.escape(pattern[position])
            position += 1
        else:
            result += re.escape(character)
    return re.compile(found + ("[^/]*" if star else "") + result, re.DOTALL)


def _settled(chunk: str, star: bool) -> str:
    """What stands between two stars is taken where it first fits, as Go does: nothing is gained by looking further."""
    return f"(?>[^/]*?{chunk})" if star else chunk


def _class(pattern: str, position: int) -> tuple[str, int]:
    """``[a-z^]`` from behind its bracket; nothing in it may be left out, and a slash never matches."""
    negated = pattern.startswith("^", position)
    position += negated
    ranges = ""
    while True:
        if ranges and pattern.startswith("]", position):
            break
        low, position = _character(pattern, position)
        high = low
        if pattern.startswith("-", position):
            high, position = _character(pattern, position + 1)
        ranges += f"{re.escape(low)}-{re.escape(high)}" if low <= high else "\0"  # no path holds a NUL
    return f"(?!/)[{'^' if negated else ''}{ranges}]", position + 1


def _character(pattern: str, position: int) -> tuple[str, int]:
    if position >= len(pattern) or pattern[position] in "-]":
        raise BadPattern
    if pattern[position] == "\\":
        position += 1
    if position + 1 >= len(pattern):
        raise BadPattern
    return pattern[position], position + 1


@dataclass(frozen=True, slots=True)
class _Pattern:
    expression: re.Pattern[str]
    exclusion: bool


class PatternMatcher:
    """Patterns in order: a path is ignored if the last one that matches it or a directory above it has no ``!``."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self._patterns: list[_Pattern] = []
        for text in patterns:
            text = text.strip()
            if not text:
                continue
            text = posixpath.normpath(text)
            exclusion = text.startswith("!")
            if text == "!":
                raise DockerfileError('illegal exclusion pattern: "!"')
            text = text[1:] if exclusion else text
            glob(text)
            self._patterns.append(_Pattern(_expression(text), exclusion))

    def matches(self, path: str) -> bool:
        """Whether ``path`` (relative, with slashes) is ignored."""
        parts = path.split("/")
        places = [path, *("/".join(parts[: count + 1]) for count in range(len(parts) - 1))]
        ignored = False
        for pattern in self._patterns:
            if pattern.exclusion == ignored and any(pattern.expression.fullmatch(place) for place in places):
                ignored = not pattern.exclusion
        return ignored


def _expression(pattern: str) -> re.Pattern[str]:
    """As ``glob``, and ``**`` is any number of directories."""
    result = ""
    position = 0
    while position < len(pattern):
        character = pattern[position]
        position += 1
        if pattern.startswith("**", position - 1):
            position += 1
            position += pattern.startswith("/", position)
            result += ".*" if position >= len(pattern) else "(.*/)?"
        elif character == "*":
            result += "[^/]*"
        elif character == "?":
            result += "[^/]"
        elif character == "[":
            text, position = _class(pattern, position)
            result += text
        elif character == "\\" and position < len(pattern):
            result += re.escape(pattern[position])
            position += 1
        else:
            result += re.escape(character)
    return re.compile(result, re.DOTALL)


def read_ignore(text: str) -> list[str]:
    """The patterns of a .dockerignore file: comments and empty lines out, paths cleaned, leading slashes off."""
    found: list[str] = []
    for line in text.removeprefix("\ufeff").splitlines():
        pattern = line.strip()
        if line.startswith("#") or not pattern:
            continue
        mark = "!" if pattern.startswith("!") else ""
        pattern = pattern.removeprefix("!").strip()
        if pattern:
            pattern = posixpath.normpath(pattern)
            if len(pattern) > 1:
                pattern = pattern.lstrip("/") or "/"
        found.append(mark + pattern)
    return found
