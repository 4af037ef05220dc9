"""The facade: containers, their processes, streams, limits and ends."""

from __future__ import annotations

import errno
import os
import select
import threading
from pathlib import Path
from tarfile import TarInfo

import pytest

from sandbox.wasm.sandbox import ExecError, ExitStatus, Limits, Mount, Process
from sandbox.wasm.vfs.archive import stat_path, write_archive
from sandbox.wasm.vfs.tmpfs import Tmpfs
from tests.sandbox.wasm.conftest import DEADLINE, Containers, Shell, finish, read_all, read_until, spec
from tests.sandbox.wasm.descriptors import at_most_more
from tests.sandbox.wasm.vfs.making import tar

HELLO = "echo out; echo err >&2; exit 3"


def wait(process: Process) -> ExitStatus:
    return process.wait(DEADLINE)


def test_streams_and_the_exit_code(sh: Shell) -> None:
    ran = sh(HELLO)
    assert (ran.status, ran.stdout, ran.stderr) == (ExitStatus(3), "out\n", "err\n")


def test_input_streams_and_ends(containers: Containers) -> None:
    process = containers.make().start(spec("sh", "-c", "read a; echo got $a; cat; echo end", stdin=True))
    assert process.stdin is not None
    os.write(process.stdin, b"one\ntwo\n")
    os.close(process.stdin)
    assert read_all(process)[0] == b"got one\ntwo\nend\n"
    assert wait(process).code == 0


def test_without_input_there_is_an_empty_one(containers: Containers) -> None:
    process = containers.make().start(spec("sh", "-c", "wc -c; readlink /proc/self/fd/0"))
    assert (process.stdin, read_all(process)[0]) == (None, b"0\n/dev/null\n")
    wait(process)


def test_a_container_starts_again_on_the_same_files(containers: Containers) -> None:
    box = containers.make()
    first = containers.run("sh", "-c", "echo kept > /file; sleep 100 & echo $$", box=box)
    second = containers.run("sh", "-c", "cat /file; echo $$; ps; true", box=box)
    assert (first.stdout, second.stdout.splitlines()[:2]) == ("1\n", ["kept", "1"])
    assert "sleep" not in second.stdout


def test_nothing_is_left_of_what_ends_with_the_main_process(containers: Containers) -> None:
    """Not even the child that one of them never asked after, which the shell's `exec` leaves to a program without."""
    box = containers.make()
    script = "sh -c 'true & exec sleep 1000' & until grep -qs '^State:.Z' /proc/[0-9]*/status; do :; done; exit 3"
    assert containers.run("sh", "-c", script, box=box).status == ExitStatus(3)
    assert box.processes() == []


def test_one_main_process_at_a_time(containers: Containers) -> None:
    box = containers.make()
    process = box.start(spec("sleep", "100"))
    with pytest.raises(OSError) as caught:
        box.start(spec("true"))
    box.kill_all()
    read_all(process)
    assert (caught.value.errno, wait(process)) == (errno.EBUSY, ExitStatus(137, 9))
    assert not box.running


def test_an_exec_joins_the_process_table_and_ends_with_the_main_process(containers: Containers) -> None:
    box = containers.make()
    main = box.start(spec("sleep", "100"))
    beside = box.exec(spec("sh", "-c", "echo ready; read x", stdin=True))
    assert beside.output is not None
    os.set_blocking(beside.output, True)
    assert os.read(beside.output, 100) == b"\x01ready\n"
    table = {info.pid: (info.ppid, info.argv) for info in box.processes()}
    assert table[1] == (0, ("sleep", "100"))
    assert table[2] == (0, ("sh", "-c", "echo ready; read x"))
    main.signal(9)
    assert (wait(main).code, wait(beside).code) == (137, 137)
    for process in (main, beside):
        read_all(process)
    assert beside.stdin is not None
    os.close(beside.stdin)
    with pytest.raises(ProcessLookupError):
        box.exec(spec("true"))
    with pytest.raises(ProcessLookupError):
        main.signal(15)


def test_the_end_is_told_once_after_all_output_is_there(containers: Containers) -> None:
    box = containers.make()
    process = box.start(spec("sh", "-c", "(sleep 0.05; echo late) & exec 1>&- 2>&-; exit 4"))
    told: list[ExitStatus] = []
    done = threading.Event()

    def tell(status: ExitStatus) -> None:
        told.append(status)
        done.set()

    process.on_exit(tell)
    assert done.wait(DEADLINE)
    process.on_exit(told.append)
    assert told == [ExitStatus(4), ExitStatus(4)]
    read_all(process)


def test_pid_1_ignores_what_it_does_not_handle_and_traps_what_it_does(containers: Containers) -> None:
    process = containers.make().start(
        spec("sh", "-c", "trap 'echo bye; exit 5' TERM; echo up; while :; do sleep 1; done")
    )
    assert process.output is not None
    os.set_blocking(process.output, True)
    assert os.read(process.output, 10) == b"\x01up\n"
    process.signal(1)
    process.signal(15)
    assert (read_all(process)[0], wait(process).code) == (b"bye\n", 5)


def test_an_endless_loop_is_killed_at_once(containers: Containers) -> None:
    process = containers.make().start(spec("sh", "-c", "echo up; while :; do :; done"))
    assert process.output is not None
    os.set_blocking(process.output, True)
    os.read(process.output, 10)
    process.signal(9)
    assert wait(process) == ExitStatus(137, 9)
    read_all(process)


def test_pause_and_unpause(containers: Containers) -> None:
    box = containers.make()
    process = box.start(spec("sh", "-c", "while read x; do echo $x; done", stdin=True))
    assert process.stdin is not None
    assert process.output is not None
    os.write(process.stdin, b"1\n")
    os.set_blocking(process.output, True)
    assert os.read(process.output, 10) == b"\x011\n"
    box.pause()
    os.write(process.stdin, b"2\n")
    os.set_blocking(process.output, False)
    with pytest.raises(BlockingIOError):
        os.read(process.output, 10)
    box.unpause()
    os.close(process.stdin)
    assert read_all(process)[0] == b"2\n"
    wait(process)


def test_a_paused_container_can_be_killed(containers: Containers) -> None:
    box = containers.make()
    process = box.start(spec("sleep", "100"))
    box.pause()
    process.signal(9)
    assert wait(process).code == 137
    read_all(process)


def test_more_memory_than_allowed_costs_the_biggest_process_its_life(containers: Containers) -> None:
    eat = "dd if=/dev/zero of=/dev/null bs=100M count=1 2>/dev/null"
    ran = containers.run("sh", "-c", f"{eat}; echo $?", box=containers.make(limits=Limits(memory=64 << 20)))
    assert (ran.stdout, ran.status) == ("137\n", ExitStatus(0, 0, out_of_memory=True))
    ran = containers.run("sh", "-c", f"exec {eat}", box=containers.make(limits=Limits(memory=64 << 20)))
    assert ran.status == ExitStatus(137, 9, out_of_memory=True)


def test_limits_are_told_inside(containers: Containers) -> None:
    box = containers.make(
        limits=Limits(memory=64 << 20, pids=50, cpus=1.5, ulimits=[("nofile", 77, 88), ("fsize", 4096, -1)])
    )
    script = "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max /sys/fs/cgroup/cpu.max; ulimit -n; ulimit -Hn"
    assert containers.run("sh", "-c", script, box=box).stdout == "67108864\n50\n150000 100000\n77\n88\n"


def test_the_limit_on_open_files_holds_from_the_start(containers: Containers) -> None:
    box = containers.make(limits=Limits(ulimits=[("nofile", 16, 16)]))
    ran = containers.run("bash", "-c", "exec 15</dev/null && echo 15; exec 16</dev/null && echo 16", box=box)
    assert (ran.stdout, ran.stderr) == ("15\n", "bash: line 1: 16: Bad file descriptor\n")


def test_limits_of_the_first_process_hold(containers: Containers) -> None:
    box = containers.make(limits=Limits(ulimits=[("cpu", 1, 1), ("fsize", 4096, -1)]))
    ran = containers.run(
        "sh",
        "-c",
        "trap '' XFSZ; head -c 5000 /dev/zero > /f; stat -c %s /f; exec sh -c 'while :; do :; done'",
        box=box,
    )
    assert (ran.stdout, ran.status) == ("4096\n", ExitStatus(137, 9))


@pytest.mark.parametrize(
    ("script", "shown"),
    [
        ("(ulimit -St 1; while :; do :; done); echo $?", "152\n"),
        ("(ulimit -t 1; trap '' XCPU; while :; do :; done); echo $?", "137\n"),
        ("ulimit -v 20000; dd if=/dev/zero of=/dev/null bs=30M count=1 2>&1", "dd: out of memory\n"),
        ("su nobody -s /bin/sh -c 'ulimit -u 2; (sleep 0; sleep 0); :' 2>&1", "sh: can't fork: Resource"),
    ],
    ids=["soft processor time", "hard processor time", "memory", "processes"],
)  # fmt: skip
def test_what_a_program_limits_itself_to_holds(bash: Shell, script: str, shown: str) -> None:
    assert bash(script).stdout.startswith(shown)


def test_files_in_memory_take_no_more_than_the_container_may(containers: Containers) -> None:
    box = containers.make(limits=Limits(memory=64 << 20), mounts=(Mount("tmpfs", "/fast"),))
    ran = containers.run(
        "sh", "-c", "for d in /fast /dev/mqueue; do dd if=/dev/zero of=$d/x bs=1M count=100; stat -c %s $d/x; done",
        box=box,
    )  # fmt: skip
    assert ran.stdout == f"{64 << 20}\n" * 2
    assert ran.stderr.count("No space left on device") == 2


def test_usage_counts_processes_memory_time_and_bytes(containers: Containers) -> None:
    box = containers.make()
    process = box.start(spec("sh", "-c", "cat /etc/passwd > /copy; echo done; read x", stdin=True))
    assert process.output is not None
    os.set_blocking(process.output, True)
    os.read(process.output, 10)
    usage = box.usage()
    assert usage.pids == 1
    assert usage.memory >= 1 << 20
    assert usage.memory_peak >= usage.memory
    assert usage.cpu > 0
    assert usage.written == containers.lower.lookup("etc/passwd").size  # type: ignore[union-attr]
    box.kill_all()
    wait(process)
    read_all(process)
    assert process.stdin is not None
    os.close(process.stdin)


def test_users_groups_umask_and_folder(containers: Containers) -> None:
    script = "id -u; id -g; id -G; umask; pwd; touch /tmp/x; stat -c '%u %g %a' /tmp/x; touch /x 2>/dev/null || echo no"
    ran = containers.run("sh", "-c", script, uid=1000, gid=1001, groups=(1001, 20), umask=0o077, cwd="/new/folder")
    assert ran.stdout == "1000\n1001\n1001 20\n0077\n/new/folder\n1000 1001 600\nno\n"


def test_standard_streams_and_pipes_belong_to_the_user(containers: Containers) -> None:
    script = "echo out > /dev/stdout; echo err > /dev/stderr; cat <(echo pipe); cat /dev/stdin; stat -Lc %u /dev/fd/1"
    process = containers.make().start(spec("bash", "-c", script, uid=1000, gid=1000, stdin=True))
    assert process.stdin is not None
    os.write(process.stdin, b"in\n")
    os.close(process.stdin)
    assert read_all(process) == (b"out\npipe\nin\n1000\n", b"err\n")
    assert wait(process).code == 0


def test_another_users_standard_streams_are_not_opened_again(sh: Shell) -> None:
    ran = sh("su nobody -s /bin/sh -c 'echo out > /dev/stdout'; echo $?")
    assert (ran.stdout, ran.stderr) == ("1\n", "sh: can't create /dev/stdout: Permission denied\n")


def test_the_terminal_belongs_to_the_user(containers: Containers) -> None:
    process = containers.make().start(spec("sh", "-c", "stat -c %u $(tty); echo hi > /dev/stdout", uid=1000, tty=True))
    read_until(process, b"1000\r\nhi\r\n")
    assert wait(process).code == 0
    for fd in (process.stdin, process.output):
        assert fd is not None
        os.close(fd)


def test_a_hole_takes_no_room_on_the_disk(sh: Shell) -> None:
    assert sh("truncate -s 1G /f; stat -c '%s %b' /f; du -k /f").stdout == "1073741824 0\n0\t/f\n"


def test_a_file_that_a_user_writes_to_loses_its_set_id_bits(sh: Shell) -> None:
    script = (
        "echo > /f; chmod 6777 /f; echo x >> /f; stat -c %a /f; su nobody -s /bin/sh -c 'echo x >> /f'; stat -c %a /f"
    )
    assert sh(script).stdout == "6777\n777\n"


def test_a_folder_that_is_none_is_told_as_a_runtime_does(containers: Containers) -> None:
    with pytest.raises(ExecError) as caught:
        containers.make().start(spec("true", cwd="/etc/passwd"))
    assert caught.value.message == 'chdir to cwd ("/etc/passwd") set in config.json failed: not a directory'


def test_mounts_files_and_names(containers: Containers, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "in").write_text("from outside")
    box = containers.make(
        mounts=(
            Mount("bind", "/data", str(shared)),
            Mount("bind", "/ro", str(shared), read_only=True),
            Mount("tmpfs", "/fast", size=1 << 20),
        ),
        files={"/etc/hosts": lambda: b"10.0.0.1 box\n", "/etc/resolv.conf": b"nameserver 10.0.0.2\n"},
    )
    script = (
        "cat /data/in; echo back > /data/out; touch /ro/x 2>/dev/null || echo read-only; "
        "dd if=/dev/zero of=/fast/x bs=64k count=20 2>/dev/null || echo full; cat /etc/hosts /etc/resolv.conf; "
        "echo mine > /etc/resolv.conf; cat /etc/resolv.conf; hostname; uname -n"
    )
    ran = containers.run("sh", "-c", script, box=box)
    expected = "from outsideread-only\nfull\n10.0.0.1 box\nnameserver 10.0.0.2\nmine\nbox\nbox\n"
    assert (ran.stdout, (shared / "out").read_text()) == (expected, "back\n")


def test_memory_that_containers_share(containers: Containers) -> None:
    """It is there while one that runs has it mounted: as the first of them asked for, and empty for the next."""
    mount = Mount("tmpfs", "/fast", size=1 << 20, mode=0o750, owner=(7, 8), shared="mem")
    first, second = (containers.make(mounts=(mount,)) for _ in range(2))
    holder = first.start(spec("sleep", "1000"))
    assert finish(first.exec(spec("sh", "-c", "stat -c '%u %g %a' /fast; echo x > /fast/f"))).stdout == "7 8 750\n"
    assert containers.run("sh", "-c", "cat /fast/f; echo y > /fast/g", box=second).stdout == "x\n"
    assert finish(first.exec(spec("cat", "/fast/g"))).stdout == "y\n"
    with second.files() as tree:
        assert stat_path(tree, "/fast/g").size == 2
    first.kill_all()
    assert wait(holder).code == 137
    assert containers.run("ls", "-A", "/fast", box=second).stdout == ""
    assert containers.run("ls", "-A", "/fast", box=first).stdout == ""
    with first.files() as tree:
        write_archive(tree, "/fast", [tar([(TarInfo("lost"), b"")])])
        assert stat_path(tree, "/fast/lost").name == "lost"
    assert containers.run("ls", "-A", "/fast", box=first).stdout == ""


def test_files_in_memory_go_with_the_run(containers: Containers) -> None:
    box = containers.make(mounts=(Mount("tmpfs", "/own"), Mount("tmpfs", "/all", shared="mem")))
    script = "for place in /own /all /dev/shm; do mkdir $place/d; echo x > $place/d/f; done; echo done; read a"
    process = box.start(spec("sh", "-c", script, stdin=True))
    assert process.stdin is not None
    assert process.output is not None
    assert select.select([process.output], [], [], DEADLINE)[0]
    systems = [box.tree.resolve(path).fs for path in ("/own", "/all", "/dev/shm")]
    assert [system.used for system in systems if isinstance(system, Tmpfs)] == [4096, 4096, 4096]
    os.close(process.stdin)
    assert finish(process).stdout == "done\n"
    assert [system.used for system in systems if isinstance(system, Tmpfs)] == [0, 0, 0]
    assert "mem" not in containers.host.memory


def test_what_the_kernel_mounts_is_called_as_on_linux(sh: Shell) -> None:
    types = dict(line.split()[1:3] for line in sh("cat /proc/mounts").stdout.splitlines())
    assert (types["/proc"], types["/sys"], types["/dev/pts"]) == ("proc", "sysfs", "devpts")


def test_a_read_only_root(containers: Containers) -> None:
    script = "touch /x 2>&1; touch /dev/shm/y && echo shm"
    ran = containers.run("sh", "-c", script, box=containers.make(read_only=True))
    assert ran.stdout == "touch: /x: Read-only file system\nshm\n"


def test_a_terminal(containers: Containers) -> None:
    process = containers.make().start(spec("bash", "-i", tty=True, stdin=True, size=(24, 80)))
    assert process.stdin is not None
    read_until(process, b"# ")

    def typed(text: bytes, until: bytes) -> bytes:
        assert process.stdin is not None
        os.write(process.stdin, text)
        return read_until(process, until)

    assert b"24 80" in typed(b"stty size\n", b"# ")
    wait_for_it = b"sh -c 'echo g''o; exec sleep 100'\n"
    typed(wait_for_it, b"\ngo\r\n")
    typed(b"\x03", b"# ")
    assert b"rc=130" in typed(b"echo rc=$?\n", b"# ")
    typed(wait_for_it, b"\ngo\r\n")
    assert b"Stopped" in typed(b"\x1a", b"# ")
    process.resize(50, 132)
    assert b"50 132" in typed(b"stty size\n", b"# ")
    assert b"/dev/pts/0" in typed(b"tty\n", b"# ")
    typed(b"kill -9 %1; fg; echo all'' gone\n", b"\nall gone")
    os.write(process.stdin, b"exit 7\n")
    assert wait(process).code == 7
    os.close(process.stdin)
    assert process.output is not None
    os.close(process.output)


def test_a_terminal_shows_what_was_written_before_the_end(containers: Containers) -> None:
    process = containers.make().start(spec("sh", "-c", "seq 1 200", tty=True))
    wait(process)
    assert process.output is not None
    assert process.stdin is not None
    shown = b""
    with pytest.raises(OSError) as caught:
        while True:
            shown += os.read(process.output, 1 << 16)
    assert (caught.value.errno, shown.split()[-1]) == (errno.EIO, b"200")
    os.close(process.output)
    os.close(process.stdin)


def test_nothing_of_a_container_stays_open(containers: Containers) -> None:
    def once() -> None:
        containers.run(
            "bash", "-c", "echo a | cat; (sleep 9 &); x=$(ls); cat < <(echo b); mkfifo /f; cat /f & echo x >/f; wait"
        )
        process = containers.make().start(spec("sh", "-c", "sleep 100", tty=True, stdin=True))
        process.signal(9)
        wait(process)
        for fd in (process.stdin, process.output):
            assert fd is not None
            os.close(fd)
        with pytest.raises(ExecError):
            containers.make().start(spec("nosuch", tty=True))

    once()
    threads = set(threading.enumerate())
    with at_most_more(3 * 3):  # each container's journal stays open until it is closed
        for _ in range(3):
            once()
    containers.close()
    for thread in set(threading.enumerate()) - threads:
        thread.join(DEADLINE)  # it may be on its last lines
        assert not thread.is_alive(), thread
