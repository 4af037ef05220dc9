"""Open files handed over through Unix sockets (SCM_RIGHTS).

Programs' open files exist in this process only, so what travels with the bytes is a ticket: an eventfd whose count is
the ticket's number. The host's kernel keeps it at its place in the stream; the receiver exchanges it for the open
files.
"""

from __future__ import annotations

import array
import errno
import itertools
import os
import select
import socket
import threading
from collections.abc import Iterable, Sequence
from typing import Protocol

from sandbox.wasm.net.base import fail

_numbers = itertools.count(1)
ROOM = socket.CMSG_SPACE(4)
Ancillary = list[tuple[int, int, bytes]]


class Right(Protocol):
    """An open file, reference-counted."""

    def release(self) -> None: ...


class Cloakroom:
    """Open files on their way to one socket. Each holds one reference, which the receiver gets."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[int, tuple[Right, ...]] = {}
        self._closed = False

    def give(self, rights: Sequence[Right]) -> int:
        """Take `rights` in and answer a ticket, a descriptor that the caller sends and closes; EPIPE after `close`."""
        number = next(_numbers)
        with self._lock:
            if self._closed:
                fail(errno.EPIPE)
            self._kept[number] = tuple(rights)
        return os.eventfd(number, os.EFD_CLOEXEC)

    def take(self, ticket: int) -> tuple[Right, ...]:
        """Exchange a ticket (and close it) for what it stands for; nothing if it is none of ours."""
        try:
            number = _number(ticket)
        finally:
            os.close(ticket)
        with self._lock:
            return self._kept.pop(number, ())

    def close(self) -> None:
        """The receiver is gone: release what it never took."""
        with self._lock:
            self._closed = True
            kept, self._kept = self._kept, {}
        for rights in kept.values():
            drop(rights)


def _number(ticket: int) -> int:
    """0 for a real descriptor from a real peer, whose bytes are not ours to read: no program's can stand for it."""
    if os.readlink(f"/proc/self/fd/{ticket}") != "anon_inode:[eventfd]":
        return 0
    poller = select.poll()
    poller.register(ticket, select.POLLIN)
    return os.eventfd_read(ticket) if poller.poll(0) else 0


def drop(rights: Iterable[object]) -> None:
    """Release open files that nobody takes."""
    for right in rights:
        right.release()  # type: ignore[attr-defined]


def send_with(io: socket.socket, parts: Sequence[bytes | bytearray | memoryview], flags: int,
              room: Cloakroom | None, rights: Sequence[object]) -> int:  # fmt: skip
    """sendmsg with open files; `room` is the receiver's, None for a real peer, to which none can be sent."""
    if not rights:
        return io.sendmsg(parts, (), flags)
    if room is None:
        fail(errno.EOPNOTSUPP)
    ticket = room.give(rights)  # type: ignore[arg-type]
    try:
        return io.sendmsg(parts, [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [ticket]))], flags)
    except OSError:
        room.take(ticket)
        ticket = -1
        raise
    finally:
        if ticket >= 0:
            os.close(ticket)


def received(ancillary: Ancillary, room: Cloakroom, *, peek: bool) -> tuple[Right, ...]:
    """The open files that came with a message. A peek leaves them where they are and sees none."""
    found: list[Right] = []
    for level, kind, data in ancillary:
        if (level, kind) != (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            continue
        tickets = array.array("i")
        tickets.frombytes(data[: len(data) - len(data) % tickets.itemsize])
        for ticket in tickets:
            if peek:
                os.close(ticket)
            else:
                found += room.take(ticket)
    return tuple(found)
