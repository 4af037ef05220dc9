"""Record locks (fcntl, owned by a process) and whole-file locks (flock, owned by an open file description)."""

from __future__ import annotations

import errno
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox.wasm.kernel.syscalls import Interrupted
from sandbox.wasm.kernel.waiting import WaitQueue
from sandbox.wasm.vfs.node import fail

if TYPE_CHECKING:
    from sandbox.wasm.kernel.files import OpenFile
    from sandbox.wasm.kernel.task import Task

F_RDLCK, F_WRLCK, F_UNLCK = 0, 1, 2
END = 1 << 63
Key = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Record:
    """Bytes start..end (exclusive) of a file, locked by `owner`: a process's pid, or an open file description's id."""

    owner: int
    pid: int
    exclusive: bool
    start: int
    end: int

    def conflicts(self, other: Record) -> bool:
        overlap = self.start < other.end and other.start < self.end
        return self.owner != other.owner and overlap and (self.exclusive or other.exclusive)


class LockTable:
    """All locks of a container. Guarded by the kernel's lock."""

    def __init__(self, lock: threading.RLock) -> None:
        self._lock = lock
        self._records: dict[Key, list[Record]] = {}
        self._whole: dict[Key, list[Record]] = {}
        self._queue = WaitQueue()

    @property
    def any_records(self) -> bool:
        return bool(self._records)

    def conflict(self, key: Key, wanted: Record) -> Record | None:
        """F_GETLK: a lock that is in the way."""
        return next((held for held in self._records.get(key, ()) if held.conflicts(wanted)), None)

    def set_record(self, task: Task, key: Key, wanted: Record, unlock: bool, wait: bool) -> None:
        """F_SETLK and F_SETLKW; EAGAIN when somebody is in the way and `wait` is false."""
        with self._lock:
            if not unlock:
                self._await(task, self._records, key, wanted, wait)
            held = self._records.setdefault(key, [])
            held[:] = [piece for record in held for piece in _without(record, wanted)]
            if not unlock:
                held.append(wanted)
            if not held:
                del self._records[key]
            self._queue.wake_all()

    def set_whole(self, task: Task, file: OpenFile, key: Key, exclusive: bool, unlock: bool, wait: bool) -> None:
        """flock; EWOULDBLOCK when somebody is in the way and `wait` is false."""
        wanted = Record(id(file), task.pid, exclusive, 0, END)
        with self._lock:
            self.release_whole(file, key)
            if not unlock:
                self._await(task, self._whole, key, wanted, wait)
                self._whole.setdefault(key, []).append(wanted)

    def release_whole(self, file: OpenFile, key: Key) -> None:
        with self._lock:
            held = [record for record in self._whole.get(key, ()) if record.owner != id(file)]
            self._replace(self._whole, key, held)

    def forget(self, task: Task, key: Key | None = None) -> None:
        """A process ended, or closed a file: its record locks (on that file) go."""
        with self._lock:
            for each in [key] if key is not None else list(self._records):
                held = [record for record in self._records.get(each, ()) if record.owner != task.pid]
                self._replace(self._records, each, held)

    def _replace(self, table: dict[Key, list[Record]], key: Key, held: list[Record]) -> None:
        if len(held) == len(table.get(key, ())):
            return
        if held:
            table[key] = held
        else:
            del table[key]
        self._queue.wake_all()

    def _await(self, task: Task, table: dict[Key, list[Record]], key: Key, wanted: Record, wait: bool) -> None:
        while any(held.conflicts(wanted) for held in table.get(key, ())):
            if not wait:
                fail(errno.EAGAIN)
            if task.signals.deliverable():
                raise Interrupted
            self._queue.wait(task)


def _without(record: Record, cut: Record) -> list[Record]:
    """What is left of a lock of the same owner when `cut` is taken out of it."""
    if record.owner != cut.owner or record.end <= cut.start or cut.end <= record.start:
        return [record]
    left = []
    if record.start < cut.start:
        left.append(Record(record.owner, record.pid, record.exclusive, record.start, cut.start))
    if cut.end < record.end:
        left.append(Record(record.owner, record.pid, record.exclusive, cut.end, record.end))
    return left
