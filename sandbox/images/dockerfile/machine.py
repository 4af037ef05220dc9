"""A path pattern as a machine that is in many states at once, one bit each: time goes with the path's length alone.

A token is a regular expression for one character, or one of the wildcards below. Bit n: the first n tokens have matched
what was read; behind a GAP's bit there is one more for the directories it is still reading.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

STAR, GAP, ALL = "*", "**/", "**"
"""Any number of characters but slashes; nothing, or all up to a slash; whatever there is."""


class Machine:
    """``fullmatch`` says whether a path matches all tokens."""

    def __init__(self, tokens: Sequence[str]) -> None:
        self._steps: dict[str, int] = {}
        self._known: dict[str, int] = {}
        self._empty = self._gaps = self._loops = self._directories = self._all = 0
        bit = 1
        for token in tokens:
            if token == GAP:
                self._gaps |= bit
                self._directories |= bit << 1
                bit <<= 1
            elif token in (STAR, ALL):
                self._empty |= bit
                self._loops |= bit
                self._all |= bit if token == ALL else 0
            else:
                self._steps[token] = self._steps.get(token, 0) | bit
            bit <<= 1
        self._end = bit

    def fullmatch(self, path: str) -> bool:
        """Whether the whole path matches."""
        states = self._settled(1)
        for character in path:
            states = self._settled(self._next(states, character))
        return bool(states & self._end)

    def _next(self, states: int, character: str) -> int:
        inside = states & self._directories
        if character == "/":
            return (states & self._all) | inside | (states & self._stepping("/") | inside) << 1
        return (states & self._loops) | inside | (states & self._stepping(character)) << 1

    def _stepping(self, character: str) -> int:
        found = self._known.get(character)
        if found is None:
            matching = (bits for token, bits in self._steps.items() if re.fullmatch(token, character, re.DOTALL))
            found = self._known[character] = sum(matching)
        return found

    def _settled(self, states: int) -> int:
        """With the states that are reached without reading anything."""
        while True:
            gaps = states & self._gaps
            more = states | gaps << 1 | gaps << 2 | (states & self._empty) << 1
            if more == states:
                return states
            states = more
