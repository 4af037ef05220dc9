"""Terminals: real pty pairs of the host, with job control by this kernel.

The host's line discipline edits, echoes and translates. It cannot know our process groups, so its ISIG is off, programs
are told ours, and the characters that send signals are taken out here on their way in (`Terminal.feed`). Were the host
to handle them too, it would drop output after we had sent the signal: it works on its own time. Reads and writes from
the background stop here as well.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import struct
import termios
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from sandbox.wasm.kernel import signals as sig
from sandbox.wasm.kernel.abi import (
    SIG_IGN,
    SIGCONT,
    SIGHUP,
    SIGINT,
    SIGQUIT,
    SIGTSTP,
    SIGTTIN,
    SIGTTOU,
    SIGWINCH,
)
from sandbox.wasm.kernel.files import OpenFile
from sandbox.wasm.kernel.pipes import FIONBIO, FIONREAD, HostStream
from sandbox.wasm.kernel.syscalls import Interrupted
from sandbox.wasm.vfs.node import Node, fail

if TYPE_CHECKING:
    from sandbox.wasm.kernel.kernel import Kernel
    from sandbox.wasm.kernel.session import Session
    from sandbox.wasm.kernel.task import Task

TCGETS, TCSETS, TCSETSW, TCSETSF = 0x5401, 0x5402, 0x5403, 0x5404
TCSBRK, TCXONC, TCFLSH = 0x5409, 0x540A, 0x540B
TIOCSCTTY, TIOCGPGRP, TIOCSPGRP, TIOCOUTQ = 0x540E, 0x540F, 0x5410, 0x5411
TIOCGWINSZ, TIOCSWINSZ, TIOCNOTTY, TIOCGSID = 0x5413, 0x5414, 0x5422, 0x5429
TIOCGPTN, TIOCSPTLCK, TIOCGPTPEER = 0x80045430, 0x40045431, 0x5441
_INT = struct.Struct("<i")
_WINSIZE = struct.Struct("<HHHH")
_TERMIOS_SIZE = 36
_LOCAL_FLAGS = 12
_SLAVE_FLAGS = os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC
_SIGNAL_CHARACTERS = ((termios.VINTR, SIGINT), (termios.VQUIT, SIGQUIT), (termios.VSUSP, SIGTSTP))


class Terminal:
    """One pty. Owns the master descriptor; slaves are opened through it and owned by their open files.

    `owner` is the user and the group that its device belongs to.
    `session` and `foreground` are guarded by the kernel's lock.
    """

    def __init__(self, kernel: Kernel, owner: tuple[int, int], rows: int = 0, columns: int = 0) -> None:
        self.kernel = kernel
        self.owner = owner
        self.master = os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        fcntl.ioctl(self.master, TIOCSPTLCK, _INT.pack(0))
        self.index = kernel.terminals.add(self)
        self.session: Session | None = None
        self.foreground = 0
        self._quoted = False
        self._sends_signals = False
        self.set_settings(self.master, TCSETS, fcntl.ioctl(self.master, TCGETS, bytes(_TERMIOS_SIZE)))
        self._guard = threading.Lock()
        self._open = True
        if rows or columns:
            fcntl.ioctl(self.master, TIOCSWINSZ, _WINSIZE.pack(rows, columns, 0, 0))

    def open(self, flags: int, node: Node | None = None) -> TerminalFile:
        """Open the slave side."""
        with self._guard:
            self._check_open()
            return TerminalFile(self, fcntl.ioctl(self.master, TIOCGPTPEER, _SLAVE_FLAGS), flags, node)

    def _check_open(self) -> None:
        if not self._open:
            fail(errno.EIO)

    def attach(self, leader: Task) -> None:
        """Make it the controlling terminal of a session. Kernel lock held."""
        leader.session.terminal = self
        self.session = leader.session
        self.foreground = leader.pgid

    def release(self, session: Session) -> int:
        """The session gives it up; answers what its foreground group was. Kernel lock held."""
        if self.session is session:
            self.session = None
        foreground, self.foreground = self.foreground, 0
        return foreground

    def feed(self, data: bytes | memoryview) -> int:
        """Type `data`: write it to the master, send the signals it asks for. BlockingIOError when nothing fits.

        Answers how much was typed, which ends with the first character that sends a signal.
        """
        with self._guard:
            self._check_open()
            settings = termios.tcgetattr(self.master)
            content = bytes(data)
            end, signal, quoted = self._scan(content, settings)
            written = os.write(self.master, content[:end]) if end else 0
            if written < end:
                self._quoted = self._scan(content[:written], settings)[2]
                return written
            self._quoted = quoted
            if not signal:
                return written
            self._discard_and_echo(settings, content[end : end + 1])
        self.kernel.signal_group(self.foreground, signal)
        return written + 1

    def _scan(self, data: bytes, settings: list[Any]) -> tuple[int, int, bool]:
        """(where the first character that sends a signal is, the signal, whether what comes then is taken literally).

        The length and 0 when there is none.
        """
        local, characters, quoted = settings[3], settings[6], self._quoted
        if not self._sends_signals:
            return len(data), 0, False
        wanted = {characters[index][0]: number for index, number in _SIGNAL_CHARACTERS if characters[index] != b"\0"}
        literal = characters[termios.VLNEXT][0] if local & termios.ICANON and local & termios.IEXTEN else -1
        for place, character in enumerate(data):
            if quoted:
                quoted = False
            elif character == literal:
                quoted = True
            elif character in wanted:
                return place, wanted[character], False
        return len(data), 0, quoted

    def _discard_and_echo(self, settings: list[Any], character: bytes) -> None:
        """What the line discipline does with such a character: drop what was typed before it, show it as ^C."""
        local = settings[3]
        slave = fcntl.ioctl(self.master, TIOCGPTPEER, _SLAVE_FLAGS)
        try:
            if not local & termios.NOFLSH:
                fcntl.ioctl(slave, TCFLSH, termios.TCIFLUSH)
            if local & termios.ECHO:
                with suppress(BlockingIOError):
                    os.write(slave, b"^" + bytes((character[0] ^ 0x40,)))
        finally:
            os.close(slave)

    def get_settings(self, host_fd: int) -> bytes:
        """The kernel's struct termios as programs see it."""
        found = bytearray(fcntl.ioctl(host_fd, TCGETS, bytes(_TERMIOS_SIZE)))
        if self._sends_signals:
            found[_LOCAL_FLAGS] |= termios.ISIG
        return bytes(found)

    def set_settings(self, host_fd: int, request: int, wanted: bytes) -> None:
        settings = bytearray(wanted)
        self._sends_signals = bool(settings[_LOCAL_FLAGS] & termios.ISIG)
        settings[_LOCAL_FLAGS] &= ~termios.ISIG
        fcntl.ioctl(host_fd, request, bytes(settings))

    def type(self, data: bytes) -> bool:
        """Type all of it from outside, waiting where nothing fits; False when the terminal is gone."""
        view = memoryview(data)
        while view:
            try:
                view = view[self.feed(view) :]
            except BlockingIOError:
                self._await_room()
            except OSError:
                return False
        return True

    def _await_room(self) -> None:
        """The master may be closed meanwhile: look at a duplicate."""
        with self._guard:
            if not self._open:
                return
            duplicate = os.dup(self.master)
        try:
            poller = select.poll()
            poller.register(duplicate, select.POLLOUT)
            poller.poll(1000)
        finally:
            os.close(duplicate)

    def resize(self, rows: int, columns: int) -> None:
        """TIOCSWINSZ: the foreground group is told when the size changes."""
        self.set_size(_WINSIZE.pack(rows, columns, 0, 0))

    def set_size(self, size: bytes) -> None:
        with self._guard:
            self._check_open()
            if fcntl.ioctl(self.master, TIOCGWINSZ, bytes(_WINSIZE.size)) == size:
                return
            fcntl.ioctl(self.master, TIOCSWINSZ, size)
        self.kernel.signal_group(self.foreground, SIGWINCH)

    def close(self) -> None:
        """The master goes: a hang-up for the session that has it."""
        with self.kernel.lock:
            self.kernel.terminals.remove(self)
            session, self.session = self.session, None
            if session is not None:
                session.terminal = None
                leader = self.kernel.tasks.get(session.sid)
                if leader is not None:
                    sig.post(leader, SIGHUP)
                    sig.post(leader, SIGCONT)
        with self._guard:
            if self._open:
                self._open = False
                os.close(self.master)


class Terminals:
    """The terminals of a container by number, as /dev/pts lists them. Changed under the kernel's lock."""

    def __init__(self) -> None:
        self._by_index: dict[int, Terminal] = {}

    def add(self, terminal: Terminal) -> int:
        index = next(number for number in range(len(self._by_index) + 1) if number not in self._by_index)
        self._by_index[index] = terminal
        return index

    def remove(self, terminal: Terminal) -> None:
        self._by_index.pop(terminal.index, None)

    def get(self, index: int) -> Terminal | None:
        return self._by_index.get(index)

    def indexes(self) -> list[int]:
        return sorted(self._by_index)


class TerminalFile(HostStream):
    """The slave side, opened."""

    def __init__(self, terminal: Terminal, host_fd: int, flags: int, node: Node | None) -> None:
        super().__init__(host_fd, flags, f"/dev/pts/{terminal.index}", node)
        self.terminal = terminal

    def read_vector(self, task: Task, views: list[memoryview]) -> int:
        self._check(task, SIGTTIN)
        return super().read_vector(task, views)

    def write_from(self, task: Task, view: memoryview) -> int:
        terminal = self.terminal
        if (
            task.pgid != terminal.foreground
            and task.session.terminal is terminal
            and termios.tcgetattr(self.host_fd)[3] & termios.TOSTOP
        ):
            self._check(task, SIGTTOU)
        return super().write_from(task, view)

    def _check(self, task: Task, signal: int) -> None:
        """Stop a background process that touches its terminal (job control); EIO when nobody could continue it."""
        terminal = self.terminal
        if task.pgid == terminal.foreground or task.session.terminal is not terminal:
            return
        with task.kernel.lock:
            spared = task.signals.blocked(signal) or task.signals.action(signal).handler == SIG_IGN
            if spared and signal == SIGTTOU:
                return
            if spared or task.kernel.orphaned(task.pgid):
                fail(errno.EIO)
            for member in task.kernel.group(task.pgid):
                sig.post(member, signal)
        task.attend()
        raise Interrupted

    def reopen(self, task: Task, flags: int) -> OpenFile:
        return self.terminal.open(flags, self.node)

    def ioctl(self, task: Task, request: int, argument: int) -> int:
        request &= 0xFFFFFFFF
        if request in (TCSETS, TCSETSW, TCSETSF, TIOCSPGRP, TCSBRK, TCXONC, TCFLSH):
            self._check(task, SIGTTOU)
        handler = _JOB_CONTROL.get(request)
        if handler is not None:
            return handler(self.terminal, task, argument)
        return terminal_ioctl(self.terminal, self.host_fd, task, request, argument)


def terminal_ioctl(terminal: Terminal, host_fd: int, task: Task, request: int, argument: int) -> int:
    """What both sides of a pty answer."""
    memory = task.memory
    if request == TCGETS:
        memory.write(argument, terminal.get_settings(host_fd))
    elif request in (TCSETS, TCSETSW, TCSETSF):
        terminal.set_settings(host_fd, request, memory.read(argument, _TERMIOS_SIZE))
    elif request == TIOCGWINSZ:
        memory.write(argument, fcntl.ioctl(host_fd, TIOCGWINSZ, bytes(_WINSIZE.size)))
    elif request == TIOCSWINSZ:
        terminal.set_size(memory.read(argument, _WINSIZE.size))
    elif request in (FIONREAD, TIOCOUTQ):
        memory.write(argument, fcntl.ioctl(host_fd, request, bytes(4)))
    elif request in (TCSBRK, TCXONC, TCFLSH):
        fcntl.ioctl(host_fd, request, argument)
    elif request == FIONBIO:
        fail(errno.EINVAL)
    else:
        fail(errno.ENOTTY)
    return 0


def _own(terminal: Terminal, task: Task) -> None:
    if task.session.terminal is not terminal:
        fail(errno.ENOTTY)


def _get_group(terminal: Terminal, task: Task, argument: int) -> int:
    _own(terminal, task)
    task.memory.pack(_INT, argument, terminal.foreground)
    return 0


def _set_group(terminal: Terminal, task: Task, argument: int) -> int:
    _own(terminal, task)
    pgid = task.memory.i32(argument)
    if pgid < 0:
        fail(errno.EINVAL)
    with task.kernel.lock:
        members = [each for each in task.kernel.tasks.values() if each.pgid == pgid]
        if not members:
            fail(errno.ESRCH)
        if members[0].session is not task.session:
            fail(errno.EPERM)
        terminal.foreground = pgid
    return 0


def _get_session(terminal: Terminal, task: Task, argument: int) -> int:
    _own(terminal, task)
    task.memory.pack(_INT, argument, task.session.sid)
    return 0


def _take(terminal: Terminal, task: Task, argument: int) -> int:
    with task.kernel.lock:
        if task.session.sid == task.pid and task.session.terminal is terminal:
            return 0
        if task.session.sid != task.pid or task.session.terminal is not None:
            fail(errno.EPERM)
        if terminal.session is not None:
            if not (argument == 1 and task.credentials.privileged):
                fail(errno.EPERM)
            terminal.session.terminal = None
        terminal.attach(task)
    return 0


def _give_up(terminal: Terminal, task: Task, argument: int) -> int:
    _own(terminal, task)
    with task.kernel.lock:
        if task.session.sid == task.pid:
            task.session.terminal = None
            foreground = terminal.release(task.session)
            for member in task.kernel.group(foreground):
                sig.post(member, SIGHUP)
                sig.post(member, SIGCONT)
    return 0


_JOB_CONTROL = {
    TIOCGPGRP: _get_group,
    TIOCSPGRP: _set_group,
    TIOCGSID: _get_session,
    TIOCSCTTY: _take,
    TIOCNOTTY: _give_up,
}


class MasterFile(HostStream):
    """The master side, opened by a program of the container through /dev/ptmx."""

    def __init__(self, terminal: Terminal, flags: int, node: Node | None) -> None:
        super().__init__(terminal.master, flags, "/dev/ptmx", node)
        self.terminal = terminal

    def write_from(self, task: Task, view: memoryview) -> int:
        while True:
            try:
                return self.terminal.feed(view)
            except BlockingIOError:
                if self.nonblocking:
                    raise
            if not task.wait_fd(self.host_fd, 4):
                raise Interrupted

    def ioctl(self, task: Task, request: int, argument: int) -> int:
        request &= 0xFFFFFFFF
        if request == TIOCGPTN:
            task.memory.pack(_INT, argument, self.terminal.index)
            return 0
        if request == TIOCSPTLCK:
            return 0
        if request == TIOCGPGRP:
            task.memory.pack(_INT, argument, self.terminal.foreground)
            return 0
        return terminal_ioctl(self.terminal, self.host_fd, task, request, argument)

    def reopen(self, task: Task, flags: int) -> OpenFile:
        fail(errno.EIO)

    def close(self) -> None:
        self.terminal.close()
