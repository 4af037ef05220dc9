"""Terminals: controlling ones, signals from the keyboard, the background, sizes."""

from __future__ import annotations

import errno
import os
import select
import struct

from sandbox.wasm.kernel.abi import SIG_IGN, SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTSTP, SIGTTIN, SIGTTOU, WUNTRACED
from sandbox.wasm.kernel.task import Task
from sandbox.wasm.kernel.tty import Terminal
from tests.sandbox.wasm.kernel.kit import AT_FDCWD, Box, Sys, exited

TCGETS, TCSETS, TIOCSCTTY, TIOCGPGRP, TIOCSPGRP, TIOCGWINSZ, TIOCSWINSZ = (
    0x5401, 0x5402, 0x540E, 0x540F, 0x5410, 0x5413, 0x5414,
)  # fmt: skip
TIOCGPTN, TIOCNOTTY, TIOCGSID = 0x80045430, 0x5422, 0x5429
SIGWINCH = 28
LFLAG = 12
TOSTOP = 0o400


def start(box: Box, main: object) -> tuple[Terminal, Task]:
    """`main` as pid 1 on a terminal of 24 by 80."""
    terminal = Terminal(box.kernel, (0, 0), 24, 80)
    file = terminal.open(os.O_RDWR, box.tree.resolve(f"/dev/pts/{terminal.index}"))
    return terminal, box.start(main, files=[file, file, file], terminal=terminal)  # type: ignore[arg-type]


def shown(terminal: Terminal, until: bytes) -> bytes:
    """What the terminal has shown up to and including `until`."""
    text = b""
    while until not in text:
        assert select.select([terminal.master], [], [], 5)[0], text
        text += os.read(terminal.master, 4096)
    return text


def number(sys: Sys, fd: int, request: int) -> int:
    address = sys.room(4)
    sys("ioctl", fd, request, address)
    found: int = struct.unpack("<i", sys.get(address, 4))[0]
    return found


def test_the_first_process_leads_a_session_on_its_terminal() -> None:
    box = Box(terminal=True)

    def main(sys: Sys) -> int:
        assert (number(sys, 0, TIOCGPGRP), number(sys, 0, TIOCGSID)) == (1, 1)
        link = sys.room(64)
        size = sys("readlinkat", AT_FDCWD, "/proc/self/fd/0", link, 64)
        assert sys.get(link, size) == b"/dev/pts/0"
        for path in ("/dev/tty", "/dev/console", "/dev/pts/0", "/proc/self/fd/1"):
            sys.write(sys.open(path, os.O_RDWR), b"x")
        return 0

    terminal, task = start(box, main)
    assert exited(box.finish(task)) == 0
    assert shown(terminal, b"xxxx") == b"xxxx"
    terminal.close()


def test_lines_are_edited_and_echoed_by_the_host() -> None:
    box = Box()
    terminal, task = start(box, lambda sys: len(sys.read(0)) * 10 + len(sys.read(0)))
    assert terminal.type(b"abcX\x7f\n")
    assert shown(terminal, b"\n").startswith(b"abcX")
    terminal.type(b"\n")
    assert exited(box.finish(task)) == 41
    terminal.close()


def _on_the_keyboard(key: bytes, signal: int) -> None:
    box = Box()

    def child(sys: Sys) -> int:
        sys("setpgid", 0, 0)
        sys.act(SIGTTOU, SIG_IGN)
        sys("ioctl", 0, TIOCSPGRP, sys("getpid").to_bytes(4, "little"))
        sys.write(1, b"ready")
        return sys("pause")

    def main(sys: Sys) -> int:
        pid = sys.fork(child)
        found = sys.wait(pid, WUNTRACED)[1]
        assert found == (signal << 8 | 0x7F if signal == SIGTSTP else signal)
        return 0

    terminal, task = start(box, main)
    shown(terminal, b"ready")
    terminal.type(key)
    assert exited(box.finish(task)) == 0
    terminal.close()


def test_control_c_interrupts_the_foreground_group() -> None:
    _on_the_keyboard(b"\x03", SIGINT)


def test_control_backslash_quits_it() -> None:
    _on_the_keyboard(b"\x1c", SIGQUIT)


def test_control_z_stops_it() -> None:
    _on_the_keyboard(b"\x1a", SIGTSTP)


def test_an_interrupt_drops_what_was_typed_before_it() -> None:
    box = Box()

    def main(sys: Sys) -> int:
        sys.act(SIGINT, 1234)
        sys.write(1, b"ready")
        assert sys.raw("pause") == -errno.EINTR
        assert sys.taken() is not None
        sys.write(1, b"again")
        return len(sys.read(0))

    terminal, task = start(box, main)
    shown(terminal, b"ready")
    terminal.type(b"abc\x03")
    shown(terminal, b"again")
    terminal.type(b"d\n")
    assert exited(box.finish(task)) == 2
    terminal.close()


def test_quoted_and_raw_characters_send_nothing() -> None:
    box = Box()

    def main(sys: Sys) -> int:
        sys.act(SIGINT, 1234)
        assert sys.read(0) == b"\x03\n"
        settings = sys.room(36)
        sys("ioctl", 0, TCGETS, settings)
        local = sys.task.memory.u32(settings + LFLAG)
        sys.task.memory.write(settings + LFLAG, (local & ~0o3).to_bytes(4, "little"))  # ISIG and ICANON off
        sys("ioctl", 0, TCSETS, settings)
        sys.write(1, b"raw")
        assert sys.read(0, 1) == b"\x03"
        return sys.task.signals.pending

    terminal, task = start(box, main)
    terminal.type(b"\x16\x03\n")
    shown(terminal, b"raw")
    terminal.type(b"\x03")
    assert exited(box.finish(task)) == 0
    terminal.close()


def test_reading_in_the_background_stops_the_group() -> None:
    box = Box()

    def child(sys: Sys) -> int:
        sys("setpgid", 0, 0)
        assert sys.raw("read", 0, sys.room(9), 9) == -512  # restarted by the C library
        return len(sys.read(0))

    def main(sys: Sys) -> int:
        pid = sys.fork(child)
        assert sys.wait(pid, WUNTRACED)[1] == SIGTTIN << 8 | 0x7F
        sys("ioctl", 0, TIOCSPGRP, pid.to_bytes(4, "little"))
        sys("kill", -pid, SIGCONT)
        sys.write(1, b"go")
        assert exited(sys.wait(pid)[1]) == 3
        return 0

    terminal, task = start(box, main)
    shown(terminal, b"go")
    terminal.type(b"ab\n")
    assert exited(box.finish(task)) == 0
    terminal.close()


def test_writing_in_the_background_is_free_unless_tostop() -> None:
    box = Box()

    def child(sys: Sys) -> int:
        sys("setpgid", 0, 0)
        sys.write(1, b"free")
        settings = sys.room(36)
        sys("ioctl", 0, TCGETS, settings)
        local = sys.task.memory.u32(settings + LFLAG)
        sys.task.memory.write(settings + LFLAG, (local | TOSTOP).to_bytes(4, "little"))
        sys.act(SIGTTOU, SIG_IGN)
        sys("ioctl", 0, TCSETS, settings)
        sys.act(SIGTTOU, 0)
        sys.raw("write", 1, "x", 1)
        return 0

    def main(sys: Sys) -> int:
        pid = sys.fork(child)
        assert sys.wait(pid, WUNTRACED)[1] == SIGTTOU << 8 | 0x7F
        return 0

    terminal, task = start(box, main)
    assert exited(box.finish(task)) == 0
    shown(terminal, b"free")
    terminal.close()


def test_a_new_size_is_told_to_the_foreground() -> None:
    box = Box()

    def main(sys: Sys) -> int:
        sys.act(SIGWINCH, 1234)
        size = sys.room(8)
        sys("ioctl", 0, TIOCGWINSZ, size)
        assert struct.unpack("<HHHH", sys.get(size, 8)) == (24, 80, 0, 0)
        sys.write(1, b"ready")
        assert sys.raw("pause") == -errno.EINTR
        sys("ioctl", 0, TIOCGWINSZ, size)
        assert struct.unpack("<HHHH", sys.get(size, 8)) == (50, 132, 0, 0)
        return 0

    terminal, task = start(box, main)
    shown(terminal, b"ready")
    terminal.resize(50, 132)
    assert exited(box.finish(task)) == 0
    terminal.close()


def test_the_leaders_end_hangs_up_the_foreground() -> None:
    box = Box()

    def forgotten(sys: Sys) -> int:
        sys.act(SIGHUP, 0)
        sys.write(4, b"x")
        return sys("pause")

    def leader(sys: Sys) -> int:
        sys("setsid")
        sys("ioctl", 1, TIOCSCTTY, 0)
        assert sys.pipe() == (3, 4)
        sys.fork(forgotten)
        return len(sys.read(3, 1)) - 1

    def main(sys: Sys) -> int:
        sys.act(SIGHUP, SIG_IGN)
        sys("ioctl", 0, TIOCNOTTY, 0)
        pid = sys.fork(leader)
        assert sys.wait(pid)[1] == 0
        assert sys.wait() == (pid + 1, SIGHUP)
        return 0

    terminal, task = start(box, main)
    assert exited(box.finish(task)) == 0
    terminal.close()


def test_a_program_can_make_a_terminal_of_its_own() -> None:
    def child(sys: Sys) -> int:
        sys("setsid")
        slave = sys.open("/dev/pts/0", os.O_RDWR)
        assert number(sys, slave, TIOCGPGRP) == sys("getpid")
        sys.write(slave, b"to master\n")
        return len(sys.read(slave))

    def main(sys: Sys) -> int:
        master = sys.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY)
        assert number(sys, master, TIOCGPTN) == 0
        sys.fork(child)
        shown = b""
        while len(shown) < 11:  # the host hands a line's text and its end over as two pieces
            shown += sys.read(master)
        assert shown == b"to master\r\n"
        sys.write(master, b"abc\n")
        return exited(sys.wait()[1])

    assert exited(Box().run(main)) == 4


def test_what_is_no_terminal_says_so() -> None:
    def main(sys: Sys) -> int:
        reading, _ = sys.pipe()
        fd = sys.open("/tmp/x", os.O_RDWR | os.O_CREAT)
        assert {sys.raw("ioctl", each, TCGETS, sys.room(60)) for each in (reading, fd)} == {-errno.ENOTTY}
        return 0

    assert exited(Box().run(main)) == 0


def test_a_terminal_that_is_not_ours_tells_no_group() -> None:
    box = Box()

    def child(sys: Sys) -> int:
        sys("setsid")
        return -sys.raw("ioctl", 0, TIOCGPGRP, sys.room(4))

    terminal, task = start(box, lambda sys: (sys.fork(child), exited(sys.wait()[1]))[1])
    assert exited(box.finish(task)) == errno.ENOTTY
    terminal.close()
