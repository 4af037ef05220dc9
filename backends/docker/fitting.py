"""Reading an engine's JSON into the contract's structs, whatever version and make the engine is.

Engines leave out what is empty or send null for it (Go's nil maps and slices, fields of newer versions). What a struct
requires and the engine does not say is the empty value of its kind; fields the contract does not know are dropped.
"""

from __future__ import annotations

import types
import typing
from functools import cache
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")
_EMPTY: dict[Any, Any] = {str: "", int: 0, bool: False, float: 0.0}


def fit(kind: type[T], value: Any) -> T:
    """Return ``value`` (parsed JSON) as ``kind``. Raises msgspec.ValidationError when it is something else."""
    return msgspec.convert(_fit(kind, value), kind, strict=False)


def _fit(kind: Any, value: Any) -> Any:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _fit_struct(kind, value)
    if kind is msgspec.Raw:
        return msgspec.Raw(msgspec.json.encode(value))
    arms = _arms(kind)
    if value is None:
        return None if type(None) in arms else _empty(arms[0])
    origin, arguments = typing.get_origin(arms[0]), typing.get_args(arms[0])
    if origin is list and isinstance(value, list):
        return [_fit(arguments[0], item) for item in value]
    if origin is dict and isinstance(value, dict):
        return {key: _fit(arguments[1], item) for key, item in value.items()}
    if len(arms) > 1 and isinstance(arms[0], type) and issubclass(arms[0], msgspec.Struct):
        return _fit_struct(arms[0], value)
    return value


def _fit_struct(kind: type[msgspec.Struct], value: Any) -> Any:
    if not isinstance(value, dict):
        value = {}
    found = {}
    for name, annotation, required in _fields(kind):
        given = value.get(name)
        if given is not None or required or type(None) in _arms(annotation):
            found[name] = _fit(annotation, given)
    return found


@cache
def _fields(kind: type[msgspec.Struct]) -> list[tuple[str, Any, bool]]:
    return [(field.encode_name, field.type, field.required) for field in msgspec.structs.fields(kind)]


def _arms(kind: Any) -> tuple[Any, ...]:
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return typing.get_args(kind)
    return (kind,)


def _empty(kind: Any) -> Any:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _fit_struct(kind, {})
    if kind in _EMPTY:
        return _EMPTY[kind]
    return [] if (typing.get_origin(kind) or kind) is list else {}
