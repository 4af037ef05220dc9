"""Signals: send, handle, block, wait for."""

from __future__ import annotations

import errno
import struct
import time

from sandbox.wasm.kernel import signals as sig
from sandbox.wasm.kernel.abi import SIG_DFL, SIG_IGN, TIMESPEC, TIMESPEC32, U64, UNBLOCKABLE
from sandbox.wasm.kernel.signals import HIGHEST, Action
from sandbox.wasm.kernel.syscalls import syscall
from sandbox.wasm.kernel.task import Task
from sandbox.wasm.vfs.node import fail

_ACTION = struct.Struct("<IIIQ")
_SIGINFO_SIZE = 128
SIG_BLOCK, SIG_UNBLOCK, SIG_SETMASK = 0, 1, 2
SI_USER = 0


def _may_signal(task: Task, target: Task) -> bool:
    who, whom = task.credentials, target.credentials
    return who.privileged or bool({who.uid, who.euid} & {whom.uid, whom.suid})


def _targets(task: Task, pid: int) -> list[Task]:
    tasks = task.kernel.tasks
    if pid > 0:
        return [tasks[pid]] if pid in tasks else []
    if pid == -1:
        return [each for each in tasks.values() if not each.spared and each is not task]
    group = task.pgid if pid == 0 else -pid
    return [each for each in tasks.values() if each.pgid == group]


@syscall("kill")
def kill(task: Task, pid: int, signal: int, *_: int) -> int:
    if not 0 <= signal <= HIGHEST:
        fail(errno.EINVAL)
    with task.kernel.lock:
        targets = _targets(task, pid)
        if not targets:
            fail(errno.ESRCH)
        allowed = [target for target in targets if _may_signal(task, target)]
        if not allowed:
            fail(errno.EPERM)
        for target in allowed:
            if signal:
                sig.post(target, signal, task.pid, task.credentials.uid)
    return 0


@syscall("tkill")
def tkill(task: Task, tid: int, signal: int, *_: int) -> int:
    if tid <= 0:
        fail(errno.EINVAL)
    return kill(task, tid, signal)


@syscall("tgkill")
def tgkill(task: Task, _group: int, tid: int, signal: int, *_: int) -> int:
    return tkill(task, tid, signal)


@syscall("rt_sigqueueinfo")
def sigqueue(task: Task, pid: int, signal: int, *_: int) -> int:
    return kill(task, pid, signal)


@syscall("rt_sigaction")
def sigaction(task: Task, signal: int, new: int, old: int, *_: int) -> int:
    if not 1 <= signal <= HIGHEST or (new and UNBLOCKABLE >> (signal - 1) & 1):
        fail(errno.EINVAL)
    signals = task.signals
    before = signals.action(signal)
    if new:
        handler, flags, _restorer, mask = task.memory.unpack(_ACTION, new)
        with task.kernel.lock:
            signals.actions[signal] = Action(handler, flags, mask)
            if handler in (SIG_DFL, SIG_IGN) and signals.ignored(signal):
                signals.drop(1 << (signal - 1))
            sig.refresh(task)
    if old:
        task.memory.pack(_ACTION, old, before.handler, before.flags, 0, before.mask)
    return 0


@syscall("rt_sigprocmask")
def sigprocmask(task: Task, how: int, new: int, old: int, *_: int) -> int:
    before = task.signals.mask
    if new:
        chosen: int = task.memory.unpack(U64, new)[0]
        if how not in (SIG_BLOCK, SIG_UNBLOCK, SIG_SETMASK):
            fail(errno.EINVAL)
        mask = before | chosen if how == SIG_BLOCK else before & ~chosen if how == SIG_UNBLOCK else chosen
        if mask != before:
            with task.kernel.lock:
                sig.set_mask(task, mask)
    if old:
        task.memory.pack(U64, old, before)
    return 0


@syscall("rt_sigpending")
def sigpending(task: Task, address: int, *_: int) -> int:
    task.memory.pack(U64, address, task.signals.pending)
    return 0


@syscall("sigreturn")
def sigreturn(task: Task, *_: int) -> int:
    """The C library calls it after each handler: the mask is taken back."""
    with task.kernel.lock:
        sig.done(task)
    return 0


def borrow_mask(task: Task, mask: int) -> None:
    """Block other signals while waiting: the old mask comes back after the handler ran, or by `give_mask_back`."""
    with task.kernel.lock:
        task.signals.suspended = task.signals.mask
        sig.set_mask(task, mask)


def give_mask_back(task: Task) -> None:
    with task.kernel.lock:
        old, task.signals.suspended = task.signals.suspended, None
        if old is not None:
            sig.set_mask(task, old)


@syscall("rt_sigsuspend")
def sigsuspend(task: Task, address: int, *_: int) -> int:
    borrow_mask(task, task.memory.unpack(U64, address)[0])
    task.sleep(None)
    task.notify()
    fail(errno.EINTR)


@syscall("pause")
def pause(task: Task, *_: int) -> int:
    task.sleep(None)
    fail(errno.EINTR)


@syscall("rt_sigtimedwait_time64")
def sigtimedwait64(task: Task, chosen: int, info: int, timeout: int, *_: int) -> int:
    return _sigtimedwait(task, chosen, info, task.memory.unpack(TIMESPEC, timeout) if timeout else None)


@syscall("rt_sigtimedwait")
def sigtimedwait32(task: Task, chosen: int, info: int, timeout: int, *_: int) -> int:
    return _sigtimedwait(task, chosen, info, task.memory.unpack(TIMESPEC32, timeout) if timeout else None)


def _sigtimedwait(task: Task, chosen: int, info: int, timeout: tuple[int, ...] | None) -> int:
    wanted: int = task.memory.unpack(U64, chosen)[0] & ~UNBLOCKABLE
    end = None if timeout is None else time.monotonic() + timeout[0] + timeout[1] / 1e9
    signals = task.signals
    with task.kernel.lock:
        signals.awaited = wanted
        try:
            while not signals.pending & wanted:
                left = None if end is None else end - time.monotonic()
                if left is not None and left <= 0:
                    fail(errno.EAGAIN)
                if signals.deliverable():
                    fail(errno.EINTR)
                task.park(left)
        finally:
            signals.awaited = 0
        signal = sig.members(signals.pending & wanted)[0]
        signals.drop(1 << (signal - 1))
        sender, uid = signals.senders.get(signal, (0, 0))
    if info:
        task.memory.write(info, struct.pack("<5i", signal, 0, SI_USER, sender, uid).ljust(_SIGINFO_SIZE, b"\0"))
    return signal


@syscall("sigaltstack")
def sigaltstack(task: Task, _new: int, old: int, *_: int) -> int:
    """Handlers run on the program's own stack always: there is never another one (SS_DISABLE)."""
    if old:
        task.memory.write(old, struct.pack("<IiI", 0, 2, 0))
    return 0
