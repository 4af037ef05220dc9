"""How much of a chunked body can be handed on at once when what follows the body must not go with it."""

from __future__ import annotations

import re

_SIZE = re.compile(rb"([0-9a-fA-F]{1,15})(;.*)?\r\n", re.DOTALL)
_LONGEST_LINE = 4096


class Chunks:
    """Follows a chunked body from its first byte. It decides nothing: where the body ends, its parser says.

    ``safe`` bytes can be handed on without the risk of handing on more than the body; then ``fed`` has to be told.
    """

    def __init__(self) -> None:
        self._line = bytearray()
        self._data = 0
        self._last = False

    @property
    def safe(self) -> int:
        """At least 1."""
        return self._data or 1

    def fed(self, part: bytes) -> None:
        """``part``, of at most ``safe`` bytes, was handed on."""
        if self._data:
            self._data -= len(part)
            return
        if len(self._line) < _LONGEST_LINE:
            self._line += part
        if part == b"\n":
            line = bytes(self._line)
            self._line.clear()
            size = _SIZE.fullmatch(line)
            if size is not None and not self._last:
                self._data = int(size[1], 16)
            # What is data may look like a size: after a line that is none, nothing is known any more.
            self._last = self._last or (line != b"\r\n" and not self._data)
