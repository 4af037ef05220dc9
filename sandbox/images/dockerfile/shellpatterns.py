"""The patterns in ${x#p}, ${x%p} and ${x/p/r}: ``*`` and ``?``, no brackets.

What stands between two stars is taken where it first fits, the last piece also where it last fits: nothing is gained
by looking further, so a match takes time in proportion to text and pattern, whatever they are.
"""

from __future__ import annotations

import re

from sandbox.images.dockerfile.errors import DockerfileError


class ShellPattern:
    """A pattern as its pieces between stars; DockerfileError."""

    def __init__(self, pattern: str) -> None:
        self._pieces = [_Piece(piece) for piece in _split(pattern)]

    def without_prefix(self, text: str, longest: bool) -> str:
        """``text`` without what matches at its start."""
        if not self._pieces[0].at(text, 0):
            return text
        end = self._end(text, 0, longest)
        return text if end is None else text[end:]

    def without_suffix(self, text: str, longest: bool) -> str:
        """``text`` without what matches at its end."""
        backwards = ShellPattern("")
        backwards._pieces = [piece.backwards() for piece in reversed(self._pieces)]
        return backwards.without_prefix(text[::-1], longest)[::-1]

    def replaced(self, text: str, replacement: str, everywhere: bool) -> str:
        """``text`` with the leftmost longest match replaced, or ``everywhere`` all, as by Go's regexp.ReplaceAll."""
        result = ""
        position = done = 0
        while position <= len(text) and (found := self._search(text, position)):
            begin, end = found
            result += text[done:begin]
            if end > done or begin == 0:  # nothing is no match right behind another one
                result += replacement
            done, position = end, max(end, position + 1)
            if not everywhere:
                break
        return result + text[done:]

    def _search(self, text: str, position: int) -> tuple[int, int] | None:
        begin = self._pieces[0].find(text, position)
        end = None if begin < 0 else self._end(text, begin, longest=True)
        return None if end is None else (begin, end)

    def _end(self, text: str, begin: int, longest: bool) -> int | None:
        """Where a match ends whose first piece is at ``begin``; None if there is none there, nor further on."""
        first, *others = self._pieces
        position = begin + first.length
        for piece in others:
            place = piece.last(text, position) if longest and piece is others[-1] else piece.find(text, position)
            if place < 0:
                return None
            position = place + piece.length
        return position


class _Piece:
    """Characters that follow one another; None is any one."""

    def __init__(self, characters: list[str | None]) -> None:
        self._characters = characters
        self.length = len(characters)
        self._literal = None if None in characters else "".join(filter(None, characters))
        expression = "".join("." if character is None else re.escape(character) for character in characters)
        self._expression = re.compile(expression, re.DOTALL)

    def backwards(self) -> _Piece:
        return _Piece(self._characters[::-1])

    def at(self, text: str, position: int) -> bool:
        return self._expression.match(text, position) is not None

    def find(self, text: str, position: int) -> int:
        """The first place from ``position`` on, or -1."""
        if self._literal is not None:
            return text.find(self._literal, position)
        found = self._expression.search(text, position)
        return found.start() if found else -1

    def last(self, text: str, position: int) -> int:
        """The last place from ``position`` on, or -1."""
        if self._literal is not None:
            return text.rfind(self._literal, position)
        places = range(len(text) - self.length, position - 1, -1)
        return next((place for place in places if self.at(text, place)), -1)


def _split(pattern: str) -> list[list[str | None]]:
    """The pieces between stars. A backslash stands before what is to be taken as it is: ``* ? \\ } /``."""
    pieces: list[list[str | None]] = [[]]
    position = 0
    while position < len(pattern):
        character = pattern[position]
        position += 1
        if character == "*":
            pieces.append([])
        elif character == "?":
            pieces[-1].append(None)
        elif character == "\\":
            escaped = pattern[position : position + 1]
            if not escaped or escaped not in "*?\\}/":
                raise DockerfileError(f"invalid pattern ({pattern}) in substitution: invalid escape '\\{escaped}'")
            pieces[-1].append(escaped)
            position += 1
        else:
            pieces[-1].append(character)
    return pieces
