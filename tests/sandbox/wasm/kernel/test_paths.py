"""Paths, attributes, identity and what /proc tells."""

from __future__ import annotations

import errno
import os
import stat
import struct

import pytest

from sandbox.wasm.kernel.credentials import Credentials
from sandbox.wasm.kernel.kernel import Shares
from sandbox.wasm.kernel.opening import open_file
from sandbox.wasm.kernel.procpid import file_node
from tests.sandbox.wasm.kernel.kit import AT_FDCWD, Box, Sys, exited

STATX = struct.Struct("<IIQIIIHHQQQQ qI4x qI4x qI4x qI4x IIII")


def statx(sys: Sys, path: str, dirfd: int = AT_FDCWD, flags: int = 0) -> dict[str, int]:
    address = sys.room(256)
    sys("statx", dirfd, path, flags, 0x7FF, address)
    v = STATX.unpack(sys.get(address, STATX.size))
    names = ("nlink", "uid", "gid", "mode", "_", "ino", "size", "blocks")
    return dict(zip(names, v[3:11], strict=True)) | {"mtime": v[18], "mtime_ns": v[19]}


def text_of(sys: Sys, name: str, *arguments: int | str) -> str:
    """What a call that fills a buffer says."""
    address = sys.room(4096)
    size = sys(name, *arguments, address, 4096)
    return sys.get(address, size).rstrip(b"\0").decode()


def test_the_working_directory_and_the_root_can_change() -> None:
    def main(sys: Sys) -> int:
        sys("mkdir", "/tmp/a", 0o755)
        sys("mkdir", "/tmp/a/b", 0o755)
        sys("chdir", "/tmp/a/b")
        assert text_of(sys, "getcwd") == "/tmp/a/b"
        assert sys.raw("getcwd", sys.room(4), 4) == -errno.ERANGE
        fd = sys.open("..", os.O_RDONLY | os.O_DIRECTORY)
        sys("fchdir", fd)
        assert text_of(sys, "getcwd") == "/tmp/a"
        sys("chroot", ".")
        assert text_of(sys, "getcwd") == "/"
        sys("chdir", "../../..")
        assert sys.raw("access", "/tmp", 0) == -errno.ENOENT
        sys("access", "/b", 0)
        return -sys.raw("chdir", "/nosuch")

    assert exited(Box().run(main)) == errno.ENOENT


def test_stat_tells_attributes_and_the_umask_is_taken_off() -> None:
    def main(sys: Sys) -> int:
        assert sys("umask", 0o027) == 0o022
        fd = sys.open("/tmp/f", os.O_CREAT | os.O_WRONLY, 0o666)
        sys.write(fd, b"12345")
        found = statx(sys, "/tmp/f")
        assert (found["mode"], found["size"], found["nlink"], found["uid"]) == (stat.S_IFREG | 0o640, 5, 1, 0)
        assert statx(sys, "", fd, 0x1000) == found
        assert sys.raw("mknodat", AT_FDCWD, "/tmp/n", -1, 0) == -errno.EINVAL
        sys("symlinkat", "f", AT_FDCWD, "/tmp/l")
        assert stat.S_ISLNK(statx(sys, "/tmp/l", flags=0x100)["mode"])
        assert statx(sys, "/tmp/l")["ino"] == found["ino"]
        sys("utimensat_time64", AT_FDCWD, "/tmp/f", struct.pack("<qqqq", 1, 2, 3, 4), 0)
        assert (statx(sys, "/tmp/f")["mtime"], statx(sys, "/tmp/f")["mtime_ns"]) == (3, 4)
        sys("fchmodat", AT_FDCWD, "/tmp/f", 0o4711)
        sys("fchownat", AT_FDCWD, "/tmp/f", 5, 6, 0)
        found = statx(sys, "/tmp/f")
        assert (found["mode"] & 0o7777, found["uid"], found["gid"]) == (0o711, 5, 6)
        return 0

    assert exited(Box().run(main)) == 0


def test_a_pipe_has_attributes_too() -> None:
    def main(sys: Sys) -> int:
        reading, writing = sys.pipe()
        one, two = statx(sys, "", reading, 0x1000), statx(sys, f"/proc/self/fd/{writing}")
        assert (stat.S_ISFIFO(one["mode"]), one["ino"] == two["ino"]) == (True, True)
        return 0

    assert exited(Box().run(main)) == 0


def test_a_directory_is_listed_and_listed_anew_after_a_rewind() -> None:
    def names(sys: Sys, fd: int, size: int = 4096) -> list[str]:
        found: list[str] = []
        address = sys.room(size)
        while count := sys("getdents64", fd, address, size):
            data = sys.get(address, count)
            while data:
                length = struct.unpack_from("<H", data, 16)[0]
                found.append(data[19:length].split(b"\0")[0].decode())
                data = data[length:]
        return found

    def main(sys: Sys) -> int:
        sys("mkdir", "/d", 0o755)
        for name in ("a", "b", "ccccccccccccccccccccccccc"):
            sys.open(f"/d/{name}", os.O_CREAT | os.O_WRONLY)
        fd = sys.open("/d", os.O_RDONLY | os.O_DIRECTORY)
        assert sorted(names(sys, fd, 64)) == [".", "..", "a", "b", "ccccccccccccccccccccccccc"]
        sys("unlink", "/d/a")
        sys("_llseek", fd, 0, 0, sys.room(8), 0)
        assert len(names(sys, fd)) == 4
        assert sys.raw("getdents64", fd, sys.room(8), 8) == 0
        sys("_llseek", fd, 0, 0, sys.room(8), 0)
        assert sys.raw("getdents64", fd, sys.room(8), 8) == -errno.EINVAL
        return 0

    assert exited(Box().run(main)) == 0


def test_names_are_made_moved_and_removed() -> None:
    def main(sys: Sys) -> int:
        sys.open("/tmp/a", os.O_CREAT)
        sys("link", "/tmp/a", "/tmp/b")
        assert statx(sys, "/tmp/b")["nlink"] == 2
        sys("rename", "/tmp/b", "/tmp/c")
        assert sys.raw("renameat2", AT_FDCWD, "/tmp/a", AT_FDCWD, "/tmp/c", 1) == -errno.EEXIST
        assert sys.raw("rmdir", "/tmp/a") == -errno.ENOTDIR
        sys("unlink", "/tmp/a")
        sys("unlinkat", AT_FDCWD, "/tmp/c", 0)
        assert sys.raw("unlink", "/tmp/c") == -errno.ENOENT
        assert sys.raw("openat", AT_FDCWD, "", 0, 0) == -errno.ENOENT
        assert sys.raw("openat", AT_FDCWD, 0, 0, 0) == -errno.EFAULT
        return 0

    assert exited(Box().run(main)) == 0


def test_permissions_are_those_of_the_effective_user_and_access_asks_for_the_real_one() -> None:
    box = Box()
    box.write("/tmp/secret", b"", mode=0o600)

    def main(sys: Sys) -> int:
        assert sys.raw("openat", AT_FDCWD, "/tmp/secret", 0, 0) == -errno.EACCES
        assert sys.raw("access", "/tmp/secret", 4) == -errno.EACCES
        assert sys.raw("chroot", "/tmp") == -errno.EPERM
        assert sys.raw("mknodat", AT_FDCWD, "/tmp/dev", stat.S_IFCHR | 0o600, 0x103) == -errno.EPERM
        sys.open("/tmp/own", os.O_CREAT)
        assert (statx(sys, "/tmp/own")["uid"], statx(sys, "/tmp/own")["gid"]) == (1000, 1001)
        return 0

    assert exited(box.run(main, credentials=Credentials.of(1000, 1001))) == 0


def test_users_change_as_the_rules_say() -> None:
    def main(sys: Sys) -> int:
        sys("setgroups32", 2, struct.pack("<2I", 7, 8))
        assert sys("getgroups32", 0, 0) == 2
        sys("setresgid32", 20, 20, 20)
        sys("setresuid32", 10, 11, 12)
        address = sys.room(12)
        sys("getresuid32", address, address + 4, address + 8)
        assert struct.unpack("<3i", sys.get(address, 12)) == (10, 11, 12)
        assert sys.raw("setuid32", 0) == -errno.EPERM
        sys("setuid32", 12)
        assert (sys("getuid32"), sys("geteuid32")) == (10, 12)
        assert sys.raw("setgroups32", 0, 0) == -errno.EPERM
        return 0

    assert exited(Box().run(main)) == 0


def test_proc_describes_processes() -> None:
    def child(sys: Sys) -> int:
        sys.write(1, b"x")
        return sys("pause")

    def main(sys: Sys) -> int:
        sys("prctl", 15, "my (name)")
        reading, _ = sys.pipe()
        pid = sys.fork(child)
        sys.read(reading, 1)
        fields = sys.read_file(f"/proc/{pid}/stat").rsplit(")", 1)
        assert fields[0] == f"{pid} (my (name)"
        assert fields[1].split()[1:4] == ["1", "1", "1"]
        assert len(fields[1].split()) == 50
        status = dict(line.split(":\t", 1) for line in sys.read_file("/proc/self/status").splitlines())
        assert (status["Name"], status["Pid"], status["PPid"], status["Uid"]) == ("my (name)", "1", "0", "0\t0\t0\t0")
        assert sys.read_file("/proc/self/cmdline") == "/bin/main\0"
        assert sys.read_file("/proc/1/environ") == "A=b\0"
        assert text_of(sys, "readlinkat", AT_FDCWD, "/proc/self/exe") == "/bin/main"
        assert text_of(sys, "readlinkat", AT_FDCWD, "/proc/self") == "1"
        fd = sys.open("/tmp/file", os.O_CREAT)
        assert text_of(sys, "readlinkat", AT_FDCWD, f"/proc/self/fd/{fd}") == "/tmp/file"
        sys("unlinkat", AT_FDCWD, "/tmp/file", 0)
        assert text_of(sys, "readlinkat", AT_FDCWD, f"/proc/self/fd/{fd}") == "/tmp/file (deleted)"
        fd = sys.open("/dev/zero")
        assert text_of(sys, "readlinkat", AT_FDCWD, f"/proc/self/fd/{fd}") == "/dev/zero"
        assert text_of(sys, "readlinkat", AT_FDCWD, "/proc/self/cwd") == "/"
        assert sys.raw("openat", AT_FDCWD, "/proc/77/stat", 0, 0) == -errno.ENOENT
        assert "Max open files            1024" in sys.read_file("/proc/self/limits")
        return 0

    assert exited(Box().run(main, environ=["A=b"])) == 0


def test_what_was_closed_meanwhile_is_not_opened_by_its_number() -> None:
    def main(sys: Sys) -> int:
        fd, _ = sys.pipe()
        node = file_node(sys.task.files.get(fd))
        sys("close", fd)
        others = os.pipe()  # one of them has the number now
        for look in (node.stat, lambda: open_file(sys.task, node, None, os.O_RDONLY)):
            with pytest.raises(FileNotFoundError):
                look()
        for other in others:
            os.close(other)
        return 0

    assert exited(Box().run(main)) == 0


def test_a_thread_in_proc_has_no_threads_so_that_a_walk_ends() -> None:
    def main(sys: Sys) -> int:
        assert sys.read_file("/proc/1/task/1/comm") == sys.read_file("/proc/1/comm")
        assert sys.raw("openat", AT_FDCWD, "/proc/1/task/1/task", 0, 0) == -errno.ENOENT
        return 0

    assert exited(Box().run(main)) == 0


def test_proc_shows_a_process_to_its_user_and_hides_its_insides_from_others() -> None:
    def child(sys: Sys) -> int:
        sys("setresuid32", 1000, 1000, 1000)
        assert sys.read_file("/proc/self/environ") == "A=b\0"
        assert statx(sys, "/proc/self/environ")["uid"] == 1000
        assert sys.raw("openat", AT_FDCWD, "/proc/self/fd", os.O_DIRECTORY, 0) >= 0
        for path in ("/proc/1/environ", "/proc/1/maps", "/proc/1/fd", "/proc/1/cwd", "/proc/1/root/tmp"):
            assert sys.raw("openat", AT_FDCWD, path, 0, 0) == -errno.EACCES, path
        for name in ("exe", "cwd", "root"):
            assert sys.raw("readlinkat", AT_FDCWD, f"/proc/1/{name}", sys.room(64), 64) == -errno.EACCES
        assert sys.read_file("/proc/1/cmdline") == "/bin/main\0"
        return 0

    def main(sys: Sys) -> int:
        return exited(sys.wait(sys.fork(child))[1])

    assert exited(Box().run(main, environ=["A=b"])) == 0


def test_proc_describes_the_machine() -> None:
    def main(sys: Sys) -> int:
        assert sys.read_file("/proc/sys/kernel/hostname") == "box\n"
        assert sys.read_file("/proc/meminfo").splitlines()[0].split() == ["MemTotal:", "65536", "kB"]
        assert sys.read_file("/proc/version").startswith("Linux version 6.1.0-sockerless")
        assert sys.read_file("/proc/mounts").splitlines()[1] == "proc /proc proc rw,relatime 0 0"
        assert sys.read_file("/proc/uptime").count(".") == 2
        assert sys.read_file("/proc/sys/kernel/random/uuid") != sys.read_file("/proc/sys/kernel/random/uuid")
        assert sys.read_file("/proc/net/dev").count("\n") >= 2
        assert sys.raw("openat", AT_FDCWD, "/proc/meminfo", os.O_WRONLY, 0) == -errno.EACCES
        address = sys.room(390)
        sys("uname", address)
        words = [word.rstrip(b"\0").decode() for word in struct.unpack("65s" * 6, sys.get(address, 390))]
        assert (words[0], words[1], words[2], words[4]) == ("Linux", "box", "6.1.0-sockerless", "x86_64")
        return 0

    assert exited(Box(Shares(memory=64 << 20)).run(main)) == 0


def test_randomness_comes_in_the_size_asked_for() -> None:
    def main(sys: Sys) -> int:
        address = sys.room(64)
        assert sys("getrandom", address, 32, 0) == 32
        assert sys.get(address, 32) != bytes(32)
        assert sys.get(address + 32, 32) == bytes(32)
        return 0

    assert exited(Box().run(main)) == 0


def test_extended_attributes_are_kept() -> None:
    def main(sys: Sys) -> int:
        sys.open("/tmp/f", os.O_CREAT)
        sys("setxattr", "/tmp/f", "user.a", "value", 5, 0)
        assert text_of(sys, "getxattr", "/tmp/f", "user.a") == "value"
        assert sys.raw("getxattr", "/tmp/f", "user.a", sys.room(2), 2) == -errno.ERANGE
        assert text_of(sys, "listxattr", "/tmp/f") == "user.a"
        sys("removexattr", "/tmp/f", "user.a")
        assert sys.raw("getxattr", "/tmp/f", "user.a", 0, 0) == -errno.ENODATA
        value, most = sys.room(100), 64 << 10
        assert sys.raw("setxattr", "/tmp/f", "user.a", value, most + 1, 0) == -errno.E2BIG
        sys("setxattr", "/tmp/f", "user.a", value, most, 0)
        sys("setxattr", "/tmp/f", "user.b", value, most, 0)
        sys("setxattr", "/tmp/f", "user.b", value, most, 0)
        return -sys.raw("setxattr", "/tmp/f", "user.c", value, most, 0)

    assert exited(Box().run(main)) == errno.ENOSPC
