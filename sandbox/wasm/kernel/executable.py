"""What the kernel asks to find out what a file runs as; `sandbox.wasm.programs` answers."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from sandbox.wasm.kernel.machine import Program
from sandbox.wasm.vfs.node import fail

if TYPE_CHECKING:
    from sandbox.wasm.kernel.task import Task


_ARGUMENTS_MAX = 768 << 10
"""Of a program's stack (1 MiB), where they are laid out; the rest is the program's. Linux takes a quarter of 8 MiB."""
_STRING_MAX = 128 << 10


def check_size(argv: list[str], environ: list[str]) -> None:
    """E2BIG for more arguments and environment than a program can be given."""
    sizes = [len(text.encode("utf-8", "surrogateescape")) + 5 for text in (*argv, *environ)]
    if sum(sizes) > _ARGUMENTS_MAX or max(sizes, default=0) > _STRING_MAX:
        fail(errno.E2BIG)


@dataclass(frozen=True, slots=True)
class Executable:
    """A program, the path it was found at, and its arguments after `#!` lines and applet names were dealt with.

    `name` is what ps shows; `mode`, `uid`, `gid` are those of the file: its set-id bits count. With a `refusal` the
    program is one that only says so.
    """

    program: Program
    path: str
    argv: list[str]
    name: str
    mode: int = 0o755
    uid: int = 0
    gid: int = 0
    refusal: str = ""


class Refused(OSError):
    """A first process whose program exists but cannot be run here; `strerror` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(errno.ENOEXEC, reason)


class Loader(Protocol):
    def __call__(self, task: Task, path: str, argv: list[str]) -> Executable:
        """Look a file up for a process; OSError as execve fails (ENOENT, EACCES, ENOEXEC, ELOOP ...)."""
