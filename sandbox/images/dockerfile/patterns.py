"""Path patterns: Go's filepath.Match, and the lines of a .dockerignore file as Docker's pattern matcher reads them."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from sandbox.images.dockerfile.errors import DockerfileError
from sandbox.images.dockerfile.machine import ALL, GAP, STAR, Machine


class BadPattern(DockerfileError):
    """A pattern cannot be read."""

    def __init__(self) -> None:
        super().__init__("syntax error in pattern")


def has_wildcards(path: str) -> bool:
    """Whether a path holds ``*``, ``?`` or ``[`` that is not escaped by a backslash."""
    return re.search(r"[*?\[]", re.sub(r"\\.", "", path, flags=re.DOTALL)) is not None


def glob(pattern: str) -> re.Pattern[str]:
    """Go's filepath.Match as a regular expression for ``fullmatch``: no wildcard takes a slash. BadPattern."""
    return re.compile(_directory_part(_tokens(pattern, deep=False)), re.DOTALL)


def _tokens(pattern: str, deep: bool) -> list[str]:
    """A pattern as expressions for one character each, and wildcards; ``**`` is one if ``deep``. BadPattern."""
    found: list[str] = []
    position = 0
    while position < len(pattern):
        character = pattern[position]
        position += 1
        if deep and pattern.startswith("**", position - 1):
            position += 1
            position += pattern.startswith("/", position)
            token = GAP if position < len(pattern) else ALL
            if found and found[-1] == GAP:
                found.pop()
            found.append(token)
        elif character == "*":
            found.append(STAR)
        elif character == "?":
            found.append("[^/]")
        elif character == "[":
            text, position = _class(pattern, position)
            found.append(text)
        elif character == "\\":
            if position == len(pattern):
                raise BadPattern
            found.append(re.escape(pattern[position]))
            position += 1
        else:
            found.append(re.escape(character))
    return found


def _directory_part(tokens: Sequence[str]) -> str:
    """The expression of tokens without slashes or ``**``. What stands between two stars is taken where it first fits,
    as Go does: nothing is gained by looking further."""
    first, *others = _split(tokens, STAR)
    if not others:
        return "".join(first)
    between = "".join(f"(?>[^/]*?{''.join(part)})" for part in others[:-1] if part)
    return f"{''.join(first)}{between}[^/]*{''.join(others[-1])}"


def _split(tokens: Sequence[str], mark: str) -> list[list[str]]:
    parts: list[list[str]] = [[]]
    for token in tokens:
        if token == mark:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


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
    fullmatch: Callable[[str], object]
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
            self._patterns.append(_Pattern(deep_glob(text[1:] if exclusion else text), exclusion))

    def matches(self, path: str) -> bool:
        """Whether ``path`` (relative, with slashes) is ignored."""
        parts = path.split("/")
        places = [path, *("/".join(parts[: count + 1]) for count in range(len(parts) - 1))]
        ignored = False
        for pattern in self._patterns:
            if pattern.exclusion == ignored and any(map(pattern.fullmatch, places)):
                ignored = not pattern.exclusion
        return ignored


def deep_glob(pattern: str) -> Callable[[str], object]:
    """As ``glob``, and ``**`` is any number of directories; says whether a path matches. BadPattern.

    Where ``**`` stands for whole directories, what is between two of them is a fixed number of directories and taken
    where it first fits. Elsewhere ("a**b") that is not enough, and the pattern is simulated.
    """
    tokens = _tokens(pattern, deep=True)
    if any(token == GAP and tokens[place - 1] != "/" for place, token in enumerate(tokens) if place):
        return Machine(tokens).fullmatch
    rest = ".*" if tokens and tokens[-1] == ALL else ""
    first, *others = (_directories(part) for part in _split(tokens[:-1] if rest else tokens, GAP))
    between = "".join(f"(?>(?:[^/]*/)*?{part})" for part in others[:-1])
    last = f"(?:[^/]*/)*?{others[-1]}" if others else ""
    return re.compile(f"{first}{between}{last}{rest}", re.DOTALL).fullmatch


def _directories(tokens: Sequence[str]) -> str:
    """Directories and maybe a name; each directory matches in one way only."""
    *directories, name = _split(tokens, "/")
    return "".join(f"(?>{_directory_part(part)}/)" for part in directories) + _directory_part(name)


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
