"""Sessions and process groups: who may read a terminal, who is orphaned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.wasm.kernel import signals as sig
from sandbox.wasm.kernel.abi import SIGCONT, SIGHUP

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandbox.wasm.kernel.task import Task
    from sandbox.wasm.kernel.tty import Terminal


class Session:
    """`terminal` is the controlling terminal, set by the leader; guarded by the kernel's lock."""

    __slots__ = ("sid", "terminal")

    def __init__(self, sid: int) -> None:
        self.sid = sid
        self.terminal: Terminal | None = None


def orphaned(members: Iterable[Task]) -> bool:
    """Whether no member has a parent outside its group but inside its session: nobody is left to continue it."""
    return not any(
        member.alive
        and member.parent is not None
        and member.parent.alive
        and member.parent.pgid != member.pgid
        and member.parent.session is member.session
        for member in members
    )


def hang_up_if_orphaned(members: list[Task], was_orphaned: bool) -> None:
    """POSIX: a group that becomes orphaned with stopped members gets SIGHUP and SIGCONT."""
    if was_orphaned or not orphaned(members):
        return
    if any(member.state == "T" for member in members):
        for member in members:
            sig.post(member, SIGHUP)
            sig.post(member, SIGCONT)


def end_session(leader: Task, tasks: Iterable[Task]) -> None:
    """The session's leader is gone: its terminal is nobody's, and the foreground group is told."""
    session = leader.session
    if session.sid != leader.pid or session.terminal is None:
        return
    terminal, session.terminal = session.terminal, None
    foreground = terminal.release(session)
    for task in tasks:
        if task.pgid == foreground and task is not leader:
            sig.post(task, SIGHUP)
            sig.post(task, SIGCONT)
