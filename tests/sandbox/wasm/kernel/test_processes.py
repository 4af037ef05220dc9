"""fork, exec, wait, exit, orphans, groups and the end of a container."""

from __future__ import annotations

import errno
import os
import threading

import pytest

from sandbox.wasm.kernel.abi import SIGKILL, WNOHANG
from sandbox.wasm.kernel.kernel import Shares
from tests.sandbox.wasm.descriptors import at_most_more
from tests.sandbox.wasm.kernel.kit import AT_FDCWD, Box, Failed, Sys, exited, pipe_out


def test_the_first_process_is_pid_1_without_a_parent() -> None:
    def main(sys: Sys) -> int:
        assert (sys("getpid"), sys("getppid"), sys("getpgrp"), sys("getsid", 0)) == (1, 0, 1, 1)
        return 7

    assert exited(Box().run(main)) == 7


def test_exit_ends_the_program_where_it_stands() -> None:
    def main(sys: Sys) -> int:
        sys("exit_group", 300)
        raise AssertionError("unreachable")

    assert exited(Box().run(main)) == 300 & 0xFF


def test_a_parent_gets_its_childs_status() -> None:
    def child(sys: Sys) -> int:
        assert (sys("getpid"), sys("getppid"), sys("getpgrp")) == (2, 1, 1)
        return 42

    def main(sys: Sys) -> int:
        pid = sys.fork(child)
        assert sys.wait(pid) == (2, 42 << 8)
        assert sys.raw("wait4", -1, 0, 0, 0) == -errno.ECHILD
        return 0

    assert exited(Box().run(main)) == 0


def test_a_child_that_runs_is_no_news_with_wnohang() -> None:
    def main(sys: Sys) -> int:
        reading, writing = sys.pipe()
        sys.fork(lambda child: (child("close", writing), child.read(reading), 0)[-1])
        assert sys("wait4", -1, 0, WNOHANG, 0) == 0
        sys("close", writing)
        assert sys.wait()[0] == 2
        return 0

    assert exited(Box().run(main)) == 0


def test_orphans_become_children_of_pid_1() -> None:
    def grandchild(sys: Sys) -> int:
        sys.read(0)
        assert sys("getppid") == 1
        return 5

    def child(sys: Sys) -> int:
        sys("close", 1)
        sys.fork(grandchild)
        return 0

    def main(sys: Sys) -> int:
        assert sys.pipe() == (0, 1)
        sys.fork(child)
        assert sys.wait(2) == (2, 0)
        sys("close", 1)
        assert sys.wait() == (3, 5 << 8)
        return 0

    assert exited(Box().run(main)) == 0


def test_orphans_go_to_the_init_above_pid_1_which_reaps_them() -> None:
    def child(sys: Sys) -> int:
        sys.fork(lambda grandchild: (grandchild("close", 1), grandchild.read(0), 5)[-1])
        return 0

    def main(sys: Sys) -> int:
        assert sys.pipe() == (0, 1)
        sys.fork(child)
        assert sys.wait(2) == (2, 0)
        assert sys.raw("wait4", -1, 0, 0, 0) == -errno.ECHILD
        return 0

    box = Box()
    box.kernel.tended = True
    assert exited(box.run(main)) == 0


def test_everybody_ends_with_pid_1_before_its_end_is_told() -> None:
    box = Box()

    def main(sys: Sys) -> int:
        for _ in range(3):
            sys.fork(lambda child: child("pause"))
        return 3

    assert exited(box.run(main)) == 3
    assert box.kernel.tasks == {}


def test_a_process_from_outside_ends_with_pid_1() -> None:
    box = Box()
    ready = threading.Event()

    def second(sys: Sys) -> int:
        assert (sys("getppid"), sys("getsid", 0)) == (0, 2)
        ready.set()
        return sys("pause")

    first = box.start(lambda sys: sys("pause"))
    other = box.start(second, path="/bin/second")
    assert ready.wait(5)
    box.kernel.kill_all()
    assert (box.finish(first), box.finish(other)) == (SIGKILL, SIGKILL)


def test_nothing_starts_once_pid_1_has_ended() -> None:
    box = Box()
    box.run(lambda _sys: 0)
    with pytest.raises(ProcessLookupError):
        box.start(lambda _sys: 0)


@pytest.mark.parametrize("name", ["execve", "execveat"])
def test_exec_keeps_the_process_and_drops_what_is_marked(name: str) -> None:
    box = Box()
    reading, writing = pipe_out()

    def second(sys: Sys) -> int:
        assert sys("getpid") == 1
        assert (sys.task.argv, sys.task.environ, sys.task.comm) == (["two", "x"], ["A=b"], "second")
        assert sys.raw("fcntl64", 1, 1, 0) == -errno.EBADF
        sys.write(0, b"kept")
        return 4

    def main(sys: Sys) -> int:
        sys("dup", 0)
        sys("fcntl64", 1, 2, 1)
        argv, environ = sys.room(12), sys.room(8)
        for place, address in enumerate((sys.put(b"two"), sys.put(b"x"), 0)):
            sys.task.memory.write(argv + 4 * place, address.to_bytes(4, "little"))
        sys.task.memory.write(environ, sys.put(b"A=b").to_bytes(4, "little") + bytes(4))
        where = (AT_FDCWD,) if name == "execveat" else ()
        return sys(name, *where, "/bin/second", argv, environ, 0)

    box.loader.programs["/bin/second"] = second
    assert exited(box.run(main, files=[writing])) == 4
    assert os.read(reading, 10) == b"kept"
    os.close(reading)


def test_exec_of_what_is_not_there_leaves_the_process_as_it_was() -> None:
    def main(sys: Sys) -> int:
        assert sys.raw("execve", "/bin/nosuch", 0, 0) == -errno.ENOENT
        return 6

    assert exited(Box().run(main)) == 6


def test_arguments_beyond_the_limit_are_refused() -> None:
    def main(sys: Sys) -> int:
        argv = sys.room(8)
        sys.task.memory.write(argv, sys.put(b"x" * (128 << 10)).to_bytes(4, "little") + bytes(4))
        return -sys.raw("execve", "/bin/main", argv, 0)

    assert exited(Box().run(main)) == errno.E2BIG


def test_the_pids_limit_makes_fork_fail() -> None:
    box = Box(Shares(pids=2))

    def main(sys: Sys) -> int:
        sys.fork(lambda child: child("pause"))
        with pytest.raises(Failed) as caught:
            sys.fork(lambda _child: 0)
        return caught.value.errno

    assert exited(box.run(main)) == errno.EAGAIN


def test_groups_and_sessions_follow_their_rules() -> None:
    def child(sys: Sys) -> int:
        sys("setpgid", 0, 0)
        assert (sys("getpgrp"), sys("getpgid", 0)) == (2, 2)
        assert sys.raw("setsid") == -errno.EPERM  # leads a group
        return 0

    def other(sys: Sys) -> int:
        assert sys("setsid") == 3
        assert (sys("getpgrp"), sys("getsid", 0)) == (3, 3)
        assert sys.raw("setpgid", 0, 0) == -errno.EPERM  # leads a session
        return 0

    def main(sys: Sys) -> int:
        sys.fork(child)
        assert sys.wait(2)[1] == 0
        sys.fork(other)
        assert sys.wait(3)[1] == 0
        assert sys.raw("setpgid", 77, 0) == -errno.ESRCH
        return 0

    assert exited(Box().run(main)) == 0


def test_the_set_user_id_bit_counts_at_exec() -> None:
    box = Box()

    def second(sys: Sys) -> int:
        assert (sys("getuid32"), sys("geteuid32"), sys("getgid32"), sys("getegid32")) == (1000, 7, 1000, 1000)
        return 0

    from sandbox.wasm.kernel.credentials import Credentials

    box.loader.programs["/bin/second"] = second
    box.loader.modes["/bin/second"] = (0o4755, 7, 8)
    status = box.run(lambda sys: sys("execve", "/bin/second", 0, 0), credentials=Credentials.of(1000, 1000))
    assert exited(status) == 0


def test_no_descriptor_of_the_host_is_left_open() -> None:
    def main(sys: Sys) -> int:
        for _ in range(5):
            reading, writing = sys.pipe()
            sys.fork(lambda child, fd=reading: len(child.read(fd)))  # type: ignore[misc]
            sys.write(writing, b"abc")
        for _ in range(5):
            assert sys.wait()[1] == 3 << 8
        return 0

    Box().run(main)
    with at_most_more(0):
        Box().run(main)


def test_an_unknown_call_is_enosys() -> None:
    def main(sys: Sys) -> int:
        assert sys.task.syscall(9, 0, 0, 0, 0, 0, 0) != 0
        assert sys.task.syscall(100000, 0, 0, 0, 0, 0, 0) == -errno.ENOSYS
        return -sys.raw("io_uring_setup")

    assert exited(Box().run(main)) == errno.ENOSYS


def test_what_a_container_may_not_do_is_eperm() -> None:
    def main(sys: Sys) -> int:
        results = {sys.raw(name, "a", "b") for name in ("mount", "umount2", "reboot", "ptrace", "unshare", "swapon")}
        assert results == {-errno.EPERM}
        return 0

    assert exited(Box().run(main)) == 0
