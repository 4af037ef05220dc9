"""RUN --mount=type=…,target=…: its options, by kind.

Source: the Dockerfile reference, "RUN --mount".
"""

from __future__ import annotations

import csv
import json
import re

from sandbox.images.dockerfile.errors import DockerfileError
from sandbox.images.dockerfile.instructions import RunMount

_KINDS = ("bind", "cache", "tmpfs", "secret", "ssh")
_KEYS = {
    "target": "target",
    "dst": "target",
    "destination": "target",
    "source": "source",
    "src": "source",
    "from": "origin",
    "id": "identity",
    "sharing": "sharing",
    "env": "variable",
}
_ALLOWED = {
    "bind": {"target", "source", "origin", "read_only"},
    "cache": {"target", "source", "origin", "identity", "sharing", "read_only", "mode", "uid", "gid"},
    "tmpfs": {"target", "size", "read_only"},
    "secret": {"target", "source", "identity", "required", "mode", "uid", "gid", "variable"},
    "ssh": {"target", "identity", "required", "mode", "uid", "gid"},
}
_LARGEST = {"mode": 0o7777, "uid": (1 << 32) - 1, "gid": (1 << 32) - 1}
_SIZE = re.compile(r"([0-9]{1,19})\s*([kmgt]?)i?b?", re.IGNORECASE)


def parse_mount(text: str) -> RunMount:
    """Read one --mount; DockerfileError. A bind is read-only unless it says rw."""
    try:
        fields = next(csv.reader([text]), [])
    except csv.Error as error:
        raise DockerfileError(f"failed to parse mount {json.dumps(text)}: {error}") from None
    values: dict[str, str | int | bool] = {}
    kind = "bind"
    for field in fields:
        key, equals, value = field.partition("=")
        key = key.lower()
        if key == "type":
            kind = value.lower()
            if kind not in _KINDS:
                raise DockerfileError(f"unsupported mount type {json.dumps(kind)}")
        else:
            _option(values, key, value if equals else None, field)
    for name in values:
        if name not in _ALLOWED[kind]:
            raise DockerfileError(f"unexpected key '{name}' for mount type '{kind}'")
    values.setdefault("read_only", kind == "bind")
    mount = RunMount(kind=kind, **values)  # type: ignore[arg-type]
    if not mount.target and kind in ("bind", "cache", "tmpfs"):
        raise DockerfileError("target is required")
    if mount.sharing not in ("shared", "private", "locked"):
        raise DockerfileError(f"unsupported sharing value {json.dumps(mount.sharing)}")
    return mount


def _option(values: dict[str, str | int | bool], key: str, value: str | None, field: str) -> None:
    if key in ("readonly", "ro"):
        values["read_only"] = _boolean(key, value)
    elif key in ("readwrite", "rw"):
        values["read_only"] = not _boolean(key, value)
    elif key == "required":
        values["required"] = _boolean(key, value)
    elif value is None:
        raise DockerfileError(f"invalid field '{field}' must be a key=value pair")
    elif key == "mode":
        values["mode"] = _number(key, value, 8)
    elif key in ("uid", "gid"):
        values[key] = _number(key, value, 10)
    elif key == "size":
        values["size"] = _size(value)
    elif key in _KEYS:
        values[_KEYS[key]] = value
    else:
        raise DockerfileError(f"unexpected key '{key}' in '{field}'")


def _boolean(key: str, value: str | None) -> bool:
    if value is None or value.lower() in ("1", "t", "true"):
        return True
    if value.lower() in ("0", "f", "false"):
        return False
    raise DockerfileError(f"invalid value for {key}: {value}")


def _number(key: str, value: str, base: int) -> int:
    digits = "[0-7]{1,12}" if base == 8 else "[0-9]{1,10}"
    if not re.fullmatch(digits, value) or int(value, base) > _LARGEST[key]:
        raise DockerfileError(f"invalid value {value} for {key}")
    return int(value, base)


def _size(value: str) -> int:
    found = _SIZE.fullmatch(value)
    size = int(found[1]) << (10 * "kmgt".index(found[2].lower()) + 10 if found[2] else 0) if found else -1
    if not 0 <= size < 1 << 63:
        raise DockerfileError(f"invalid value for size: {value}")
    return size
