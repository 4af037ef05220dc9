"""Waiting for several descriptors: poll, select, epoll."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable
from select import poll as select_poll

from sandbox.wasm.kernel.abi import POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT, POLLPRI, TIMESPEC, TIMESPEC32, U64
from sandbox.wasm.kernel.epoll import EpollFile
from sandbox.wasm.kernel.polling import wait_ready
from sandbox.wasm.kernel.sys_signal import borrow_mask, give_mask_back
from sandbox.wasm.kernel.sys_time import duration
from sandbox.wasm.kernel.syscalls import syscall
from sandbox.wasm.kernel.task import Task
from sandbox.wasm.vfs.node import fail

_MILLION = 1e6
_SET_SIZE = 128
_TIMEVAL32 = struct.Struct("<ii")
_EVENT = struct.Struct("<IxxxxQ")
_POINTER_PAIR = struct.Struct("<II")
_POLLFD = 8


_ONE = struct.Struct("<iHH")


def _poll_one(task: Task, address: int) -> bool:
    """PERF: shells poll before each byte they read, and most often there is one."""
    fd, events, _ = task.memory.unpack(_ONE, address)
    file = task.files.table.get(fd)
    if file is None or file.host_fd is None:
        return False
    poller = select_poll()
    poller.register(file.host_fd, events)
    ready = poller.poll(0)
    if ready:
        task.memory.pack(_ONE, address, fd, events, ready[0][1])
    return bool(ready)


def _poll(task: Task, address: int, count: int, timeout: float | None) -> int:
    if count == 1 and _poll_one(task, address):
        return 1
    if not 0 <= count <= task.files.limit:
        fail(errno.EINVAL)
    entries = list(struct.iter_unpack("<ihh", task.memory.read(address, _POLLFD * count)))
    wanted, answers = [], [0] * count
    for place, (fd, events, _) in enumerate(entries):
        if fd < 0:
            continue
        file = task.files.table.get(fd)
        if file is None:
            answers[place] = POLLNVAL
        else:
            wanted.append((place, file, events & 0xFFFF))
    ready = wait_ready(task, wanted, 0.0 if any(answers) else timeout)
    if ready is None:
        fail(errno.EINTR)
    for place, events in ready.items():
        answers[place] = events
    for place, events in enumerate(answers):
        task.memory.write(address + _POLLFD * place + 6, events.to_bytes(2, "little"))
    return sum(1 for events in answers if events)


@syscall("poll")
def poll(task: Task, address: int, count: int, milliseconds: int, *_: int) -> int:
    return _poll(task, address, count, None if milliseconds < 0 else milliseconds / 1000)


def _masked(task: Task, mask: int, wait: Callable[[], int]) -> int:
    """Wait with another signal mask: it stays for the handler when a signal ended the wait."""
    if not mask:
        return wait()
    borrow_mask(task, task.memory.unpack(U64, mask)[0])
    try:
        result = wait()
    except OSError as error:
        if error.errno == errno.EINTR and task.signals.deliverable():
            task.notify()
        else:
            give_mask_back(task)
        raise
    give_mask_back(task)
    return result


def _timeout(task: Task, layout: struct.Struct, address: int) -> float | None:
    return duration(*task.memory.unpack(layout, address)) if address else None


@syscall("ppoll_time64")
def ppoll64(task: Task, address: int, count: int, timeout: int, mask: int, *_: int) -> int:
    return _masked(task, mask, lambda: _poll(task, address, count, _timeout(task, TIMESPEC, timeout)))


@syscall("ppoll")
def ppoll32(task: Task, address: int, count: int, timeout: int, mask: int, *_: int) -> int:
    return _masked(task, mask, lambda: _poll(task, address, count, _timeout(task, TIMESPEC32, timeout)))


_KINDS = ((POLLIN, POLLIN | POLLHUP | POLLERR), (POLLOUT, POLLOUT | POLLERR), (POLLPRI, POLLPRI))


def _select(task: Task, count: int, sets: tuple[int, int, int], timeout: float | None) -> int:
    if not 0 <= count <= _SET_SIZE * 8:
        fail(errno.EINVAL)
    wanted, size = [], (count + 31) // 32 * 4
    for which, address in enumerate(sets):
        chosen = int.from_bytes(task.memory.read(address, size), "little") if address else 0
        for fd in range(count):
            if chosen >> fd & 1:
                wanted.append(((which, fd), task.files.get(fd), _KINDS[which][0]))
    ready = wait_ready(task, wanted, timeout)
    if ready is None:
        fail(errno.EINTR)
    total = 0
    for which, address in enumerate(sets):
        hits = [fd for (kind, fd), events in ready.items() if kind == which and events & _KINDS[which][1]]
        total += len(hits)
        if address:
            task.memory.write(address, sum(1 << fd for fd in hits).to_bytes(size, "little"))
    return total


@syscall("_newselect")
def select(task: Task, count: int, read: int, write: int, error: int, timeout: int, *_: int) -> int:
    limit = None
    if timeout:
        seconds, microseconds = task.memory.unpack(_TIMEVAL32, timeout)
        limit = max(0.0, seconds + microseconds / _MILLION)
    return _select(task, count, (read, write, error), limit)


def _pselect(task: Task, count: int, sets: tuple[int, int, int], limit: float | None, mask_pair: int) -> int:
    mask = task.memory.unpack(_POINTER_PAIR, mask_pair)[0] if mask_pair else 0
    return _masked(task, mask, lambda: _select(task, count, sets, limit))


@syscall("pselect6_time64")
def pselect64(task: Task, count: int, read: int, write: int, error: int, timeout: int, mask: int) -> int:
    return _pselect(task, count, (read, write, error), _timeout(task, TIMESPEC, timeout), mask)


@syscall("pselect6")
def pselect32(task: Task, count: int, read: int, write: int, error: int, timeout: int, mask: int) -> int:
    return _pselect(task, count, (read, write, error), _timeout(task, TIMESPEC32, timeout), mask)


@syscall("epoll_create1")
def epoll_create1(task: Task, flags: int, *_: int) -> int:
    return task.files.install(EpollFile(), bool(flags & os.O_CLOEXEC))


@syscall("epoll_create")
def epoll_create(task: Task, *_: int) -> int:
    return epoll_create1(task, 0)


def _epoll(task: Task, fd: int) -> EpollFile:
    file = task.files.get(fd)
    if not isinstance(file, EpollFile):
        fail(errno.EINVAL)
    return file


@syscall("epoll_ctl")
def epoll_ctl(task: Task, epfd: int, operation: int, fd: int, event: int, *_: int) -> int:
    file = _epoll(task, epfd)
    target = task.files.get(fd)
    events, data = task.memory.unpack(_EVENT, event) if event else (0, 0)
    file.control(operation, fd, target, events, data)
    return 0


@syscall("epoll_pwait")
def epoll_pwait(task: Task, epfd: int, address: int, count: int, milliseconds: int, mask: int, *_: int) -> int:
    file = _epoll(task, epfd)
    if count <= 0:
        fail(errno.EINVAL)

    def wait() -> int:
        ready = file.wait(task, count, None if milliseconds < 0 else milliseconds / 1000)
        if ready is None:
            fail(errno.EINTR)
        for place, (events, data) in enumerate(ready):
            task.memory.pack(_EVENT, address + _EVENT.size * place, events, data)
        return len(ready)

    return _masked(task, mask, wait)


@syscall("epoll_wait")
def epoll_wait(task: Task, epfd: int, address: int, count: int, milliseconds: int, *_: int) -> int:
    return epoll_pwait(task, epfd, address, count, milliseconds, 0)
