"""The directories of RUN --mount=type=cache: kept between builds, until ``docker builder prune``."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import msgspec

from backends.api.types import Json
from backends.core.clock import Clock, rfc3339
from sandbox.images.threads import in_thread

Make: TypeAlias = Callable[[Path], Awaitable[Path]]
"""Makes a cache directory inside the new directory of that path; returns its own path."""


class _About(msgspec.Struct):
    identity: str
    created: int
    used: int = 0
    count: int = 0


@dataclass(frozen=True)
class Kept:
    """One cache directory; ``size`` in bytes, times in nanoseconds."""

    id: str
    identity: str
    size: int
    created: int
    used: int
    count: int
    in_use: bool

    def row(self) -> Json:
        """As ``docker system df`` lists it."""
        return {
            "ID": self.id,
            "Type": "exec.cachemount",
            "Description": f"cached mount {self.identity}",
            "InUse": self.in_use,
            "Shared": False,
            "Size": self.size,
            "CreatedAt": rfc3339(self.created),
            "LastUsedAt": rfc3339(self.used) if self.used else None,
            "UsageCount": self.count,
        }


class CacheMounts:
    """Directories by the mount's id, in ``directory``."""

    def __init__(self, directory: Path, clock: Clock) -> None:
        self._directory = directory
        self._clock = clock
        self._users: dict[str, int] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._making: dict[str, asyncio.Lock] = {}

    @asynccontextmanager
    async def use(self, identity: str, sharing: str, make: Make) -> AsyncIterator[Path]:
        """The directory; a new one is what ``make`` returns. ``locked`` waits for other users, ``private`` takes
        another one."""
        key = hashlib.sha256(identity.encode()).hexdigest()[:24]
        if sharing == "private":
            key = next(name for name in (f"{key}{n or ''}" for n in range(1 << 20)) if not self._users.get(name))
        lock = self._locks.setdefault(key, asyncio.Lock())
        if sharing == "locked":
            await lock.acquire()
        self._users[key] = self._users.get(key, 0) + 1
        try:
            async with self._making.setdefault(key, asyncio.Lock()):
                data = await self._open(key, identity, make)
            yield data
        finally:
            self._users[key] -= 1
            if sharing == "locked":
                lock.release()

    async def _open(self, key: str, identity: str, make: Make) -> Path:
        place = self._directory / key
        data = place / "data"
        if not data.exists():
            await self._make(place, data, make)
        now = self._clock()
        about = self._about(place) or _About(identity, now)
        about.used, about.count = now, about.count + 1
        (place / "about").write_bytes(msgspec.json.encode(about))
        return data

    async def _make(self, place: Path, data: Path, make: Make) -> None:
        """The directory is there as a whole or not at all."""
        await in_thread(shutil.rmtree, place, ignore_errors=True)
        place.mkdir(parents=True)
        try:
            os.rename(await make(place / "new"), data)
            (place / "new").rmdir()
        except BaseException:
            await in_thread(shutil.rmtree, place)
            raise

    def _about(self, place: Path) -> _About | None:
        try:
            return msgspec.json.decode((place / "about").read_bytes(), type=_About)
        except (OSError, msgspec.DecodeError):
            return None

    def kept(self) -> list[Kept]:
        """Every cache directory; blocks (it adds up their sizes)."""
        if not self._directory.is_dir():
            return []
        found: list[Kept] = []
        for place in sorted(self._directory.iterdir()):
            about = self._about(place) or _About(place.name, time.time_ns())
            in_use = bool(self._users.get(place.name))
            found.append(Kept(place.name, about.identity, _size(place / "data"), about.created, about.used,
                              about.count, in_use))  # fmt: skip
        return found

    def remove(self, key: str) -> None:
        """Remove one; blocks."""
        shutil.rmtree(self._directory / key)


def _size(directory: Path) -> int:
    total = 0
    for place, _, names in os.walk(directory):
        total += sum(os.lstat(os.path.join(place, name)).st_size for name in names)
    return total
