"""Build arguments and their scopes: global before the first FROM, then anew in each stage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from backends.core.config import env_key
from sandbox.images.platforms import Platform

PREDEFINED = frozenset(
    f(name)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
    for f in (str.upper, str.lower)
)
"""Usable without an ARG; they are left out of the history and the cache unless one declares them."""


class BuildArguments:
    """``given`` are those of the request (None: named without a value), ``platforms`` TARGETPLATFORM and the like."""

    def __init__(self, given: Mapping[str, str | None], platforms: Mapping[str, str]) -> None:
        self._given = given
        self._global: dict[str, str | None] = dict(platforms)
        self._declared: dict[str, str | None] = {}
        self._used: set[str] = set()

    def declare_global(self, name: str, default: str | None) -> None:
        """An ARG before the first FROM."""
        self._used.add(name)
        if default is not None or name not in self._global:
            self._global[name] = default

    def declare(self, name: str, default: str | None) -> None:
        """An ARG of the present stage."""
        self._used.add(name)
        self._declared[name] = default

    def begin_stage(self) -> None:
        """Forget what the stage before declared."""
        self._declared = {}

    def globals(self) -> dict[str, str]:
        """What FROM may use."""
        return self._values(self._global)

    def allowed(self, environment: Iterable[str]) -> dict[str, str]:
        """What the present stage's instructions may use, without what its environment (NAME=value) sets already."""
        taken = {env_key(entry) for entry in environment}
        return {name: value for name, value in self._values(self._declared).items() if name not in taken}

    def shown(self, name: str) -> bool:
        """Whether an argument is part of a RUN's identity."""
        return name in self._declared or name not in PREDEFINED

    def unused(self) -> list[str]:
        """Names the request gave and the Dockerfile did not take."""
        return [name for name in self._given if name not in self._used and name not in PREDEFINED]

    def _values(self, scope: Mapping[str, str | None]) -> dict[str, str]:
        found: dict[str, str] = {}
        for name in (*scope, *PREDEFINED):
            value = self._given.get(name)
            if value is None:
                value = scope.get(name)
            if value is None and name in scope:
                value = self._global.get(name)
            if value is not None:
                found[name] = value
        return found


def platform_arguments(target: Platform, build: Platform) -> dict[str, str]:
    """TARGETPLATFORM, BUILDPLATFORM and their parts."""
    found: dict[str, str] = {}
    for prefix, platform in (("TARGET", target), ("BUILD", build)):
        found[f"{prefix}PLATFORM"] = str(platform)
        found[f"{prefix}OS"] = platform.os
        found[f"{prefix}ARCH"] = platform.architecture
        found[f"{prefix}VARIANT"] = platform.variant
    return found
