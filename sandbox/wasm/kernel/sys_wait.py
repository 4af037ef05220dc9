"""Waiting for children: wait4 and waitid."""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable

from sandbox.wasm.kernel.abi import CONTINUED_STATUS, SIGCHLD, SIGCONT, WCONTINUED, WEXITED, WNOHANG, WNOWAIT, WUNTRACED
from sandbox.wasm.kernel.syscalls import Interrupted, syscall
from sandbox.wasm.kernel.task import Task
from sandbox.wasm.vfs.node import fail

_I32 = struct.Struct("<i")
_SIGINFO = struct.Struct("<6i104x")
P_ALL, P_PID, P_PGID = 0, 1, 2
CLD_EXITED, CLD_KILLED, CLD_STOPPED, CLD_CONTINUED = 1, 2, 5, 6
_RUSAGE_SIZE = 72


@syscall("wait4")
def wait4(task: Task, pid: int, status: int, options: int, usage: int, *_: int) -> int:
    if pid > 0:
        chosen: Callable[[Task], bool] = lambda child: child.pid == pid  # noqa: E731
    elif pid == -1:
        chosen = lambda _child: True  # noqa: E731
    else:
        group = task.pgid if pid == 0 else -pid
        chosen = lambda child: child.pgid == group  # noqa: E731
    found = _wait(task, chosen, options & ~WNOWAIT | WEXITED)
    if found is None:
        return 0
    child, code = found
    if status:
        task.memory.pack(_I32, status, code)
    if usage:
        task.memory.write(usage, rusage(child.cpu_ns + child.children_cpu_ns))
    return child.pid


@syscall("waitid")
def waitid(task: Task, kind: int, identity: int, info: int, options: int, usage: int, *_: int) -> int:
    if kind not in (P_ALL, P_PID, P_PGID) or not options & (WEXITED | WUNTRACED | WCONTINUED):
        fail(errno.EINVAL)
    group = identity or task.pgid

    def chosen(child: Task) -> bool:
        return kind == P_ALL or child.pid == identity if kind != P_PGID else child.pgid == group

    found = _wait(task, chosen, options)
    if info:
        task.memory.write(info, bytes(_SIGINFO.size) if found is None else _information(*found))
    if usage and found is not None:
        task.memory.write(usage, rusage(found[0].cpu_ns))
    return 0


def _information(child: Task, status: int) -> bytes:
    if status == CONTINUED_STATUS:
        code, value = CLD_CONTINUED, SIGCONT
    elif status & 0xFF == 0x7F:
        code, value = CLD_STOPPED, status >> 8
    elif status & 0x7F:
        code, value = CLD_KILLED, status & 0x7F
    else:
        code, value = CLD_EXITED, status >> 8
    return _SIGINFO.pack(SIGCHLD, 0, code, child.pid, child.credentials.uid, value)


def rusage(nanoseconds: int) -> bytes:
    """struct rusage of 32-bit programs with only the user time in it."""
    seconds, rest = divmod(nanoseconds, 10**9)
    return struct.pack("<ii", seconds, rest // 1000).ljust(_RUSAGE_SIZE, b"\0")


def _wait(task: Task, chosen: Callable[[Task], bool], options: int) -> tuple[Task, int] | None:
    """(child, status) as soon as there is one, None with WNOHANG; ECHILD, Interrupted."""
    with task.kernel.lock:
        while True:
            children = [child for child in task.children.values() if chosen(child)]
            for child in children:
                status = _news(task, child, options)
                if status is not None:
                    return child, status
            if not children:
                fail(errno.ECHILD)
            if options & WNOHANG:
                return None
            if task.signals.deliverable():
                raise Interrupted
            task.park(None)


def _news(task: Task, child: Task, options: int) -> int | None:
    keep = bool(options & WNOWAIT)
    if not child.alive:
        if not options & WEXITED:
            return None
        if not keep:
            task.children_cpu_ns += child.cpu_ns + child.children_cpu_ns
            task.kernel.forget(child)
        return child.status
    if options & WUNTRACED and child.unreported_stop:
        status = child.unreported_stop << 8 | 0x7F
        child.unreported_stop = 0 if not keep else child.unreported_stop
        return status
    if options & WCONTINUED and child.unreported_continue:
        child.unreported_continue = keep
        return CONTINUED_STATUS
    return None
