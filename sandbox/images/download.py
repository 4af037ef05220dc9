"""Bring one blob to disk: resumed from what an earlier, dead attempt left, checked, by one process at a time.

``partial/<hex>`` is the blob so far, locked (flock) by whoever downloads it. It survives a killed process and an
unreachable registry, so that the next pull goes on by Range; it does not survive a wrong digest or a full disk.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.images.disk import Disk, storage_errors
from sandbox.images.errors import InvalidImage, RegistryError, RegistryUnavailable, StorageFull
from sandbox.images.manifests import Descriptor
from sandbox.images.registry import Repository
from sandbox.images.threads import in_thread
from sandbox.images.transport import HttpProblem, backoff

if TYPE_CHECKING:
    import aiohttp

BATCH = 1 << 20
LOCK_POLL = 0.2

Progress = Callable[[int, int], None]
"""(bytes here, bytes in all)"""


class Partial:
    """The open partial file of one blob: appended to and hashed in step."""

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self._fd = fd
        self._hash = hashlib.sha256()
        self.size = 0
        self.resumed = False

    def load(self, limit: int) -> None:
        """Take up what is on disk already, if it is no more than the blob can have."""
        if os.fstat(self._fd).st_size > limit:
            self.restart()
        while data := os.pread(self._fd, BATCH, self.size):
            self._hash.update(data)
            self.size += len(data)
        self.resumed = self.size > 0

    def append(self, data: bytes | bytearray) -> None:
        """Add bytes; StorageFull."""
        with storage_errors():
            view = memoryview(data)
            while view:
                written = os.pwrite(self._fd, view, self.size)
                self._hash.update(view[:written])
                self.size += written
                view = view[written:]

    def restart(self) -> None:
        """Forget everything."""
        os.ftruncate(self._fd, 0)
        self._hash = hashlib.sha256()
        self.size = 0
        self.resumed = False

    def remove(self) -> None:
        """Leave nothing."""
        self.path.unlink(missing_ok=True)

    @property
    def digest(self) -> str:
        """Of what is here."""
        return f"sha256:{self._hash.hexdigest()}"


@asynccontextmanager
async def open_partial(disk: Disk, digest: str) -> AsyncIterator[Partial]:
    """Open and lock the partial file of a blob; waits while another process or task has it."""
    path = disk.root / "partial" / digest.removeprefix("sha256:")
    while True:
        with storage_errors():
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is(path, fd):
                yield Partial(path, fd)
                return
            continue  # finished or removed between open and lock
        except BlockingIOError:
            await asyncio.sleep(LOCK_POLL)
        finally:
            os.close(fd)


def _is(path: Path, fd: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(fd))
    except FileNotFoundError:
        return False


async def download(repository: Repository, blob: Descriptor, partial: Partial, progress: Progress) -> None:
    """Complete ``partial`` so that its digest is right.

    RegistryUnavailable keeps what came for a later pull; InvalidImage and StorageFull leave nothing.
    """
    await in_thread(partial.load, blob.size)
    attempt, host = 1, 0
    while True:
        before = partial.size
        try:
            await _continue(repository, blob, partial, host, progress)
        except StorageFull:
            partial.remove()
            raise
        except (HttpProblem, RegistryError) as error:
            attempt = 1 if partial.size > before else attempt
            host, attempt = await _next_try(repository, error, host, attempt)
            continue
        if partial.digest == blob.digest:
            return
        if not partial.resumed:
            partial.remove()
            raise InvalidImage(f"filesystem layer verification failed for digest {blob.digest}")
        partial.restart()


async def _next_try(
    repository: Repository, error: HttpProblem | RegistryError, host: int, attempt: int
) -> tuple[int, int]:
    """Where and how often to try after ``error``: a mirror once, the registry itself until it is out of attempts."""
    if host < repository.mirrors:
        return host + 1, attempt
    if isinstance(error, HttpProblem) and not error.transient:
        raise repository.explain(error) from None
    if isinstance(error, RegistryError) and not isinstance(error, RegistryUnavailable):
        raise error
    if attempt >= repository.config.attempts:
        raise RegistryUnavailable(str(error)) from error
    await backoff(repository.config, attempt)
    return host, attempt + 1


async def _continue(repository: Repository, blob: Descriptor, partial: Partial, host: int, progress: Progress) -> None:
    import aiohttp

    progress(partial.size, blob.size)
    if partial.size == blob.size:
        return
    try:
        async with repository.blob(blob.digest, partial.size, host) as response:
            if not _continues(response, partial.size):
                partial.restart()
            await _receive(response, blob, partial, progress)
    except HttpProblem as problem:
        if problem.status != 416:
            raise
        partial.restart()
        raise RegistryUnavailable(str(problem)) from None
    except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
        raise RegistryUnavailable(f"{blob.digest}: {error or type(error).__name__}") from error
    if partial.size < blob.size:
        raise RegistryUnavailable(f"{blob.digest}: unexpected EOF")


def _continues(response: aiohttp.ClientResponse, start: int) -> bool:
    return response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {start}-")


async def _receive(response: aiohttp.ClientResponse, blob: Descriptor, partial: Partial, progress: Progress) -> None:
    """Write in batches: a hop to a thread for each network read would cost more than the write."""
    batch = bytearray()
    try:
        async for data in response.content.iter_any():
            batch += data
            if partial.size + len(batch) > blob.size:
                batch.clear()
                partial.remove()
                raise InvalidImage(f"{blob.digest}: the registry sends more than the {blob.size} bytes of the manifest")
            if len(batch) >= BATCH:
                full, batch = batch, bytearray()
                await in_thread(partial.append, full)
                progress(partial.size, blob.size)
    finally:
        await in_thread(partial.append, batch)
    progress(partial.size, blob.size)
