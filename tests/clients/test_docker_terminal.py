"""The docker CLI on a terminal: -t, detach keys, window sizes, job control characters."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.clients.engine import Engine
from tests.oracle.tools import tool

pytestmark = pytest.mark.oracle
SECONDS = 30.0
BASE = "sockerless/base"


class Terminal:
    """The master side of a terminal on which a docker CLI runs."""

    def __init__(self, master: int, process: subprocess.Popen[bytes]) -> None:
        self.master = master
        self.process = process
        self.seen = ""

    def expect(self, text: str) -> None:
        """Reads until `text` has been written on the terminal. Raises AssertionError after 30 s or at the end."""
        deadline = time.monotonic() + SECONDS
        while text not in self.seen:
            assert select.select([self.master], [], [], max(0, deadline - time.monotonic()))[0], self.seen
            self.seen += self._read()
        self.seen = self.seen.partition(text)[2]

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def finish(self) -> int:
        """Reads to the end and returns the CLI's exit code."""
        try:
            while text := self._read():
                self.seen += text
        except OSError:  # EIO: the last process that had the terminal open is gone
            pass
        return self.process.wait(SECONDS)

    def _read(self) -> str:
        return os.read(self.master, 65536).decode(errors="replace")


@contextmanager
def terminal(engine: Engine, *arguments: str) -> Iterator[Terminal]:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 101, 0, 0))
    command = [*engine.prefix, tool("setsid"), "--ctty", "--wait", tool("docker"), *arguments]
    environment = {**engine.environment(), "TERM": "xterm"}
    with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=environment) as process:
        os.close(slave)
        try:
            yield Terminal(master, process)
        finally:
            process.kill()
            os.close(master)


def test_output_and_exit_code(engine: Engine) -> None:
    with terminal(engine, "run", "--rm", "-t", BASE, "sh", "-c", "tty; echo err >&2; exit 6") as screen:
        assert screen.finish() == 6
        # Without -i the CLI leaves the local terminal's own newline translation on.
        assert screen.seen == "/dev/pts/0\r\r\nerr\r\r\n"


def test_interactive_shell(engine: Engine) -> None:
    with terminal(engine, "run", "--rm", "-i", "-t", "-e", "PS1=ready> ", BASE, "sh") as screen:
        screen.expect("ready> ")
        screen.type("echo $((6 * 7)) $TERM\r")
        screen.expect("42 xterm\r\n")
        screen.type("sh -c \"echo st''arted; sleep 1000\"\r")
        screen.expect("started\r\n")
        screen.type("\x03")
        screen.expect("ready> ")
        screen.type("exit 9\r")
        assert screen.finish() == 9


def test_size_follows_the_window(engine: Engine) -> None:
    with terminal(engine, "run", "--rm", "-i", "-t", BASE, "sh", "-c", SIZES) as screen:
        screen.expect("33 101\r\n")
        screen.resize(20, 70)
        screen.process.send_signal(28)
        screen.expect("20 70\r\n")
        screen.type("\x03")
        assert screen.finish() == 130


SIZES = """
trap 'exit 130' INT
last=
while :; do
  size=$(stty size)
  [ "$size" = "$last" ] || [ "$size" = "0 0" ] || echo "$size"
  last=$size
  sleep 0.1
done
"""


def test_exec_on_a_terminal(engine: Engine) -> None:
    engine.ok("run", "--detach", "--name", "term-exec", BASE, "sleep", "1000")
    with terminal(engine, "exec", "-i", "-t", "term-exec", "sh", "-c", "read x; echo got $x; exit 3") as screen:
        screen.type("typed\r")
        screen.expect("got typed\r\n")
        assert screen.finish() == 3
    engine.ok("rm", "--force", "term-exec")


def test_detach_keys_and_attach_again(engine: Engine) -> None:
    with terminal(engine, "run", "-i", "-t", "--name", "term-detach", "-e", "PS1=ready> ", BASE, "sh") as screen:
        screen.expect("ready> ")
        screen.type("word=kept\r")
        screen.expect("ready> ")
        screen.type("\x10\x11")
        assert screen.finish() == 0
    assert engine.ok("inspect", "--format", "{{.State.Running}}", "term-detach") == "true"
    with terminal(engine, "attach", "term-detach") as screen:
        screen.type("echo $word; exit 4\r")
        screen.expect("kept\r\n")
        assert screen.finish() == 4
    engine.ok("rm", "term-detach")
