"""Request bodies as Go's decoder takes them: keys match in any case, null is a zero value, unknown fields stay.

A shape is a function that returns its value with keys in Docker's case, or raises BadRequest where Go's decoder would.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from frontend.wire.errors import BadRequest

Shape = Callable[[Any, str], Any]
Schema = dict[str, Any]


def _mismatch(value: Any, path: str, wanted: str) -> BadRequest:
    names = {bool: "bool", str: "string", int: "number", float: "number", list: "array", dict: "object"}
    return BadRequest(
        f"invalid JSON: json: cannot unmarshal {names[type(value)]} into Go struct field {path} of type {wanted}"
    )


def anything(value: Any, path: str) -> Any:
    """Any JSON."""
    return value


def string(value: Any, path: str) -> Any:
    """A string or null."""
    if value is None or isinstance(value, str):
        return value
    raise _mismatch(value, path, "string")


def flag(value: Any, path: str) -> Any:
    """A boolean or null."""
    if value is None or isinstance(value, bool):
        return value
    raise _mismatch(value, path, "bool")


def integer(kind: str, within: range) -> Shape:
    """An integer within a range, or null; ``kind`` is Go's name for it."""

    def check(value: Any, path: str) -> Any:
        if value is None or (isinstance(value, int) and not isinstance(value, bool) and value in within):
            return value
        raise _mismatch(value, path, kind)

    bounds = {"minimum": within.start, "maximum": within.stop - 1}
    _SCHEMAS[check] = {"type": ["integer", "null"], "format": kind, **bounds}
    return check


def words(value: Any, path: str) -> Any:
    """A command: a list of strings, or one string, which is a list of one."""
    return [value] if isinstance(value, str) else strings(value, path)


def empty(value: Any, path: str) -> Any:
    """An object of which nothing is read, or null."""
    if value is None or isinstance(value, dict):
        return {}
    raise _mismatch(value, path, "struct {}")


_SCHEMAS: dict[Shape, Schema] = {
    anything: {},
    string: {"type": ["string", "null"]},
    flag: {"type": ["boolean", "null"]},
    words: {"type": ["array", "string", "null"], "items": {"type": ["string", "null"]}},
    empty: {"type": ["object", "null"]},
}


def schema(shape: Shape) -> Schema:
    """What a shape takes, as JSON Schema."""
    return _SCHEMAS[shape]


def items(shape: Shape, zero: Any) -> Shape:
    """A list of ``shape``, or null; a null in it is ``zero``."""

    def check(value: Any, path: str) -> Any:
        if value is None:
            return None
        if not isinstance(value, list):
            raise _mismatch(value, path, "[]")
        return [zero if item is None else shape(item, path) for item in value]

    _SCHEMAS[check] = {"type": ["array", "null"], "items": schema(shape)}
    return check


def table(shape: Shape, zero: Any = None) -> Shape:
    """An object whose keys are data, or null; a null in it is ``zero``."""

    def check(value: Any, path: str) -> Any:
        if value is None:
            return None
        if not isinstance(value, dict):
            raise _mismatch(value, path, "map")
        return {key: zero if item is None else shape(item, path) for key, item in value.items()}

    _SCHEMAS[check] = {"type": ["object", "null"], "additionalProperties": schema(shape)}
    return check


def pair(shape: Shape) -> Shape:
    """A list of two numbers, or null; of a longer one the rest is not read, what a shorter one lacks is 0."""

    def check(value: Any, path: str) -> Any:
        if value is None:
            return None
        if not isinstance(value, list):
            raise _mismatch(value, path, "[2]uint")
        return ([shape(item, path) or 0 for item in value] + [0, 0])[:2]

    _SCHEMAS[check] = {"type": ["array", "null"], "items": schema(shape)}
    return check


def record(name: str, **fields: Shape) -> Shape:
    """An object whose keys are field names, or null. A known field that is null is left out: it means the same."""
    folded = {field.lower(): field for field in fields}

    def check(value: Any, path: str) -> Any:
        if value is None:
            return None
        if not isinstance(value, dict):
            raise _mismatch(value, path or name, name)
        result = {}
        for key, item in value.items():
            field = key if key in fields else folded.get(key.lower(), key)
            if item is None and field in fields:
                continue
            result[field] = fields[field](item, f"{path or name}.{field}") if field in fields else item
        return result

    _SCHEMAS[check] = {
        "type": ["object", "null"], "title": name, "properties": {key: schema(one) for key, one in fields.items()},
    }  # fmt: skip
    return check


def without_nulls(value: Any) -> Any:
    """Leave out what is null, at every level: to Go's decoder a missing field and a null one are the same."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    return value


number = integer("int64", range(-(2**63), 2**63))
uint16, uint32, uint64 = (integer(f"uint{bits}", range(2**bits)) for bits in (16, 32, 64))
strings = items(string, "")
string_table = table(string, "")


def fields_of(shape: Shape, names: str) -> dict[str, Shape]:
    """Give every one of the space-separated ``names`` the same shape."""
    return dict.fromkeys(names.split(), shape)
