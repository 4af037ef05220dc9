"""How the store writes: scratch directories that die with their owner, atomic renames, locks, clear disk errors.

Everything half-made lives in ``scratch/``, one directory an operation, locked (flock) by the process that works in it.
A directory whose lock can be had belongs to nobody any more (its owner was killed) and is removed by whoever comes
next. What has been renamed out of ``scratch/`` is whole. Two lock files: ``lock`` guards names and image records,
``scratch.lock`` the making of scratch directories (always taken last); both are held for milliseconds.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sandbox.images.errors import StorageFull

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Disk:
    """The directory of one store."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._scratch = root / "scratch"
        with storage_errors():
            for name in ("scratch", "blobs", "layers", "images", "partial"):
                (root / name).mkdir(parents=True, exist_ok=True)

    @contextmanager
    def lock(self, name: str = "lock") -> Iterator[None]:
        """Hold a lock of the store, against other processes and other threads. Not reentrant."""
        with storage_errors():
            fd = os.open(self.root / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A directory of its own for one operation; what is still in it at the end is removed."""
        with storage_errors():
            with self.lock("scratch.lock"):
                path = Path(tempfile.mkdtemp(dir=self._scratch))
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                fcntl.flock(fd, fcntl.LOCK_EX)
            try:
                yield path
            finally:
                shutil.rmtree(path, ignore_errors=True)
                os.close(fd)

    def write(self, target: Path, data: bytes) -> None:
        """Make ``target`` hold ``data``: all of it or, whatever happens, what it held before."""
        with self.scratch() as scratch:
            temporary = scratch / "data"
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(temporary, target)

    def discard(self, directory: Path) -> None:
        """Remove a whole directory so that nobody ever sees half of it."""
        with self.scratch() as scratch:
            try:
                os.rename(directory, scratch / "discarded")
            except FileNotFoundError:
                pass

    def remove_idle(self, path: Path) -> bool:
        """Remove a file unless somebody holds its lock (flock); whether it went."""
        with path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            path.unlink()
        return True

    def sweep(self) -> None:
        """Remove the scratch directories of dead owners."""
        with self.lock("scratch.lock"):
            for path in list(self._scratch.iterdir()):
                try:
                    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                except FileNotFoundError:
                    continue  # its owner was done just now
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(path, ignore_errors=True)
                except BlockingIOError:
                    pass
                finally:
                    os.close(fd)


@contextmanager
def storage_errors() -> Iterator[None]:
    """Turn a full disk, a used-up quota or a file size limit into StorageFull."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFull(f"image store: {os.strerror(error.errno or 0).lower()}") from error
        raise
