"""Descriptors: open, close, duplicate, control."""

from __future__ import annotations

import errno
import fcntl as host
import os
import struct

from sandbox.wasm.kernel.abi import AT_FDCWD
from sandbox.wasm.kernel.eventfd import EventFile
from sandbox.wasm.kernel.files import OpenFile
from sandbox.wasm.kernel.locks import END, F_RDLCK, F_UNLCK, F_WRLCK, Record
from sandbox.wasm.kernel.opening import open_path
from sandbox.wasm.kernel.pipes import pipe
from sandbox.wasm.kernel.regular import RegularFile
from sandbox.wasm.kernel.syscalls import syscall
from sandbox.wasm.kernel.task import Task
from sandbox.wasm.vfs.node import fail

F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_SETOWN, F_GETOWN = 0, 1, 2, 3, 4, 8, 9
F_DUPFD_CLOEXEC, F_SETPIPE_SZ, F_GETPIPE_SZ = 1030, 1031, 1032
FIOCLEX, FIONCLEX = 0x5451, 0x5450
_GET_LOCK, _SET_LOCK, _WAIT_LOCK = (5, 12), (6, 13), (7, 14)
_OFD_GET, _OFD_SET, _OFD_WAIT = 36, 37, 38
_FLOCK = struct.Struct("<hh4xqqi")
_TWO = struct.Struct("<ii")
_NOT_KEPT = os.O_CREAT | os.O_EXCL | os.O_NOCTTY | os.O_TRUNC | os.O_CLOEXEC
LOCK_SH, LOCK_EX, LOCK_NB, LOCK_UN = 1, 2, 4, 8


@syscall("openat")
def openat(task: Task, dirfd: int, path: int, flags: int, mode: int, *_: int) -> int:
    file = open_path(task, task.directory(dirfd), task.path(path), flags & 0xFFFFFFFF, mode)
    return task.files.install(file, bool(flags & os.O_CLOEXEC))


@syscall("open")
def open_(task: Task, path: int, flags: int, mode: int, *_: int) -> int:
    return openat(task, AT_FDCWD, path, flags, mode)


@syscall("creat")
def creat(task: Task, path: int, mode: int, *_: int) -> int:
    return openat(task, AT_FDCWD, path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, mode)


@syscall("close")
def close(task: Task, fd: int, *_: int) -> int:
    file = task.files.table.get(fd)
    if isinstance(file, RegularFile) and task.kernel.locks.any_records:
        task.kernel.locks.forget(task, file.node.key)
    task.files.close(fd)
    return 0


@syscall("close_range")
def close_range(task: Task, first: int, last: int, flags: int, *_: int) -> int:
    for fd in [each for each in task.files.table if first & 0xFFFFFFFF <= each <= last & 0xFFFFFFFF]:
        if flags & 4:
            task.files.set_cloexec(fd, True)
        else:
            close(task, fd)
    return 0


@syscall("dup")
def dup(task: Task, fd: int, *_: int) -> int:
    return task.files.duplicate(task.files.get(fd))


@syscall("dup2")
def dup2(task: Task, old: int, new: int, *_: int) -> int:
    file = task.files.get(old)
    if old != new:
        task.files.put(new, file)
    return new


@syscall("dup3")
def dup3(task: Task, old: int, new: int, flags: int, *_: int) -> int:
    if old == new:
        fail(errno.EINVAL)
    task.files.put(new, task.files.get(old), bool(flags & os.O_CLOEXEC))
    return new


@syscall("pipe2")
def pipe2(task: Task, address: int, flags: int, *_: int) -> int:
    reading, writing = pipe(flags, task.credentials.effective)
    cloexec = bool(flags & os.O_CLOEXEC)
    try:
        first = task.files.install(reading, cloexec)
    except OSError:
        writing.close()
        raise
    try:
        second = task.files.install(writing, cloexec)
    except OSError:
        task.files.close(first)
        raise
    task.memory.pack(_TWO, address, first, second)
    return 0


@syscall("pipe")
def pipe_(task: Task, address: int, *_: int) -> int:
    return pipe2(task, address, 0)


@syscall("eventfd2")
def eventfd2(task: Task, value: int, flags: int, *_: int) -> int:
    return task.files.install(EventFile(value & 0xFFFFFFFF, flags), bool(flags & os.O_CLOEXEC))


@syscall("eventfd")
def eventfd(task: Task, value: int, *_: int) -> int:
    return eventfd2(task, value, 0)


@syscall("ioctl")
def ioctl(task: Task, fd: int, request: int, argument: int, *_: int) -> int:
    file = task.files.get(fd)
    if request in (FIOCLEX, FIONCLEX):
        task.files.set_cloexec(fd, request == FIOCLEX)
        return 0
    return file.ioctl(task, request & 0xFFFFFFFF, argument & 0xFFFFFFFF)


@syscall("fcntl64", "fcntl")
def fcntl(task: Task, fd: int, command: int, argument: int, *_: int) -> int:
    file = task.files.get(fd)
    if command in (F_DUPFD, F_DUPFD_CLOEXEC):
        return task.files.duplicate(file, command == F_DUPFD_CLOEXEC, argument & 0xFFFFFFFF)
    if command == F_GETFD:
        return int(task.files.cloexec(fd))
    if command == F_SETFD:
        task.files.set_cloexec(fd, bool(argument & 1))
        return 0
    if command == F_GETFL:
        return file.flags & ~_NOT_KEPT
    if command == F_SETFL:
        file.set_flags(argument)
        return 0
    if command in (F_SETOWN, F_GETOWN):
        return 0
    if command in (F_SETPIPE_SZ, F_GETPIPE_SZ):
        return _pipe_size(file, command, argument)
    return _record_lock(task, file, command, argument)


def _pipe_size(file: OpenFile, command: int, size: int) -> int:
    if file.host_fd is None:
        fail(errno.EBADF)
    return host.fcntl(file.host_fd, command, size)


def _record_lock(task: Task, file: OpenFile, command: int, address: int) -> int:
    ofd = command in (_OFD_GET, _OFD_SET, _OFD_WAIT)
    if not ofd and command not in _GET_LOCK + _SET_LOCK + _WAIT_LOCK:
        fail(errno.EINVAL)
    if not isinstance(file, RegularFile):
        fail(errno.EINVAL)
    kind, whence, start, length, _pid = task.memory.unpack(_FLOCK, address)
    start = file.seek(0, 1) + start if whence == 1 else file.node.size + start if whence == 2 else start
    if length < 0:
        start, length = start + length, -length
    if start < 0 or kind not in (F_RDLCK, F_WRLCK, F_UNLCK):
        fail(errno.EINVAL)
    end = start + length if length else END
    wanted = Record(id(file) if ofd else task.pid, task.pid, kind == F_WRLCK, start, end)
    if command in (*_GET_LOCK, _OFD_GET):
        return _tell_conflict(task, address, task.kernel.locks.conflict(file.node.key, wanted))
    if (kind == F_RDLCK and not file.readable) or (kind == F_WRLCK and not file.writable):
        fail(errno.EBADF)
    wait = command in (*_WAIT_LOCK, _OFD_WAIT)
    task.kernel.locks.set_record(task, file.node.key, wanted, kind == F_UNLCK, wait)
    return 0


def _tell_conflict(task: Task, address: int, held: Record | None) -> int:
    if held is None:
        task.memory.write(address, struct.pack("<h", F_UNLCK))
        return 0
    kind = F_WRLCK if held.exclusive else F_RDLCK
    length = 0 if held.end == END else held.end - held.start
    task.memory.pack(_FLOCK, address, kind, 0, held.start, length, held.pid)
    return 0


@syscall("flock")
def flock(task: Task, fd: int, operation: int, *_: int) -> int:
    file = task.files.get(fd)
    if file.node is None or operation & ~LOCK_NB not in (LOCK_SH, LOCK_EX, LOCK_UN):
        fail(errno.EINVAL)
    locks = task.kernel.locks
    file.whole_locks = locks
    unlock, exclusive = bool(operation & LOCK_UN), bool(operation & LOCK_EX)
    locks.set_whole(task, file, file.node.key, exclusive, unlock, wait=not operation & LOCK_NB)
    return 0
