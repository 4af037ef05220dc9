"""What a program finds on its stack at the start: argc, argv, environ and the auxiliary vector."""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandbox.wasm.kernel.task import Task

_AT_PAGESZ, _AT_UID, _AT_EUID, _AT_GID, _AT_EGID, _AT_SECURE, _AT_RANDOM, _AT_EXECFN = 6, 11, 12, 13, 14, 23, 25, 31
_RANDOM_SIZE = 16


def lay_out(task: Task, address: int) -> int:
    """Write them at `address` (0: write nothing); answers how many bytes they take."""
    argv = [_encode(text) for text in task.argv]
    environ = [_encode(text) for text in task.environ]
    executable = _encode(task.executable.path)
    strings = b"".join(argv) + b"".join(environ) + executable
    words = 1 + len(argv) + 1 + len(environ) + 1 + 2 * 9
    size = 4 * words + _RANDOM_SIZE + len(strings)
    if not address:
        return size
    random = address + 4 * words
    place = random + _RANDOM_SIZE
    table = [len(argv)]
    for group in (argv, environ):
        for text in group:
            table.append(place)
            place += len(text)
        table.append(0)
    table += _auxiliary(task, random, place)
    task.memory.write(address, struct.pack(f"<{words}I", *table) + os.urandom(_RANDOM_SIZE) + strings)
    return size


def _auxiliary(task: Task, random: int, executable: int) -> list[int]:
    who = task.credentials
    secure = int(who.uid != who.euid or who.gid != who.egid)
    return [
        _AT_PAGESZ, 4096, _AT_UID, who.uid, _AT_EUID, who.euid, _AT_GID, who.gid, _AT_EGID, who.egid,
        _AT_SECURE, secure, _AT_RANDOM, random, _AT_EXECFN, executable, 0, 0,
    ]  # fmt: skip


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape") + b"\0"
