"""Descriptors, pipes, fifos, files, locks and waiting for several of them."""

from __future__ import annotations

import errno
import fcntl
import os
import struct

import pytest

from sandbox.wasm.kernel.abi import POLLHUP, POLLIN, POLLNVAL, POLLOUT, SIG_IGN, SIGPIPE
from tests.sandbox.wasm.kernel.kit import AT_FDCWD, Box, Failed, Sys, exited

FLOCK = struct.Struct("<hh4xqqi")


def test_the_lowest_free_descriptor_is_given() -> None:
    def main(sys: Sys) -> int:
        assert [sys.open("/dev/null") for _ in range(3)] == [0, 1, 2]
        sys("close", 1)
        assert (sys("dup", 0), sys("dup", 0)) == (1, 3)
        assert sys("fcntl64", 0, 0, 10) == 10
        assert (sys("dup2", 0, 20), sys("dup2", 5, 5) if sys.raw("dup2", 5, 5) >= 0 else -1) == (20, -1)
        assert sys.raw("dup3", 0, 0, 0) == -errno.EINVAL
        assert sys.raw("close", 99) == -errno.EBADF
        return 0

    assert exited(Box().run(main)) == 0


def test_the_limit_on_open_files_holds() -> None:
    def main(sys: Sys) -> int:
        sys("prlimit64", 0, 7, struct.pack("<QQ", 3, 10), 0)
        for _ in range(3):
            sys.open("/dev/null")
        assert sys.raw("openat", AT_FDCWD, "/dev/null", 0, 0) == -errno.EMFILE
        assert sys.raw("dup2", 0, 3) == -errno.EBADF
        assert sys.raw("prlimit64", 0, 7, struct.pack("<QQ", 5, 4), 0) == -errno.EINVAL
        return 0

    assert exited(Box().run(main)) == 0


def test_close_on_exec_belongs_to_the_descriptor_and_flags_to_the_file() -> None:
    def main(sys: Sys) -> int:
        fd = sys.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        copy = sys("dup", fd)
        assert (sys("fcntl64", fd, 1, 0), sys("fcntl64", copy, 1, 0)) == (1, 0)
        sys("fcntl64", copy, 4, os.O_NONBLOCK | os.O_CREAT)
        assert sys("fcntl64", fd, 3, 0) == os.O_RDWR | os.O_NONBLOCK
        return 0

    assert exited(Box().run(main)) == 0


def test_a_pipe_carries_bytes_and_ends_when_its_writers_are_gone() -> None:
    def main(sys: Sys) -> int:
        reading, writing = sys.pipe()
        assert sys.write(writing, b"abc") == 3
        address = sys.room(4)
        sys("ioctl", reading, 0x541B, address)
        assert sys.get(address, 4) == b"\x03\0\0\0"
        assert sys.read(reading, 2) == b"ab"
        sys("close", writing)
        assert (sys.read(reading), sys.read(reading)) == (b"c", b"")
        assert sys.raw("write", reading, "x", 1) == -errno.EBADF
        return 0

    assert exited(Box().run(main)) == 0


def test_a_reader_waits_for_a_writer_in_another_process() -> None:
    def main(sys: Sys) -> int:
        reading, writing = sys.pipe()
        sys.fork(lambda child: child.write(writing, b"late") - 4)
        assert sys.read(reading) == b"late"
        return sys.wait()[1]

    assert Box().run(main) == 0


def test_more_than_a_pipe_holds_is_written_as_it_is_read() -> None:
    size = 300_000

    def child(sys: Sys) -> int:
        total = 0
        sys("close", 1)
        while chunk := sys.read(0, 16000):
            total += len(chunk)
            sys._next = 4096
        return total != size

    def main(sys: Sys) -> int:
        assert sys.pipe() == (0, 1)
        pid = sys.fork(child)
        assert sys.write(1, b"x" * size) == size
        sys("close", 1)
        return exited(sys.wait(pid)[1])

    assert exited(Box().run(main)) == 0


def test_writing_without_readers_is_epipe_and_sigpipe() -> None:
    def main(sys: Sys) -> int:
        pid = sys.fork(broken)
        assert sys.wait(pid) == (pid, SIGPIPE)
        sys.act(SIGPIPE, SIG_IGN)
        reading, writing = sys.pipe()
        sys("close", reading)
        assert sys.raw("write", writing, "x", 1) == -errno.EPIPE
        return 0

    def broken(sys: Sys) -> int:
        reading, writing = sys.pipe()
        sys("close", reading)
        return sys.write(writing, b"x")

    assert exited(Box().run(main)) == 0


def test_nonblocking_ends_answer_eagain() -> None:
    def main(sys: Sys) -> int:
        address = sys.room(8)
        sys("pipe2", address, os.O_NONBLOCK | os.O_CLOEXEC)
        reading, writing = struct.unpack("<ii", sys.get(address, 8))
        assert sys.raw("read", reading, address, 1) == -errno.EAGAIN
        assert sys("fcntl64", reading, 1, 0) == 1
        block = sys.room(4096)
        while sys.raw("write", writing, block, 4096) == 4096:
            pass
        assert sys.raw("write", writing, block, 4096) == -errno.EAGAIN
        return 0

    assert exited(Box().run(main)) == 0


def test_a_fifo_joins_two_processes_that_open_it() -> None:
    def child(sys: Sys) -> int:
        fd = sys.open("/tmp/f", os.O_WRONLY)
        return sys.write(fd, b"through") - 7

    def main(sys: Sys) -> int:
        sys("mknodat", AT_FDCWD, "/tmp/f", 0o010644, 0)
        assert sys.raw("openat", AT_FDCWD, "/tmp/f", os.O_WRONLY | os.O_NONBLOCK, 0) == -errno.ENXIO
        sys.fork(child)
        fd = sys.open("/tmp/f")
        assert (sys.read(fd), sys.wait()[1], sys.read(fd)) == (b"through", 0, b"")
        return 0

    assert exited(Box().run(main)) == 0


def test_a_fifos_reader_gets_what_a_waiting_writer_left() -> None:
    def child(sys: Sys) -> int:
        fd = sys.open("/tmp/f", os.O_WRONLY)
        sys.write(fd, b"x")
        sys("close", fd)
        return 0

    def main(sys: Sys) -> int:
        sys("mknodat", AT_FDCWD, "/tmp/f", 0o010644, 0)
        for _ in range(50):
            sys.fork(child)
            fd = sys.open("/tmp/f")
            assert (sys.read(fd, 1), sys.read(fd, 1)) == (b"x", b"")
            sys("close", fd)
            sys.wait()
        return 0

    assert exited(Box().run(main)) == 0


def test_files_keep_one_position_for_all_who_inherited_it() -> None:
    box = Box()

    def main(sys: Sys) -> int:
        fd = sys.open("/tmp/x", os.O_RDWR | os.O_CREAT, 0o666)
        sys.write(fd, b"one ")
        sys.fork(lambda child: child.write(fd, b"two ") - 4)
        sys.wait()
        sys.write(fd, b"three")
        address = sys.room(8)
        sys("_llseek", fd, -1, -5, address, 2)
        assert struct.unpack("<q", sys.get(address, 8))[0] == 8
        assert sys.read(fd) == b"three"
        assert sys.raw("_llseek", fd, -1, -1, address, 0) == -errno.EINVAL
        assert sys("pread64", fd, address, 3, 0, 4, 0) == 3
        assert sys.get(address, 3) == b"two"
        return 0

    assert exited(box.run(main)) == 0
    assert box.read("/tmp/x") == b"one two three"


def test_appending_goes_to_the_end_whatever_the_position() -> None:
    box = Box()
    box.write("/tmp/x", b"12345")

    def main(sys: Sys) -> int:
        fd = sys.open("/tmp/x", os.O_WRONLY | os.O_APPEND)
        sys("lseek", fd, 0, 0)
        sys.write(fd, b"67")
        sys("ftruncate64", fd, 0, 6, 0)
        return 0

    assert exited(box.run(main)) == 0
    assert box.read("/tmp/x") == b"123456"


def test_vectors_are_gathered_and_scattered() -> None:
    box = Box()

    def main(sys: Sys) -> int:
        fd = sys.open("/tmp/x", os.O_RDWR | os.O_CREAT)
        parts = [sys.put(b"ab"), 2, 0, 0, sys.put(b"cde"), 3]
        assert sys("writev", fd, struct.pack("<6I", *parts), 3) == 5
        sys("lseek", fd, 0, 0)
        one, two = sys.room(4), sys.room(4)
        assert sys("readv", fd, struct.pack("<4I", one, 1, two, 3), 2) == 4
        assert sys.get(one, 1) + sys.get(two, 3) == b"abcd"
        assert sys.raw("writev", fd, struct.pack("<2I", 0xFFFFFFF0, 64), 1) == -errno.EFAULT
        return 0

    assert exited(box.run(main)) == 0


def test_sendfile_and_copy_file_range_move_bytes() -> None:
    box = Box()
    box.write("/tmp/from", b"0123456789")

    def main(sys: Sys) -> int:
        source, sink = sys.open("/tmp/from"), sys.open("/tmp/to", os.O_WRONLY | os.O_CREAT)
        offset = sys.put(struct.pack("<q", 7))
        assert sys("sendfile64", sink, source, offset, 100) == 3
        assert struct.unpack("<q", sys.get(offset, 8))[0] == 10
        assert sys("copy_file_range", source, 0, sink, 0, 4, 0) == 4
        return 0

    assert exited(box.run(main)) == 0
    assert box.read("/tmp/to") == b"7890123"


def test_the_limit_on_a_files_size_holds() -> None:
    def main(sys: Sys) -> int:
        sys("prlimit64", 0, 1, struct.pack("<QQ", 4, 4), 0)
        sys.act(25, SIG_IGN)
        fd = sys.open("/tmp/x", os.O_WRONLY | os.O_CREAT)
        assert sys.write(fd, b"123456") == 4
        return -sys.raw("write", fd, "x", 1)

    assert exited(Box().run(main)) == errno.EFBIG


def test_record_locks_keep_other_processes_out() -> None:
    box = Box()
    box.write("/tmp/x", b"x" * 100)

    def child(sys: Sys) -> int:
        fd = sys.open("/tmp/x", os.O_RDWR)
        wanted = sys.put(FLOCK.pack(1, 0, 5, 10, 0))
        assert sys.raw("fcntl64", fd, 13, wanted) == -errno.EAGAIN
        sys("fcntl64", fd, 12, wanted)
        assert FLOCK.unpack(sys.get(wanted, FLOCK.size)) == (1, 0, 0, 10, 1)
        sys("fcntl64", fd, 13, FLOCK.pack(1, 0, 10, 5, 0))
        sys.write(1, b"!")
        sys("fcntl64", fd, 14, wanted)  # waits until the parent closes
        return 0

    def main(sys: Sys) -> int:
        assert sys.pipe() == (0, 1)
        fd = sys.open("/tmp/x", os.O_RDWR)
        sys("fcntl64", fd, 13, FLOCK.pack(1, 0, 0, 10, 0))
        sys.fork(child)
        sys.read(0, 1)
        sys("close", fd)
        return exited(sys.wait()[1])

    assert exited(box.run(main)) == 0
    assert not box.kernel.locks.any_records


def test_a_process_never_stands_in_its_own_way() -> None:
    box = Box()
    box.write("/tmp/x", b"")

    def main(sys: Sys) -> int:
        fd = sys.open("/tmp/x", os.O_RDWR)
        sys("fcntl64", fd, 13, FLOCK.pack(1, 0, 0, 10, 0))
        sys("fcntl64", fd, 13, FLOCK.pack(0, 0, 5, 10, 0))
        held = sys.task.kernel.locks._records[sys.task.files.get(fd).node.key]  # type: ignore[union-attr]
        assert sorted((each.start, each.end, each.exclusive) for each in held) == [(0, 5, True), (5, 15, False)]
        return 0

    assert exited(box.run(main)) == 0


def test_flock_belongs_to_the_open_file() -> None:
    box = Box()
    box.write("/tmp/x", b"")

    def main(sys: Sys) -> int:
        one, two = sys.open("/tmp/x"), sys.open("/tmp/x")
        sys("flock", one, fcntl.LOCK_EX)
        assert sys.raw("flock", two, fcntl.LOCK_SH | fcntl.LOCK_NB) == -errno.EAGAIN
        copy = sys("dup", one)
        sys("close", one)
        assert sys.raw("flock", two, fcntl.LOCK_SH | fcntl.LOCK_NB) == -errno.EAGAIN
        sys("close", copy)
        sys("flock", two, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return 0

    assert exited(box.run(main)) == 0


def poll(sys: Sys, timeout: int, *wanted: tuple[int, int]) -> list[int]:
    address = sys.put(b"".join(struct.pack("<ihh", fd, events, 0) for fd, events in wanted))
    count = sys("poll", address, len(wanted), timeout)
    found = [struct.unpack("<ihh", sys.get(address + 8 * n, 8))[2] for n in range(len(wanted))]
    assert count == sum(1 for each in found if each)
    return found


def test_poll_tells_what_is_ready() -> None:
    def main(sys: Sys) -> int:
        reading, writing = sys.pipe()
        file = sys.open("/tmp/x", os.O_RDWR | os.O_CREAT)
        assert poll(sys, 0, (reading, POLLIN)) == [0]
        assert poll(sys, -1, (reading, POLLIN), (writing, POLLOUT), (-1, POLLIN)) == [0, POLLOUT, 0]
        assert poll(sys, -1, (file, POLLIN | POLLOUT), (77, POLLIN)) == [POLLIN | POLLOUT, POLLNVAL]
        sys.write(writing, b"x")
        assert poll(sys, -1, (reading, POLLIN)) == [POLLIN]
        sys("close", writing)
        assert poll(sys, -1, (reading, POLLIN)) == [POLLIN | POLLHUP]
        return 0

    assert exited(Box().run(main)) == 0


def test_select_waits_for_what_is_written_elsewhere() -> None:
    def main(sys: Sys) -> int:
        reading, writing = sys.pipe()
        sys.fork(lambda child: child.write(writing, b"x") - 1)
        years = struct.pack("<ii", 0x7FFFFFFF, 0)
        chosen = sys.put((1 << reading).to_bytes(128, "little"))
        assert sys("_newselect", reading + 1, chosen, 0, 0, years) == 1
        chosen = sys.put((1 << reading).to_bytes(128, "little"))
        assert sys("_newselect", reading + 1, chosen, 0, 0, 0) == 1
        assert int.from_bytes(sys.get(chosen, 4), "little") == 1 << reading
        sys.read(reading, 1)
        assert sys("_newselect", reading + 1, chosen, 0, 0, struct.pack("<ii", 0, 100)) == 0
        assert sys.get(chosen, 4) == bytes(4)
        assert sys.raw("_newselect", 90, (1 << 80).to_bytes(128, "little"), 0, 0, 0) == -errno.EBADF
        return 0

    assert exited(Box().run(main)) == 0


def test_epoll_tells_the_data_it_was_given() -> None:
    def main(sys: Sys) -> int:
        reading, writing = sys.pipe()
        fd = sys("epoll_create1", 0)
        one_shot = 1 << 30
        sys("epoll_ctl", fd, 1, reading, struct.pack("<IxxxxQ", POLLIN | one_shot, 77))
        assert sys.raw("epoll_ctl", fd, 1, reading, bytes(16)) == -errno.EEXIST
        events = sys.room(64)
        assert sys("epoll_pwait", fd, events, 4, 0, 0) == 0
        sys.write(writing, b"x")
        assert sys("epoll_pwait", fd, events, 4, -1, 0) == 1
        assert struct.unpack("<IxxxxQ", sys.get(events, 16)) == (POLLIN, 77)
        assert sys("epoll_pwait", fd, events, 4, 0, 0) == 0
        sys("epoll_ctl", fd, 3, reading, struct.pack("<IxxxxQ", POLLIN, 78))
        assert sys("epoll_pwait", fd, events, 4, 0, 0) == 1
        sys("epoll_ctl", fd, 2, reading, 0)
        assert sys("epoll_pwait", fd, events, 4, 0, 0) == 0
        return 0

    assert exited(Box().run(main)) == 0


def test_an_eventfd_counts() -> None:
    def main(sys: Sys) -> int:
        fd = sys("eventfd2", 3, os.O_NONBLOCK)
        sys.write(fd, struct.pack("<Q", 4))
        assert sys.read(fd, 8) == struct.pack("<Q", 7)
        with pytest.raises(Failed) as caught:
            sys.read(fd, 8)
        return caught.value.errno

    assert exited(Box().run(main)) == errno.EAGAIN


def test_devices_do_what_their_names_say() -> None:
    def main(sys: Sys) -> int:
        null, zero, full = (sys.open(f"/dev/{name}", os.O_RDWR) for name in ("null", "zero", "full"))
        assert (sys.write(null, b"gone"), sys.read(null)) == (4, b"")
        assert sys.read(zero, 5) == bytes(5)
        assert sys.raw("write", full, "x", 1) == -errno.ENOSPC
        assert len(set(sys.read(sys.open("/dev/urandom"), 64))) > 16
        assert sys.raw("openat", AT_FDCWD, "/dev/tty", 0, 0) == -errno.ENXIO
        return 0

    assert exited(Box().run(main)) == 0
