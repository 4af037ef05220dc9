"""The journal: every object of a worker in one SQLite file (WAL).

A change is committed before it is answered: intent before a driver is called, outcome after. ``synchronous=NORMAL``
survives the death of the worker at any instruction; the power failing may lose the last transactions, never corrupt.
A commit costs some tens of microseconds, so it happens on the event loop; the fsyncs of checkpoints happen in a thread.

Resource handling: ``open`` locks the data directory for one worker; ``close`` checkpoints. Error handling: a journal
that cannot be read or written stops the operation with Unavailable; nothing goes on in memory only.

On a full disk what exists can still be stopped and removed: the database has free pages and its log (WAL) has room that
are allocated when the journal is opened, and the log is begun again in time. What would be new asks ``require_room``.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

from backends.api.errors import EngineError, Unavailable

logger = logging.getLogger(__name__)

T = TypeVar("T")
TABLES = ("container", "network", "volume", "exec", "setting", "build")
_CHECKPOINT_EVERY = 500
_CHECKPOINT_WHEN_TIGHT = 100
_LOG_ROOM = 4 << 20
_FREE_ROOM = 2 << 20
_ROOM = 256 << 10
_LARGE = 4096  # an object of that size counts as two writes
_VERSION = 1


class Store:
    """Objects by (table, id) as JSON, plus the tail of the event history."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._lock = _lock(directory / "worker.lock")
        self._path = directory / "journal.db"
        self._writes = 0
        self._tight = False
        self._depth = 0
        self._soon: asyncio.TimerHandle | None = None
        self._late: list[Callable[[], None]] = []
        self._checkpoint: asyncio.Future[None] | None = None
        try:
            self._open()
        except sqlite3.Error as error:
            raise Unavailable(f"cannot open the journal {self._path}: {error}") from error
        self._allocate_log()
        self._allocate_pages()

    def _open(self) -> None:
        self._db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        self._db.executescript(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=0; PRAGMA busy_timeout=5000;"
        )
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version not in (0, _VERSION):
            raise Unavailable(f"{self._path} was written by another version (format {version}, this one is {_VERSION})")
        for table in TABLES:
            self._db.execute(f"CREATE TABLE IF NOT EXISTS {table} (id TEXT PRIMARY KEY, body BLOB) WITHOUT ROWID")
        self._db.execute("CREATE TABLE IF NOT EXISTS event (time INTEGER, body BLOB)")
        if version != _VERSION:
            self._db.execute(f"PRAGMA user_version={_VERSION}")

    def _allocate_log(self) -> None:
        """SQLite takes what follows the last frame of its log for free, whatever it holds."""
        try:
            fd = os.open(f"{self._path}-wal", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                os.posix_fallocate(fd, 0, _LOG_ROOM)
            finally:
                os.close(fd)
        except OSError as error:
            logger.warning("no room is kept for the journal: %s", error.strerror)

    def _allocate_pages(self) -> None:
        """A row that is deleted after it was carried over leaves pages for later ones."""
        (free,) = self._db.execute("PRAGMA freelist_count").fetchone()
        (size,) = self._db.execute("PRAGMA page_size").fetchone()
        if free * size >= _FREE_ROOM // 2 or self._full():
            return
        try:
            self._db.execute("INSERT OR REPLACE INTO setting VALUES ('room', zeroblob(?))", (_FREE_ROOM,))
            self._checkpoint_now()
            self._db.execute("DELETE FROM setting WHERE id = 'room'")
        except sqlite3.Error as error:
            logger.warning("no room is kept for the journal: %s", error)

    def require_room(self) -> None:
        """Refuse what would be new on a full disk, before anything of it exists; EngineError."""
        if self._full():
            raise EngineError(f"cannot write to {self._path.parent}: no space left on device")

    def _full(self) -> bool:
        found = os.statvfs(self._path.parent)
        free = found.f_bfree if os.geteuid() == 0 else found.f_bavail
        return free * found.f_frsize < _ROOM

    def _spare_log(self) -> None:
        """On a full disk, have the log begin again within the room it has, before it would need more."""
        full = self._full()
        if full and (not self._tight or self._writes >= _CHECKPOINT_WHEN_TIGHT):
            self._writes = 0
            self._checkpoint_now()
        self._tight = full

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything written inside is there after a crash, or nothing of it."""
        if self._depth:
            yield
            return
        self._spare_log()
        try:
            self._db.execute("BEGIN")
            self._depth = 1
            yield
            self._run_late()
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            self._rollback()
            self._checkpoint_now()  # which makes the log's room free again
            raise Unavailable(f"cannot write the journal {self._path}: {error}") from error
        except BaseException:
            self._rollback()
            raise
        finally:
            self._depth = 0
        self._maybe_checkpoint()

    def put(self, table: str, key: str, body: object) -> None:
        """Insert or replace one object."""
        with self.transaction():
            text = msgspec.json.encode(body)
            self._db.execute(f"INSERT OR REPLACE INTO {table} VALUES (?, ?)", (key, text))
            self._writes += 1 + len(text) // _LARGE

    def delete(self, table: str, key: str) -> None:
        """Remove one object, if it is there."""
        with self.transaction():
            self._db.execute(f"DELETE FROM {table} WHERE id = ?", (key,))
            self._writes += 1

    def later(self, write: Callable[[], None]) -> None:
        """Do ``write`` in the next transaction, at the latest in 50 ms: for what need not survive the last moment."""
        self._late.append(write)
        if self._soon is None:
            self._soon = asyncio.get_running_loop().call_later(0.05, self.flush)

    def flush(self) -> None:
        """Commit what ``later`` has gathered."""
        if self._late:
            with self.transaction():
                pass

    def all(self, table: str, kind: type[T]) -> list[T]:
        """Return every object of a table."""
        decoder = msgspec.json.Decoder(kind)
        return [decoder.decode(body) for (body,) in self._db.execute(f"SELECT body FROM {table} ORDER BY id")]

    def get(self, table: str, key: str, kind: type[T]) -> T | None:
        """Return one object, or None."""
        row = self._db.execute(f"SELECT body FROM {table} WHERE id = ?", (key,)).fetchone()
        return None if row is None else msgspec.json.decode(row[0], type=kind)

    def add_event(self, time: int, body: bytes, keep: int) -> None:
        """Append to the event history; now and then all but the last ``keep`` are forgotten."""
        number = self._db.execute("INSERT INTO event VALUES (?, ?)", (time, body)).lastrowid or 0
        self._writes += 1
        if number % keep == 0:
            self._db.execute("DELETE FROM event WHERE rowid <= ?", (number - keep,))

    def events(self, keep: int) -> list[bytes]:
        """Return the last ``keep`` events, oldest first."""
        newest = "SELECT rowid, body FROM event ORDER BY rowid DESC LIMIT ?"
        return [body for (body,) in self._db.execute(f"SELECT body FROM ({newest}) ORDER BY rowid", (keep,))]

    def close(self) -> None:
        """Commit, checkpoint and unlock."""
        self.flush()
        if self._soon is not None:
            self._soon.cancel()
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._db.close()
        os.close(self._lock)

    def _run_late(self) -> None:
        late, self._late = self._late, []
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None
        for write in late:
            write()

    def _rollback(self) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    def _maybe_checkpoint(self) -> None:
        if self._writes < _CHECKPOINT_EVERY or (self._checkpoint is not None and not self._checkpoint.done()):
            return
        self._writes = 0
        self._allocate_pages()
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        self._checkpoint = loop.run_in_executor(None, self._checkpoint_now)

    def _checkpoint_now(self) -> None:
        try:
            other = sqlite3.connect(self._path, timeout=0)
            try:
                other.execute("PRAGMA wal_checkpoint(PASSIVE)")
            finally:
                other.close()
        except sqlite3.Error as error:
            logger.warning("the journal's log was not carried over: %s", error)


def _lock(path: Path) -> int:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise Unavailable(f"{path.parent} is in use by another worker") from None
    return fd
