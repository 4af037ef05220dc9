"""Clocks, sleeping, alarms."""

from __future__ import annotations

import errno
import struct
import time

from sandbox.wasm.kernel.abi import TIMESPEC, TIMESPEC32, TIMEVAL
from sandbox.wasm.kernel.syscalls import syscall
from sandbox.wasm.kernel.task import Task
from sandbox.wasm.vfs.node import fail

_BILLION = 10**9
_ITIMER = struct.Struct("<4i")
_TMS = struct.Struct("<4i")
_TIMEVAL32 = struct.Struct("<ii")
REALTIME, MONOTONIC, PROCESS_CPU, THREAD_CPU, BOOTTIME = 0, 1, 2, 3, 7
TIMER_ABSTIME = 1
ITIMER_REAL = 0


def now_ns(task: Task, clock: int) -> int:
    if clock in (PROCESS_CPU, THREAD_CPU):
        return time.thread_time_ns()
    if clock not in (REALTIME, MONOTONIC, 4, 5, 6, BOOTTIME):
        fail(errno.EINVAL)
    return time.clock_gettime_ns(clock)


@syscall("clock_gettime64")
def clock_gettime64(task: Task, clock: int, address: int, *_: int) -> int:
    task.memory.pack(TIMEVAL, address, *divmod(now_ns(task, clock), _BILLION))
    return 0


@syscall("clock_gettime32")
def clock_gettime32(task: Task, clock: int, address: int, *_: int) -> int:
    task.memory.pack(TIMESPEC32, address, *divmod(now_ns(task, clock), _BILLION))
    return 0


@syscall("gettimeofday_time32")
def gettimeofday(task: Task, address: int, *_: int) -> int:
    if address:
        seconds, rest = divmod(time.time_ns(), _BILLION)
        task.memory.pack(_TIMEVAL32, address, seconds, rest // 1000)
    return 0


@syscall("clock_getres_time64")
def clock_getres64(task: Task, clock: int, address: int, *_: int) -> int:
    now_ns(task, clock)
    if address:
        task.memory.pack(TIMEVAL, address, 0, 1)
    return 0


@syscall("clock_getres_time32")
def clock_getres32(task: Task, clock: int, address: int, *_: int) -> int:
    now_ns(task, clock)
    if address:
        task.memory.pack(TIMESPEC32, address, 0, 1)
    return 0


def duration(seconds: int, nanoseconds: int) -> float:
    """Seconds; EINVAL for what is no duration."""
    if seconds < 0 or not 0 <= nanoseconds < _BILLION:
        fail(errno.EINVAL)
    return seconds + nanoseconds / 1e9


def _sleep(task: Task, seconds: float, layout: struct.Struct, left: int) -> int:
    end = time.monotonic() + seconds
    if not task.sleep(seconds):
        if left:
            rest = max(0, int((end - time.monotonic()) * 1e9))
            task.memory.pack(layout, left, *divmod(rest, _BILLION))
        fail(errno.EINTR)
    return 0


@syscall("nanosleep")
def nanosleep(task: Task, wanted: int, left: int, *_: int) -> int:
    return _sleep(task, duration(*task.memory.unpack(TIMESPEC32, wanted)), TIMESPEC32, left)


def _clock_sleep(task: Task, clock: int, flags: int, wanted: tuple[int, ...], layout: struct.Struct, left: int) -> int:
    seconds = duration(wanted[0], wanted[1])
    if flags & TIMER_ABSTIME:
        return _sleep(task, max(0.0, seconds - now_ns(task, clock) / 1e9), layout, 0)
    now_ns(task, clock)
    return _sleep(task, seconds, layout, left)


@syscall("clock_nanosleep_time64")
def clock_nanosleep64(task: Task, clock: int, flags: int, wanted: int, left: int, *_: int) -> int:
    return _clock_sleep(task, clock, flags, task.memory.unpack(TIMESPEC, wanted), TIMESPEC, left)


@syscall("clock_nanosleep_time32")
def clock_nanosleep32(task: Task, clock: int, flags: int, wanted: int, left: int, *_: int) -> int:
    return _clock_sleep(task, clock, flags, task.memory.unpack(TIMESPEC32, wanted), TIMESPEC32, left)


@syscall("setitimer")
def setitimer(task: Task, which: int, new: int, old: int, *_: int) -> int:
    if which != ITIMER_REAL:
        fail(errno.EINVAL)
    if old:
        getitimer(task, which, old)
    if new:
        every_s, every_us, first_s, first_us = task.memory.unpack(_ITIMER, new)
        first, every = first_s + first_us / 1e6, every_s + every_us / 1e6
        with task.kernel.lock:
            task.timer.set(task, first, every)
    return 0


@syscall("getitimer")
def getitimer(task: Task, which: int, address: int, *_: int) -> int:
    if which != ITIMER_REAL:
        fail(errno.EINVAL)
    left, every = task.timer.left(), task.timer.every
    task.memory.pack(_ITIMER, address, int(every), int(every % 1 * 1e6), int(left), int(left % 1 * 1e6))
    return 0


@syscall("times")
def times(task: Task, address: int, *_: int) -> int:
    if address:
        own, children = time.thread_time_ns() // 10**7, task.children_cpu_ns // 10**7
        task.memory.pack(_TMS, address, own, 0, children, 0)
    return int(time.monotonic() * 100) & 0x7FFFFFFF
