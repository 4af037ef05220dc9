"""A container's standard output and error: two streams on one socket, so that outside they come in the order written.

The socket keeps message boundaries: each write becomes messages of one byte, the descriptor number it is for, and data.
A message is sent whole or not at all, so writers never tear each other's apart and one that is killed leaves no half.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from sandbox.wasm.kernel import signals as sig
from sandbox.wasm.kernel.abi import POLLOUT
from sandbox.wasm.kernel.files import OpenFile
from sandbox.wasm.kernel.pipes import HostStream
from sandbox.wasm.kernel.syscalls import Interrupted
from sandbox.wasm.vfs.node import Stat, fail

if TYPE_CHECKING:
    from sandbox.wasm.kernel.task import Task

BUFFER = 1 << 20
MESSAGE = 1 << 18
"""The most data that one message carries."""
_SO_SNDBUFFORCE = 32  # socket(7): beyond the machine's limit, for a privileged worker


class OutputStream(HostStream):
    """One of the two streams; owns its descriptor of the shared socket. Programs take it for a pipe."""

    def __init__(self, sending: socket.socket, number: int, owner: tuple[int, int], flags: int = os.O_WRONLY) -> None:
        super().__init__(sending.fileno(), flags, owner=owner)
        self._socket = sending
        self._number = number
        self._tag = bytes((number,))
        self._most = min(MESSAGE, sending.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) // 4)

    def read_vector(self, task: Task, views: list[memoryview]) -> int:
        fail(errno.EBADF)

    def write_from(self, task: Task, view: memoryview) -> int:
        done = 0
        while done < len(view):
            try:
                sent = self._socket.sendmsg([self._tag, view[done : done + self._most]], (), socket.MSG_NOSIGNAL)
                done += sent - 1
                continue
            except BlockingIOError:
                if self.nonblocking and not done:
                    raise
            except BrokenPipeError:
                if done:
                    return done
                sig.broken_pipe(task)
                raise
            if self.nonblocking:
                return done
            if not task.wait_fd(self.host_fd, POLLOUT):
                if done:
                    return done
                raise Interrupted
        return done

    def reopen(self, task: Task, flags: int) -> OpenFile:
        return OutputStream(self._socket.dup(), self._number, self.owner, flags)

    def stat(self) -> Stat:
        return replace(super().stat(), mode=stat.S_IFIFO | 0o600)

    def close(self) -> None:
        self._socket.close()


def output_streams(owner: tuple[int, int]) -> tuple[int, OutputStream, OutputStream]:
    """(the reader's host descriptor, standard output, standard error); all of them non-blocking."""
    outer, inner = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in (outer, inner):
        end.setblocking(False)
    inner.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
    with suppress(PermissionError):
        inner.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, BUFFER)
    return outer.detach(), OutputStream(inner, 1, owner), OutputStream(inner.dup(), 2, owner)
