"""The system call table. Handlers register with `@syscall(name, ...)`; importing the `sys_*` modules fills it."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from sandbox.wasm.kernel.numbers import NUMBERS

if TYPE_CHECKING:
    from sandbox.wasm.kernel.task import Task

Handler = Callable[..., int]

RESTART = -512
"""What the C library takes as "interrupted, restart if the handler allows it"."""

HANDLERS: list[Handler | None] = [None] * 512
NAMES: dict[int, str] = {number: name for name, number in NUMBERS.items()}

_log = logging.getLogger(__name__)
_unknown: set[int] = set()


class Interrupted(Exception):
    """A signal came while waiting: the call is restarted if the handler was installed with SA_RESTART."""


def syscall(*names: str) -> Callable[[Handler], Handler]:
    """Register a handler `(task, a, b, c, d, e, f) -> int` under musl's names for it."""

    def register(handler: Handler) -> Handler:
        for name in names:
            HANDLERS[NUMBERS[name]] = handler
        return handler

    return register


def refuse(task: Task, number: int) -> int:
    """ENOSYS, logged once for each call in the life of the process."""
    if number not in _unknown:
        _unknown.add(number)
        _log.info("system call %s (%d) is not implemented, first used by %s", NAMES.get(number), number, task.comm)
    return -errno.ENOSYS
