"""What becomes of a signal: handled, ignored, blocked, fatal, stopping; and waiting for one."""

from __future__ import annotations

import errno
import struct
import threading
import time

import pytest

from sandbox.wasm.kernel.abi import (
    CONTINUED_STATUS,
    SA_NODEFER,
    SA_RESETHAND,
    SIG_IGN,
    SIGALRM,
    SIGCHLD,
    SIGCONT,
    SIGINT,
    SIGKILL,
    SIGSTOP,
    SIGTERM,
    SIGTSTP,
    WCONTINUED,
    WNOHANG,
    WUNTRACED,
    bits,
)
from sandbox.wasm.kernel.signals import post
from sandbox.wasm.kernel.timers import ALARMS
from tests.sandbox.wasm.kernel.kit import Box, Sys, exited
from tests.waiting import eventually

SIGUSR1, SIGUSR2 = 10, 12
BLOCK, UNBLOCK, SETMASK = 0, 1, 2
HANDLER = 1234


def in_child(main: object) -> int:
    """The wait status of a child that runs `main`, as a shell's child does: not protected as pid 1 is."""
    seen: list[int] = []

    def parent(sys: Sys) -> int:
        pid = sys.fork(main)  # type: ignore[arg-type]
        seen.append(sys.wait(pid)[1])
        return 0

    assert exited(Box().run(parent)) == 0
    return seen[0]


def test_a_handler_is_announced_by_the_flag_and_taken_once() -> None:
    def main(sys: Sys) -> int:
        sys.act(SIGUSR1, HANDLER, flags=4)
        before = sys.notified
        sys("kill", sys("getpid"), SIGUSR1)
        assert sys.notified == before + 1
        assert sys.taken() == (HANDLER, 4, SIGUSR1, 1)
        sys("sigreturn")
        assert sys.taken() is None
        return 0

    assert exited(Box().run(main)) == 0


def test_a_handler_runs_with_its_signal_and_its_mask_blocked_until_it_returns() -> None:
    def main(sys: Sys) -> int:
        sys.act(SIGUSR1, HANDLER, mask=bits(SIGUSR2))
        sys.act(SIGUSR2, HANDLER + 1)
        sys("kill", 1, SIGUSR1)
        sys.taken()
        sys("kill", 1, SIGUSR1)
        sys("kill", 1, SIGUSR2)
        assert sys.taken() is None
        sys("sigreturn")
        taken = [sys.taken(), sys("sigreturn"), sys.taken()]
        assert [each[2] for each in taken if isinstance(each, tuple)] == [SIGUSR1, SIGUSR2]
        return 0

    assert exited(Box().run(main)) == 0


def test_nodefer_and_resethand() -> None:
    def main(sys: Sys) -> int:
        sys.act(SIGUSR1, HANDLER, flags=SA_NODEFER | SA_RESETHAND)
        sys("kill", 1, SIGUSR1)
        assert sys.taken() is not None
        assert (sys.task.signals.mask, sys.task.signals.action(SIGUSR1).handler) == (0, 0)
        return 0

    assert exited(Box().run(main)) == 0


@pytest.mark.parametrize("signal", [SIGTERM, SIGINT, SIGUSR1, SIGKILL, SIGALRM, 6, 11, 64])
def test_a_signal_without_a_handler_ends_the_process(signal: int) -> None:
    def child(sys: Sys) -> int:
        sys("kill", sys("getpid"), signal)
        raise AssertionError("it lives")

    assert in_child(child) == signal


@pytest.mark.parametrize("signal", [SIGCHLD, SIGCONT, 23, 28])
def test_some_signals_are_ignored_by_default(signal: int) -> None:
    assert in_child(lambda sys: sys("kill", sys("getpid"), signal)) == 0


def test_a_signal_wakes_a_process_that_waits_and_ends_it() -> None:
    def main(sys: Sys) -> int:
        pids = [sys.fork(lambda child: child("pause")), sys.fork(lambda child: len(child.read(0)))]
        for pid in pids:
            sys("kill", pid, SIGTERM)
            assert sys.wait(pid) == (pid, SIGTERM)
        return 0

    box = Box()

    def with_pipe(sys: Sys) -> int:
        sys.pipe()
        return main(sys)

    assert exited(box.run(with_pipe)) == 0


def test_an_ignored_signal_is_gone() -> None:
    def child(sys: Sys) -> int:
        sys.act(SIGTERM, SIG_IGN)
        sys("kill", sys("getpid"), SIGTERM)
        sys.act(SIGTERM, 0)
        return 3

    assert exited(in_child(child)) == 3


def test_a_blocked_signal_waits() -> None:
    def child(sys: Sys) -> int:
        sys.mask(BLOCK, bits(SIGTERM, SIGKILL))
        sys("kill", sys("getpid"), SIGTERM)
        address = sys.room(8)
        sys("rt_sigpending", address, 8)
        assert struct.unpack("<Q", sys.get(address, 8))[0] == bits(SIGTERM)
        assert sys.task.signals.mask == bits(SIGTERM)
        sys.mask(UNBLOCK, bits(SIGTERM))
        raise AssertionError("it lives")

    assert in_child(child) == SIGTERM


def test_a_waiting_call_is_interrupted_to_be_restarted() -> None:
    box = Box()

    def main(sys: Sys) -> int:
        sys.act(SIGUSR1, HANDLER)
        reading, _ = sys.pipe()
        parent = sys("getpid")
        sys.fork(lambda child: child("kill", parent, SIGUSR1))
        assert sys.raw("read", reading, sys.room(1), 1) == -512
        taken = sys.taken()
        assert taken is not None
        assert taken[2] == SIGUSR1
        return 0

    assert exited(box.run(main)) == 0


def test_pid_1_is_spared_what_it_does_not_handle() -> None:
    box = Box()

    def main(sys: Sys) -> int:
        for signal in (SIGTERM, SIGKILL, SIGSTOP, SIGINT):
            sys("kill", 1, signal)
        return 9

    assert exited(box.run(main)) == 9


def test_pid_1_is_spared_what_came_while_it_was_blocked() -> None:
    def main(sys: Sys) -> int:
        sys.mask(SETMASK, bits(SIGTERM))
        sys("kill", 1, SIGTERM)
        sys.mask(SETMASK, 0)
        return 4

    assert exited(Box().run(main)) == 4


def test_sigkill_from_outside_ends_pid_1_and_sigterm_does_not() -> None:
    box = Box()
    running = threading.Event()

    def main(sys: Sys) -> int:
        running.set()
        return sys("pause")

    task = box.start(main)
    assert running.wait(5)
    with box.kernel.lock:
        post(task, SIGTERM, outside=True)
        assert task.signals.pending == 0
        post(task, SIGKILL, outside=True)
    assert box.finish(task) == SIGKILL


def test_stopping_and_continuing_are_reported_to_the_parent() -> None:
    def child(sys: Sys) -> int:
        sys("kill", sys("getpid"), SIGSTOP)
        return 5

    def main(sys: Sys) -> int:
        pid = sys.fork(child)
        assert sys.wait(pid, WUNTRACED) == (pid, SIGSTOP << 8 | 0x7F)
        assert sys.task.kernel.tasks[pid].state == "T"
        assert sys("wait4", pid, 0, WNOHANG | WUNTRACED, 0) == 0
        sys("kill", pid, SIGCONT)
        assert sys.wait(pid, WCONTINUED) in ((pid, CONTINUED_STATUS), (pid, 5 << 8))
        return 0

    assert exited(Box().run(main)) == 0


def test_a_stopped_process_can_be_killed() -> None:
    def main(sys: Sys) -> int:
        pid = sys.fork(lambda child: child("kill", child("getpid"), SIGSTOP))
        sys.wait(pid, WUNTRACED)
        sys("kill", pid, SIGKILL)
        assert sys.wait(pid) == (pid, SIGKILL)
        return 0

    assert exited(Box().run(main)) == 0


def test_sigtstp_does_not_stop_an_orphaned_group() -> None:
    def grandchild(sys: Sys) -> int:
        sys("setsid")
        sys("kill", sys("getpid"), SIGTSTP)
        return 8

    def main(sys: Sys) -> int:
        pid = sys.fork(grandchild)
        assert sys.wait(pid, WUNTRACED) == (pid, 8 << 8)
        return 0

    assert exited(Box().run(main)) == 0


def test_children_of_who_ignores_sigchld_leave_nothing() -> None:
    def main(sys: Sys) -> int:
        sys.act(SIGCHLD, SIG_IGN)
        sys.fork(lambda _child: 3)
        assert sys.raw("wait4", -1, 0, 0, 0) == -errno.ECHILD
        assert list(sys.task.kernel.tasks) == [1]
        return 0

    assert exited(Box().run(main)) == 0


def test_an_alarm_rings() -> None:
    def child(sys: Sys) -> int:
        sys("setitimer", 0, struct.pack("<4i", 0, 0, 0, 1000), 0)
        return sys("pause")

    assert in_child(child) == SIGALRM


def test_an_interval_timer_rings_again_and_tells_what_is_left() -> None:
    def main(sys: Sys) -> int:
        sys.act(SIGALRM, HANDLER)
        sys("setitimer", 0, struct.pack("<4i", 0, 1000, 0, 1000), 0)
        for _ in range(3):
            assert sys.raw("pause") == -errno.EINTR
            assert sys.taken() is not None
            sys("sigreturn")
        address = sys.room(16)
        sys("setitimer", 0, struct.pack("<4i", 0, 0, 100, 0), 0)
        sys("getitimer", 0, address)
        assert 95 <= struct.unpack("<4i", sys.get(address, 16))[2] <= 100
        sys("setitimer", 0, bytes(16), 0)
        sys("getitimer", 0, address)
        assert sys.get(address, 16) == bytes(16)
        return 0

    assert exited(Box().run(main)) == 0


def test_a_timer_switched_off_when_it_is_due_does_not_ring() -> None:
    def main(sys: Sys) -> int:
        rung = threading.Event()
        sys.act(SIGALRM, HANDLER)
        with sys.task.kernel.lock:
            sys("setitimer", 0, struct.pack("<4i", 0, 0, 0, 1), 0)
            alarm = sys.task.timer._alarm
            eventually(lambda: all(alarm != number for _, number, _ in list(ALARMS._due)))  # it waits for the lock
            sys("setitimer", 0, bytes(16), 0)
        ALARMS.at(time.monotonic(), rung.set)
        assert rung.wait(20)
        return int(sys.taken() is not None)

    assert exited(Box().run(main)) == 0


def test_sigsuspend_waits_with_another_mask_and_gives_the_old_one_back() -> None:
    def main(sys: Sys) -> int:
        sys.act(SIGUSR1, HANDLER)
        sys.mask(SETMASK, bits(SIGUSR1, SIGUSR2))
        sys("kill", 1, SIGUSR1)
        assert sys.taken() is None
        assert sys.raw("rt_sigsuspend", bytes(8), 8) == -errno.EINTR
        taken = sys.taken()
        assert taken is not None
        sys("sigreturn")
        assert sys.task.signals.mask == bits(SIGUSR1, SIGUSR2)
        return 0

    assert exited(Box().run(main)) == 0


def test_sigtimedwait_takes_a_blocked_signal_or_its_time_ends() -> None:
    def main(sys: Sys) -> int:
        sys.mask(BLOCK, bits(SIGUSR1, SIGCHLD))
        chosen, info = struct.pack("<Q", bits(SIGUSR1, SIGCHLD)), sys.room(128)
        assert sys.raw("rt_sigtimedwait_time64", chosen, 0, struct.pack("<qq", 0, 1000), 8) == -errno.EAGAIN
        pid = sys.fork(lambda child: child("kill", 1, SIGUSR1))
        assert sys("rt_sigtimedwait_time64", chosen, info, 0, 8) == SIGUSR1
        assert struct.unpack("<4i", sys.get(info, 16)) == (SIGUSR1, 0, 0, pid)
        assert sys("rt_sigtimedwait_time64", chosen, 0, 0, 8) == SIGCHLD
        return 0

    assert exited(Box().run(main)) == 0


def test_kill_names_one_a_group_or_everybody() -> None:
    def sleeper(sys: Sys) -> int:
        sys("setpgid", 0, 0)
        sys.write(1, b"x")
        return sys("pause")

    def main(sys: Sys) -> int:
        reading, writing = sys.pipe()
        assert (reading, writing) == (0, 1)
        pids = [sys.fork(sleeper) for _ in range(3)]
        for _ in pids:
            sys.read(reading, 1)
        sys("kill", -pids[0], SIGTERM)
        assert sys.wait(pids[0])[1] == SIGTERM
        sys("kill", -1, SIGUSR1)
        assert [sys.wait(pid)[1] for pid in pids[1:]] == [SIGUSR1, SIGUSR1]
        assert sys.raw("kill", 77, 0) == -errno.ESRCH
        assert sys.raw("kill", 1, 65) == -errno.EINVAL
        return 0

    assert exited(Box().run(main)) == 0


def test_strangers_may_not_be_signalled() -> None:
    def child(sys: Sys) -> int:
        sys("setresuid32", 1000, 1000, 1000)
        assert sys.raw("kill", 1, 0) == -errno.EPERM
        return 0

    assert exited(in_child(child)) == 0


def test_a_frozen_container_does_nothing_until_it_thaws() -> None:
    box = Box()
    entered, finished = threading.Event(), threading.Event()
    frozen = threading.Event()

    def main(sys: Sys) -> int:
        entered.set()
        frozen.wait(5)
        sys("getpid")
        finished.set()
        return 0

    task = box.start(main)
    assert entered.wait(5)
    box.kernel.freeze()
    frozen.set()
    assert not finished.wait(0.05)
    box.kernel.thaw()
    assert exited(box.finish(task)) == 0


def test_sleep_tells_what_is_left_when_a_signal_comes() -> None:
    def main(sys: Sys) -> int:
        sys.act(SIGUSR1, HANDLER)
        sys.fork(lambda child: child("kill", 1, SIGUSR1))
        left = sys.room(8)
        assert sys.raw("nanosleep", struct.pack("<ii", 100, 0), left) == -errno.EINTR
        assert 90 <= struct.unpack("<ii", sys.get(left, 8))[0] <= 100
        assert sys.taken() is not None
        assert sys("clock_nanosleep_time64", 1, 0, struct.pack("<qq", 0, 1000), 0) == 0
        assert sys.raw("nanosleep", struct.pack("<ii", 0, 10**9), 0) == -errno.EINVAL
        return 0

    assert exited(Box().run(main)) == 0


@pytest.mark.parametrize("outside", [True, False])
def test_pid_1_below_an_init_is_ended_as_any_other(outside: bool) -> None:
    box = Box()
    box.kernel.tended = True
    started = threading.Event()

    def main(sys: Sys) -> int:
        started.set()
        return sys("pause") if outside else sys("kill", 1, SIGTERM)

    task = box.start(main)
    assert started.wait(5)
    if outside:
        with box.kernel.lock:
            post(task, SIGTERM, outside=True)
    assert box.finish(task) == SIGTERM
