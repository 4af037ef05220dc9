"""Processes: end, become another program, groups and sessions, small settings."""

from __future__ import annotations

import errno

from sandbox.wasm.kernel.abi import AT_EMPTY_PATH, AT_FDCWD
from sandbox.wasm.kernel.executable import check_size
from sandbox.wasm.kernel.session import Session
from sandbox.wasm.kernel.syscalls import syscall
from sandbox.wasm.kernel.task import Exec, Exit, Task
from sandbox.wasm.vfs.node import fail

PR_SET_PDEATHSIG, PR_GET_PDEATHSIG, PR_GET_DUMPABLE, PR_SET_DUMPABLE = 1, 2, 3, 4
PR_SET_NAME, PR_GET_NAME, PR_CAPBSET_READ, PR_SET_NO_NEW_PRIVS, PR_GET_NO_NEW_PRIVS = 15, 16, 23, 38, 39


@syscall("exit_group", "exit")
def exit_(_task: Task, code: int, *_: int) -> int:
    raise Exit((code & 0xFF) << 8)


@syscall("execve")
def execve(task: Task, path: int, argv: int, environ: int, *_: int) -> int:
    return _execute(task, task.path(path), task.memory.strings(argv), task.memory.strings(environ))


@syscall("execveat")
def execveat(task: Task, dirfd: int, path: int, argv: int, environ: int, flags: int, *_: int) -> int:
    name = task.memory.cstring(path)
    if flags & AT_EMPTY_PATH and not name:
        task.files.get(dirfd)
        name = f"/proc/self/fd/{dirfd}"
    elif not name.startswith("/") and dirfd != AT_FDCWD:
        name = f"{task.kernel.tree.path_of(task.directory(dirfd), task.root)}/{name}"
    return _execute(task, name, task.memory.strings(argv), task.memory.strings(environ))


def _execute(task: Task, path: str, argv: list[str], environ: list[str]) -> int:
    check_size(argv, environ)
    raise Exec(task.kernel.loader(task, path, argv or [""]), environ)


@syscall("getpid", "gettid", "set_tid_address")
def getpid(task: Task, *_: int) -> int:
    return task.pid


@syscall("getppid")
def getppid(task: Task, *_: int) -> int:
    return task.parent.pid if task.parent is not None else 0


def find(task: Task, pid: int) -> Task:
    """The process `pid` names (0: the caller); ESRCH."""
    if pid == 0:
        return task
    found = task.kernel.tasks.get(pid)
    if found is None:
        fail(errno.ESRCH)
    return found


@syscall("getpgid")
def getpgid(task: Task, pid: int, *_: int) -> int:
    return find(task, pid).pgid


@syscall("getpgrp")
def getpgrp(task: Task, *_: int) -> int:
    return task.pgid


@syscall("getsid")
def getsid(task: Task, pid: int, *_: int) -> int:
    return find(task, pid).session.sid


@syscall("setpgid")
def setpgid(task: Task, pid: int, pgid: int, *_: int) -> int:
    if pgid < 0:
        fail(errno.EINVAL)
    with task.kernel.lock:
        target = find(task, pid)
        if target is not task and target.parent is not task:
            fail(errno.ESRCH)
        if target is not task and target.executed:
            fail(errno.EACCES)
        if target.session is not task.session or target.session.sid == target.pid:
            fail(errno.EPERM)
        wanted = pgid or target.pid
        if wanted != target.pid and not any(member.session is task.session for member in _group(task, wanted)):
            fail(errno.EPERM)
        target.pgid = wanted
    return 0


def _group(task: Task, pgid: int) -> list[Task]:
    return [each for each in task.kernel.tasks.values() if each.pgid == pgid]


@syscall("setsid")
def setsid(task: Task, *_: int) -> int:
    with task.kernel.lock:
        if _group(task, task.pid):
            fail(errno.EPERM)
        task.session = Session(task.pid)
        task.pgid = task.pid
    return task.pid


@syscall("prctl")
def prctl(task: Task, option: int, value: int, *_: int) -> int:
    if option == PR_SET_NAME:
        task.comm = task.memory.cstring(value)[:15]
    elif option == PR_GET_NAME:
        task.memory.write(value, task.comm.encode("utf-8", "surrogateescape")[:15].ljust(16, b"\0"))
    elif option in (PR_GET_DUMPABLE, PR_CAPBSET_READ):
        return 1
    elif option == PR_GET_NO_NEW_PRIVS:
        return 0
    elif option not in (PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS):
        fail(errno.EINVAL)
    return 0
