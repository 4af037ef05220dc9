"""Signals: what is pending, blocked and handled, and what becomes of a signal that is sent.

A signal ends in one of four ways. Ignored: it is dropped when sent or unblocked. A handler: the program's flag word is
raised, and the C library, which looks at it after each system call and in malloc, calls `take_signal` until there is
none. Fatal: the process leaves at its next system call or checkpoint. Stop: it waits there until SIGCONT or SIGKILL.
pid 1 is protected as in a pid namespace: what it does not handle does not reach it, but SIGKILL and SIGSTOP from
outside do.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from sandbox.wasm.kernel.abi import (
    IGNORED_BY_DEFAULT,
    SA_NOCLDSTOP,
    SA_NODEFER,
    SA_RESETHAND,
    SIG_DFL,
    SIG_IGN,
    SIGCHLD,
    SIGCONT,
    SIGKILL,
    SIGPIPE,
    SIGSTOP,
    STOPPING,
    UNBLOCKABLE,
)

if TYPE_CHECKING:
    from sandbox.wasm.kernel.task import Task


class Action(NamedTuple):
    handler: int
    flags: int
    mask: int


DEFAULT = Action(SIG_DFL, 0, 0)
HIGHEST = 64


@dataclass(slots=True)
class Signals:
    """One process's signal state; sets are bit masks with signal n at bit n-1."""

    pending: int = 0
    mask: int = 0
    actions: dict[int, Action] = field(default_factory=dict)
    senders: dict[int, tuple[int, int]] = field(default_factory=dict)
    saved: list[int] = field(default_factory=list)
    suspended: int | None = None
    """The mask to come back to when sigsuspend or ppoll set another one for its time."""
    awaited: int = 0
    """What sigtimedwait waits for: kept pending although ignored or blocked."""

    def action(self, signal: int) -> Action:
        return self.actions.get(signal, DEFAULT)

    def blocked(self, signal: int) -> bool:
        return bool(self.mask >> (signal - 1) & 1)

    def ignored(self, signal: int) -> bool:
        handler = self.action(signal).handler
        return handler == SIG_IGN or (handler == SIG_DFL and bool(IGNORED_BY_DEFAULT >> (signal - 1) & 1))

    def deliverable(self) -> bool:
        """Whether a handler is to be run now."""
        ready = self.pending & ~self.mask
        return bool(ready) and any(self.action(s).handler > SIG_IGN for s in members(ready))

    def drop(self, signals: int) -> None:
        self.pending &= ~signals

    def fork(self) -> Signals:
        return Signals(mask=self.mask, actions=dict(self.actions), saved=list(self.saved))

    def reset_for_exec(self) -> None:
        self.actions = {s: Action(SIG_IGN, 0, 0) for s, a in self.actions.items() if a.handler == SIG_IGN}
        self.saved.clear()
        self.suspended = None

    def set_of(self, handler: int) -> int:
        """The signals ignored (SIG_IGN), or caught (any other value)."""
        caught = handler != SIG_IGN
        return sum(
            1 << (s - 1) for s, a in self.actions.items() if (a.handler > SIG_IGN if caught else a.handler == SIG_IGN)
        )


def members(signals: int) -> list[int]:
    found = []
    while signals:
        low = signals & -signals
        found.append(low.bit_length())
        signals ^= low
    return found


def protected(task: Task, signal: int, outside: bool) -> bool:
    """Whether pid 1 is spared this signal."""
    if not task.spared:
        return False
    if signal in (SIGKILL, SIGSTOP):
        return not outside
    return task.signals.action(signal).handler == SIG_DFL and not task.signals.blocked(signal)


def post(task: Task, signal: int, sender: int = 0, uid: int = 0, outside: bool = False) -> None:
    """Send a signal to one process. Kernel lock held. `outside`: not from a process of the same container."""
    signals = task.signals
    if not task.alive or protected(task, signal, outside):
        return
    bit = 1 << (signal - 1)
    if signal in (SIGCONT, SIGKILL):
        signals.drop(STOPPING)
        task.resume(signal == SIGCONT)
    elif bit & STOPPING:
        signals.drop(1 << (SIGCONT - 1))
    if not bit & (signals.mask | signals.awaited) and signals.ignored(signal):
        return
    signals.pending |= bit
    signals.senders[signal] = (sender, uid)
    refresh(task)
    task.waker.wake()


def broken_pipe(task: Task) -> None:
    """SIGPIPE, which a write gets besides EPIPE when nobody reads any more. Takes the kernel lock."""
    with task.kernel.lock:
        post(task, SIGPIPE, task.pid)


def refresh(task: Task) -> None:
    """See what may be delivered now: drop the ignored, raise the flag for handlers, ask for attention. Lock held."""
    signals = task.signals
    ready = signals.pending & ~signals.mask
    if not ready:
        return
    handled = False
    for signal in members(ready):
        if signals.ignored(signal):
            signals.drop(1 << (signal - 1))
        elif signals.action(signal).handler > SIG_IGN:
            handled = True
        elif task.spared and signal not in (SIGKILL, SIGSTOP):
            # It was blocked when it came, or a default was set since: pid 1 is spared all the same.
            signals.drop(1 << (signal - 1))
        else:
            task.demand_attention()
    if handled and task.machine is not None:
        task.machine.notify()


def next_default(task: Task) -> int:
    """The next signal whose default action (end or stop) is to be carried out, 0 if none. Kernel lock held."""
    signals = task.signals
    ready = signals.pending & ~signals.mask
    if ready >> (SIGKILL - 1) & 1:
        return SIGKILL
    for signal in members(ready):
        if signals.action(signal).handler == SIG_DFL and not signals.ignored(signal):
            return signal
    return 0


def take(task: Task) -> tuple[int, int, int, int] | None:
    """The next handler to run, as (handler, flags, signal, sender); its mask is set until `done`. Kernel lock held."""
    signals = task.signals
    for signal in members(signals.pending & ~signals.mask):
        action = signals.action(signal)
        if action.handler <= SIG_IGN:
            continue
        signals.drop(1 << (signal - 1))
        signals.saved.append(signals.mask if signals.suspended is None else signals.suspended)
        signals.suspended = None
        own = 0 if action.flags & SA_NODEFER else 1 << (signal - 1)
        signals.mask = (signals.mask | action.mask | own) & ~UNBLOCKABLE
        if action.flags & SA_RESETHAND:
            signals.actions.pop(signal)
        return action.handler, action.flags, signal, signals.senders.get(signal, (0, 0))[0]
    if signals.suspended is not None:
        signals.mask, signals.suspended = signals.suspended, None
        refresh(task)
        if signals.deliverable():
            return take(task)
    return None


def done(task: Task) -> None:
    """A handler returned: its mask is taken back. Kernel lock held."""
    signals = task.signals
    if signals.saved:
        signals.mask = signals.saved.pop()
        refresh(task)


def set_mask(task: Task, mask: int) -> None:
    """Kernel lock held."""
    task.signals.mask = mask & ~UNBLOCKABLE
    refresh(task)


def tell_parent(task: Task, stopping: bool) -> None:
    """A child ended, stopped or continued: SIGCHLD, and whoever waits looks again. Kernel lock held."""
    parent = task.parent
    if parent is None or not parent.alive:
        return
    if not (stopping and parent.signals.action(SIGCHLD).flags & SA_NOCLDSTOP):
        post(parent, SIGCHLD, task.pid, task.credentials.uid)
    parent.waker.wake()
