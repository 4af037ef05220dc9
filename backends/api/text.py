"""Text that may not be Unicode (file names, what programs and registries say) on its way into JSON."""

from __future__ import annotations

import re
from typing import Any

import msgspec

_SURROGATE = re.compile("[\ud800-\udfff]")
_encode = msgspec.json.Encoder().encode


def legible(text: str) -> str:
    """``text`` with U+FFFD for each byte that was no UTF-8, as Go's JSON encoder has it."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def encode(value: Any) -> bytes:
    """JSON, its text legible."""
    try:
        return _encode(value)
    except UnicodeEncodeError:
        return _encode(_legible(msgspec.to_builtins(value, enc_hook=_decoded)))


def _decoded(value: Any) -> Any:
    """Parts that are JSON already."""
    if isinstance(value, msgspec.Raw):
        return msgspec.json.decode(value)
    raise NotImplementedError(f"objects of type {type(value).__name__} have no form in JSON")


def _legible(value: Any) -> Any:
    if isinstance(value, str):
        return legible(value)
    if isinstance(value, dict):
        return {legible(name): _legible(item) for name, item in value.items()}
    return [_legible(item) for item in value] if isinstance(value, list | tuple) else value
