"""Detach keys: the sequence that takes a client off a terminal and leaves the process running.

The engine looks for it in the input; what is wrong with it is told here, before anything starts.
"""

from __future__ import annotations

from frontend.wire.errors import BadRequest

DEFAULT = b"\x10\x11"  # ctrl-p, ctrl-q
_CONTROL = {"@": 0, "[": 27, "\\": 28, "]": 29, "^": 30, "_": 31}


def parse_detach_keys(text: str) -> bytes:
    """Return the bytes that ``ctrl-p,ctrl-q`` or ``a,b`` stand for; "" means the default. Raises BadRequest."""
    if not text:
        return DEFAULT
    return bytes(_key(key, text) for key in text.split(","))


def _key(key: str, text: str) -> int:
    if len(key) == 1 and key.isascii():
        return ord(key)
    letter = key.removeprefix("ctrl-")
    if key.startswith("ctrl-") and len(letter) == 1:
        if "a" <= letter <= "z":
            return ord(letter) - ord("a") + 1
        if letter in _CONTROL:
            return _CONTROL[letter]
    raise BadRequest(f"Invalid detach keys ({text}) provided")
