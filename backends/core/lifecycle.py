"""The states of a container and the only ways between them.

A container is *created* once and lives until it is *removing*; in between it may run many times. ``status`` is what
Docker shows; "running" in Docker's sense (``State.Running``) also covers paused and restarting.

==========  =========================================================================================================
created     Exists, has never run. A start that fails leaves it here, with the exit code and error of the failure.
running     The main process lives.
paused      It lives and does not get CPU time. It may be killed; that resumes it.
restarting  The main process has ended and the restart policy will start it again after its back-off.
exited      The main process has ended, its output is drained, its exit code is final.
removing    Being removed. Nothing else may happen to it except that the removal fails and leaves it dead.
dead        A removal failed half-way. Only another removal is possible.
==========  =========================================================================================================

Events are what happens, not what is asked: ``start`` means that the process runs, ``exit`` that it is gone and drained.
An event that the table does not list for a state raises and changes nothing; the engine then answers with the conflict
that Docker words for that operation. ``start_failed`` is an event of its own because it leaves the state as it was.
``lost`` is what recovery does to a container whose worker died: its processes are gone with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Status(StrEnum):
    """What Docker calls State.Status."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    RESTARTING = "restarting"
    REMOVING = "removing"
    EXITED = "exited"
    DEAD = "dead"


class Happening(StrEnum):
    """What can happen to a container."""

    START = "start"
    START_FAILED = "start_failed"
    PAUSE = "pause"
    UNPAUSE = "unpause"
    EXIT = "exit"
    EXIT_TO_RESTART = "exit_to_restart"
    GIVE_UP = "give_up"
    LOST = "lost"
    REMOVE = "remove"
    REMOVE_FAILED = "remove_failed"


class IllegalTransition(Exception):
    """The table has no such transition; nothing was changed."""


_S, _H = Status, Happening
TRANSITIONS: Mapping[Status, Mapping[Happening, Status]] = {
    _S.CREATED: {_H.START: _S.RUNNING, _H.START_FAILED: _S.CREATED, _H.REMOVE: _S.REMOVING},
    _S.RUNNING: {
        _H.PAUSE: _S.PAUSED,
        _H.EXIT: _S.EXITED,
        _H.EXIT_TO_RESTART: _S.RESTARTING,
        _H.LOST: _S.EXITED,
    },
    _S.PAUSED: {
        _H.UNPAUSE: _S.RUNNING,
        _H.EXIT: _S.EXITED,
        _H.EXIT_TO_RESTART: _S.RESTARTING,
        _H.LOST: _S.EXITED,
    },
    _S.RESTARTING: {
        _H.START: _S.RUNNING,
        _H.START_FAILED: _S.RESTARTING,
        _H.GIVE_UP: _S.EXITED,
        _H.LOST: _S.EXITED,
    },
    _S.EXITED: {_H.START: _S.RUNNING, _H.START_FAILED: _S.EXITED, _H.REMOVE: _S.REMOVING},
    _S.REMOVING: {_H.REMOVE_FAILED: _S.DEAD, _H.REMOVE: _S.REMOVING},
    _S.DEAD: {_H.REMOVE: _S.REMOVING},
}
ALIVE = frozenset({Status.RUNNING, Status.PAUSED})
RUNNING = ALIVE | {Status.RESTARTING}


def after(status: Status, happening: Happening) -> Status:
    """Return the state that follows; IllegalTransition when there is none."""
    try:
        return TRANSITIONS[status][happening]
    except KeyError:
        raise IllegalTransition(f"{happening} does not happen to a container that is {status}") from None
