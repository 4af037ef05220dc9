"""Platforms as images name them (``linux/arm64``, ``linux/arm/v7``), and which one of a list suits a machine."""

from __future__ import annotations

import platform as host
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sandbox.images.errors import InvalidReference

_ARCHITECTURES = {
    "x86_64": "amd64",
    "x86-64": "amd64",
    "aarch64": "arm64",
    "armhf": "arm",
    "armel": "arm",
    "armv7l": "arm",
    "i386": "386",
    "i686": "386",
}
_SYSTEMS = frozenset({"linux", "windows", "darwin", "freebsd"})
_ARM = ["v8", "v7", "v6", "v5"]
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Platform:
    """``os/architecture[/variant]``, normalised as containerd does (x86_64 is amd64, arm64/v8 is arm64, arm is v7)."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    @classmethod
    def of(cls, os: str, architecture: str, variant: str = "") -> Platform:
        """Normalise the three parts."""
        system = os.lower()
        machine = _ARCHITECTURES.get(architecture.lower(), architecture.lower())
        variant = variant.lower()
        if variant.isdigit():
            variant = f"v{variant}"
        if machine == "arm64" and variant == "v8":
            variant = ""
        if machine == "arm" and not variant:
            variant = "v5" if architecture.lower() == "armel" else "v7"
        if machine == "amd64" and variant == "v1":
            variant = ""
        return cls(system, machine, variant)

    @classmethod
    def parse(cls, text: str) -> Platform:
        """Read ``os/arch[/variant]``, ``os`` or ``arch``; what is left out is this machine's. InvalidReference."""
        parts = text.split("/")
        if not all(part.replace("_", "").replace("-", "").replace(".", "").isalnum() for part in parts):
            raise InvalidReference(f'"{text}": invalid platform specifier')
        if len(parts) == 1:
            here = cls.local()
            return cls.of(text, here.architecture) if text.lower() in _SYSTEMS else cls.of(here.os, text)
        if len(parts) > 3:
            raise InvalidReference(f'"{text}": cannot parse platform specifier')
        return cls.of(*parts)

    @classmethod
    def local(cls) -> Platform:
        """Linux on this machine's processor (containers are Linux everywhere)."""
        return cls.of("linux", host.machine())

    @classmethod
    def of_config(cls, config: Mapping[str, Any]) -> Platform:
        """That of an image's config; an image that does not tell its operating system is a Linux one."""
        return cls.of(config.get("os") or "linux", config.get("architecture") or "", config.get("variant") or "")

    def rank(self, other: Platform) -> int | None:
        """How well an image for ``other`` suits this platform: 0 is exact, None is not at all."""
        if self.os != other.os or self.architecture != other.architecture:
            return None
        if self.variant == other.variant:
            return 0
        if self.architecture == "arm" and {self.variant, other.variant} <= set(_ARM):
            distance = _ARM.index(other.variant) - _ARM.index(self.variant)
            return distance if distance > 0 else None
        return 1 if not self.variant or not other.variant else None


def choose(wanted: Platform, offered: Sequence[tuple[Platform, Item]]) -> Item | None:
    """The item whose platform suits best, the first of equals; None if none does."""
    ranked = [(rank, item) for platform, item in offered if (rank := wanted.rank(platform)) is not None]
    return min(ranked, key=lambda pair: pair[0])[1] if ranked else None
