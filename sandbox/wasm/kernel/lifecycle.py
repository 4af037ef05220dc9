"""The life of a process: its thread, becoming another program, inheriting, ending."""

from __future__ import annotations

import _thread
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sandbox.wasm.kernel import signals as sig
from sandbox.wasm.kernel.abi import SA_NOCLDWAIT, SIG_IGN, SIGCHLD, SIGKILL
from sandbox.wasm.kernel.machine import Trap
from sandbox.wasm.kernel.session import end_session, hang_up_if_orphaned, orphaned
from sandbox.wasm.kernel.task import Exec, Exit, Task
from sandbox.wasm.kernel.timers import watch_processor_time

if TYPE_CHECKING:
    from sandbox.wasm.kernel.executable import Executable
    from sandbox.wasm.kernel.machine import Machine

STACK_SIZE = 10 << 20
_LOOK_AGAIN = 1.0  # seconds
"""A machine uses its thread's stack: 8 MiB of it at most. Only the touched pages cost memory."""

_log = logging.getLogger(__name__)
_starting = threading.Lock()
_current: dict[int, Task] = {}


def current() -> Task | None:
    """The process whose thread this is."""
    return _current.get(_thread.get_ident())


@contextmanager
def stacks_of(size: int) -> Iterator[None]:
    """Threads that are started meanwhile have stacks of `size` bytes, which is a setting of the whole process."""
    with _starting:
        before = threading.stack_size(size)
        try:
            yield
        finally:
            threading.stack_size(before)


def start_thread(task: Task) -> None:
    with stacks_of(STACK_SIZE):
        _thread.start_new_thread(_run, (task,))


def become(task: Task, executable: Executable, environ: list[str]) -> None:
    """Load a program into a task that has none. MemoryError when there is no room."""
    machine = executable.program.load(task.kernel.machine_limit(task))
    task.executable = executable
    task.argv = executable.argv
    task.environ = environ
    task.comm = executable.name
    task.memory = machine.memory
    task.memory.on_growth = task.kernel.check_memory
    with task.kernel.lock:
        task.machine = machine
        sig.refresh(task)


def inherit(child: Task, parent: Task, machine: Machine) -> None:
    """Everything a forked child has from its parent."""
    child.machine = machine
    child.memory = machine.memory
    child.memory.on_growth = parent.kernel.check_memory
    child.executable = parent.executable
    child.argv = parent.argv
    child.environ = parent.environ
    child.comm = parent.comm
    child.files = parent.files.fork()
    child.limits = parent.limits.fork()
    child.cwd = parent.cwd
    child.root = parent.root
    child.umask = parent.umask
    child.credentials = parent.credentials
    child.nice = parent.nice
    with parent.kernel.lock:
        child.signals = parent.signals.fork()
        child.pgid = parent.pgid
        child.session = parent.session
    watch_processor_time(child)


def _run(task: Task) -> None:
    ident = _thread.get_ident()
    task.thread = ident
    _current[ident] = task
    try:
        status = _live(task)
    except BaseException:
        _log.exception("pid %d (%s) ended by a fault of the kernel", task.pid, task.comm)
        status = SIGKILL
    try:
        end(task, status)
    except BaseException:
        _log.exception("pid %d (%s) could not be ended in order", task.pid, task.comm)
    finally:
        del _current[ident]


def _live(task: Task) -> int:
    while True:
        try:
            task.checkpoint()
            assert task.machine is not None
            return (task.machine.run(task) & 0xFF) << 8
        except Exit as leave:
            return leave.status
        except Exec as leave:
            try:
                _replace(task, leave)
            except MemoryError:
                return SIGKILL
        except Trap as trap:
            _log.debug("pid %d (%s) trapped: %s", task.pid, task.comm, trap.reason)
            return trap.signal


def _replace(task: Task, leave: Exec) -> None:
    drop_machine(task)
    task.files.close_for_exec()
    file = leave.executable
    task.credentials = task.credentials.for_exec(file.mode, file.uid, file.gid)
    task.executed = True
    with task.kernel.lock:
        task.signals.reset_for_exec()
    become(task, file, leave.environ)


def drop_machine(task: Task) -> None:
    """Free its memory; nobody can touch it from here on."""
    with task.kernel.lock:
        machine, task.machine = task.machine, None
    if machine is not None:
        machine.close()


def end(task: Task, status: int) -> None:
    """Take an ending process apart, on its own thread."""
    kernel = task.kernel
    drop_machine(task)
    if task.init:
        _end_others(task)
    kernel.locks.forget(task)
    task.files.close_all()
    with kernel.lock:
        task.cpu_ns = time.thread_time_ns()
        task.thread = 0
        kernel.counters.cpu_ns += task.cpu_ns
        task.status = status
        _leave_family(task)
        task.waker.close()
    if task.on_exit is not None:
        task.on_exit(task)


def _end_others(init: Task) -> None:
    """pid 1 ends: so does everybody else, first. The last of them wakes it, and it looks again now and then."""
    kernel = init.kernel
    with kernel.lock:
        init.dying = True
        while _others(init):
            for task in kernel.tasks.values():
                if task is not init:
                    sig.post(task, SIGKILL, outside=True)
            init.waker.park(_LOOK_AGAIN)


def _others(init: Task) -> bool:
    """Whether anybody but pid 1 lives. Lock held."""
    return any(task.alive and task is not init for task in init.kernel.tasks.values())


def _leave_family(task: Task) -> None:
    kernel = task.kernel
    init = kernel.tasks.get(1)
    if init is not None and init.dying and task is not init:  # the family ends: nobody is left to be told
        task.state = "Z"
        _give_away_children(task)
        kernel.forget(task)
        if not _others(init):
            init.waker.wake()
        return
    groups = {task.pgid: kernel.group(task.pgid)} | {
        child.pgid: kernel.group(child.pgid) for child in task.children.values() if child.session is task.session
    }
    before = {pgid: orphaned(members) for pgid, members in groups.items()}
    task.state = "Z"
    end_session(task, list(kernel.tasks.values()))
    _give_away_children(task)
    for pgid, members in groups.items():
        hang_up_if_orphaned([member for member in members if member.alive], before[pgid])
    _report(task)


def _give_away_children(task: Task) -> None:
    init = task.kernel.tasks.get(1)
    if init is task or init is None or not init.alive or init.dying or task.kernel.tended:
        for child in task.children.values():
            child.parent = None
            if not child.alive:
                task.kernel.tasks.pop(child.pid, None)
        task.children.clear()
        return
    for child in task.children.values():
        child.parent = init
        init.children[child.pid] = child
        if not child.alive:
            sig.tell_parent(child, stopping=False)
    task.children.clear()


def _report(task: Task) -> None:
    parent = task.parent
    if parent is None or not parent.alive:
        task.kernel.forget(task)
        return
    action = parent.signals.action(SIGCHLD)
    sig.tell_parent(task, stopping=False)
    if action.handler == SIG_IGN or action.flags & SA_NOCLDWAIT:
        parent.children_cpu_ns += task.cpu_ns + task.children_cpu_ns
        task.kernel.forget(task)
