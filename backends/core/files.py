"""docker cp, diff, export: the file system of a container, with Docker's answers to wrong paths."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager

from backends.api import types as t
from backends.api.engine import Download
from backends.api.errors import EngineError, Forbidden, InvalidArgument, NotFound
from backends.core.container import Container
from backends.core.context import Context
from backends.core.drivers import FilesystemDriver
from backends.core.environment import user_of

ADDED = 1


_MISTAKES = (
    errno.EINVAL, errno.EBADMSG, errno.EISDIR, errno.EEXIST, errno.ELOOP, errno.EPERM, errno.ENAMETOOLONG,
)  # fmt: skip


@contextmanager
def path_failures(container: Container, path: str) -> Iterator[None]:
    """The one place where a driver's OSError about a path becomes Docker's answer."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        if isinstance(error, NotADirectoryError) and error.args[1:2] == ("extraction point is not a directory",):
            raise InvalidArgument("extraction point is not a directory") from None
        raise NotFound(f"Could not find the file {path} in container {container.name}") from None
    except OSError as error:
        if error.errno == errno.EROFS:
            raise Forbidden("container rootfs is marked read-only") from None
        if error.errno in _MISTAKES:
            raise InvalidArgument(error.strerror or str(error)) from None
        if error.errno == errno.ENOSPC:
            raise EngineError(f"cannot write {path}: no space left on device") from None
        raise EngineError(f"{path}: {error.strerror or error}") from None


class Files:
    """Path operations of one container at a time."""

    def __init__(self, context: Context) -> None:
        self._drivers = context.drivers
        self._driver = context.drivers.files

    async def stat(self, container: Container, path: str) -> t.PathStat:
        """Docker's HEAD /containers/{id}/archive."""
        _check(path)
        with path_failures(container, path):
            return await self._driver.stat(container.id, _absolute(path))

    async def get(self, container: Container, path: str) -> Download:
        """Docker's GET /containers/{id}/archive."""
        _check(path)
        with path_failures(container, path):
            stat, body = await self._driver.get_archive(container.id, _absolute(path))
        return Download(stat, body)

    async def put(
        self, container: Container, path: str, body: AsyncIterator[bytes], no_overwrite: bool, copy_uid_gid: bool
    ) -> None:
        """Docker's PUT /containers/{id}/archive."""
        _check(path)
        owner = None
        if copy_uid_gid and container.config.user:
            owner = (await user_of(self._drivers, container, container.config.user)).credentials
        with path_failures(container, path):
            await self._driver.put_archive(container.id, _absolute(path), body, no_overwrite, owner)
        container.emit("extract-to-dir", path=path)

    async def changes(self, container: Container) -> list[t.Change]:
        """Docker's GET /containers/{id}/changes; the mount points of one that has never run are no changes yet."""
        found = await self._driver.changes(container.id)
        if container.record.has_run:
            return found
        mounted = [mount.destination for mount in container.record.mounts]
        return [
            change
            for change in found
            if change.kind != ADDED or not any(f"{path}/".startswith(f"{change.path}/") for path in mounted)
        ]

    async def export(self, container: Container) -> Download:
        """Docker's GET /containers/{id}/export."""
        body = await self._driver.export(container.id)
        container.emit("export")
        return Download(None, body)


async def sizes(driver: FilesystemDriver, containers: Iterable[Container]) -> dict[str, tuple[int, int]]:
    """Return (writable layer, whole root) in bytes by id; one that is removed meanwhile has none."""
    found = {}
    for container in containers:
        try:
            found[container.id] = await driver.usage(container.id)
        except (NotFound, FileNotFoundError):
            if not container.removing:
                raise
    return found


def _check(path: str) -> None:
    if not path:
        raise InvalidArgument("bad parameter: path cannot be empty")


def _absolute(path: str) -> str:
    return path if path.startswith("/") else f"/{path}"
