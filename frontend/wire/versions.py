"""API versions in request paths: ``/v1.47/containers/json``; a path without one means the newest."""

from __future__ import annotations

import re
from typing import NamedTuple

from frontend.wire.errors import BadRequest, TooOld


class Version(NamedTuple):
    """An API version; compares as its numbers do."""

    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


NEWEST = Version(1, 51)
OLDEST = Version(1, 24)
_LONGEST = 40
_PREFIX = re.compile(r"/v([0-9.]+)(/.*)", re.DOTALL)


def split_version(path: str) -> tuple[Version, str]:
    """Return the version a path asks for and the path without it. Raises BadRequest when it is not served."""
    match = _PREFIX.fullmatch(path)
    if match is None:
        return NEWEST, path
    return _parse(match[1]), match[2]


def _parse(text: str) -> Version:
    numbers = text.split(".")
    if not all(n.isascii() and n.isdigit() for n in numbers):
        raise BadRequest(f"invalid version format: {text}")
    if len(text) > _LONGEST:
        raise BadRequest(f"client version {text} is too new. Maximum supported API version is {NEWEST}")
    version = Version(int(numbers[0]), int(numbers[1]) if len(numbers) > 1 else 0)
    if version > NEWEST:
        raise BadRequest(f"client version {text} is too new. Maximum supported API version is {NEWEST}")
    if version < OLDEST:
        raise TooOld(
            f"client version {text} is too old. Minimum supported API version is {OLDEST}, "
            "please upgrade your client to a newer version"
        )
    return version
