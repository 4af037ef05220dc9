"""Whom a process runs as: "name", "uid", "name:group", "uid:gid", resolved in the container's own files."""

from __future__ import annotations

from dataclasses import dataclass

from backends.api.errors import InvalidArgument
from backends.core.drivers import Credentials

_LIMIT = 2**31 - 1


@dataclass(frozen=True)
class User:
    """``home`` is what HOME becomes when nobody set it."""

    credentials: Credentials
    home: str
    name: str


def _rows(text: bytes, fields: int, numbers: tuple[int, ...]) -> list[list[str]]:
    """The lines that are complete; the files are the container's own, and may hold anything."""
    rows = [line.split(":") for line in text.decode("utf-8", "replace").splitlines()]
    return [row for row in rows if len(row) >= fields and all(_number(row[index]) is not None for index in numbers)]


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 20 else None


def resolve_user(text: str, passwd: bytes, group: bytes, extra: list[str] | None = None) -> User:
    """Return who ``text`` is ("" = root); InvalidArgument in the OCI runtime's words for an unknown name.

    ``extra`` are groups by name or number (HostConfig.GroupAdd). Source: opencontainers/runc libcontainer/user.
    """
    who, _, group_name = text.partition(":")
    people, groups = _rows(passwd, 6, (2, 3)), _rows(group, 3, (2,))
    wanted = _number(who or "0")
    row = next((row for row in people if row[0] == who or (wanted is not None and _number(row[2]) == wanted)), None)
    if row is None and wanted is None:
        raise InvalidArgument(f"unable to find user {who}: no matching entries in passwd file")
    uid = int(row[2]) if row else wanted or 0
    gid, name, home = (int(row[3]), row[0], row[5]) if row else (0, "", "/")
    members: list[int] = []
    if group_name:
        gid = _group(group_name, groups)
    elif name:
        listed = [line for line in groups if len(line) > 3]
        members = [int(line[2]) for line in listed if name in line[3].split(",")]
    if not (0 <= uid <= _LIMIT and 0 <= gid <= _LIMIT):
        raise InvalidArgument("uids and gids must be in range 0-2147483647")
    members += [_group(entry, groups) for entry in extra or ()]
    if row is None and uid == 0:
        name, home = "root", "/root"
    return User(Credentials(uid, gid, tuple(dict.fromkeys([gid, *members]))), home or "/", name or str(uid))


def _group(text: str, groups: list[list[str]]) -> int:
    found = next((line for line in groups if line[0] == text), None)
    if found is not None:
        return int(found[2])
    number = _number(text)
    if number is None:
        raise InvalidArgument(f"unable to find group {text}: no matching entries in group file")
    return number
