"""/proc/PID: one process as ps, top and shells read it. It belongs to the process's user."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from sandbox.wasm.kernel.abi import RLIM_INFINITY, SIG_IGN
from sandbox.wasm.kernel.lifecycle import current
from sandbox.wasm.kernel.limits import NAMES
from sandbox.wasm.kernel.mounts import mountinfo_text, mounts_text
from sandbox.wasm.kernel.procnet import NET_FILES
from sandbox.wasm.vfs.dynamic import Device, DynamicDirectory, DynamicFile, DynamicSymlink
from sandbox.wasm.vfs.node import Directory, Node, Stat, fail

if TYPE_CHECKING:
    from sandbox.wasm.kernel.files import OpenFile
    from sandbox.wasm.kernel.kernel import Kernel
    from sandbox.wasm.kernel.task import Task

D_FILE, D_DIR, D_LINK = 8, 4, 10
_TICKS = 100
_PAGE = 4096
_STATES = {"R": "running", "S": "sleeping", "T": "stopped", "Z": "zombie"}
_ENTRIES = Callable[[], Iterable[tuple[str, int]]]


def directory(entries: _ENTRIES, find: Callable[[str], Node | None]) -> Directory:
    return DynamicDirectory(entries, find)


def _own_directory(
    task: Task, entries: _ENTRIES, find: Callable[[str], Node | None], mode: int = 0o555
) -> DynamicDirectory:
    return DynamicDirectory(entries, find, mode, *task.credentials.effective)


def _own_file(task: Task, content: Callable[[], bytes], mode: int = 0o444) -> DynamicFile:
    return DynamicFile(content, None, mode, *task.credentials.effective)


def _own_link(task: Task, target: Callable[[], str], node: Callable[[], Node] | None = None) -> DynamicSymlink:
    """A link that strangers to the process neither read nor follow."""

    def read() -> str:
        _check_may_look(task)
        return target()

    def follow() -> Node:
        _check_may_look(task)
        assert node is not None
        return node()

    return DynamicSymlink(read, follow if node is not None else None, *task.credentials.effective)


def _check_may_look(task: Task) -> None:
    """EACCES for a process of another user's."""
    who = current()
    if who is not None and who is not task and not who.credentials.may_look_into(task.credentials):
        fail(errno.EACCES)


def _stat(kernel: Kernel, task: Task) -> str:
    with kernel.lock:
        memory, ticks = task.memory_size(), task.cpu_time_ns() * _TICKS // 10**9
        terminal = task.session.terminal
        numbers = (
            task.parent.pid if task.parent is not None else 0, task.pgid, task.session.sid,
            os.makedev(136, terminal.index) if terminal is not None else 0,
            terminal.foreground if terminal is not None else -1,
            0, 0, 0, 0, 0, ticks, 0, task.children_cpu_ns * _TICKS // 10**9, 0, 20 + task.nice, task.nice, 1, 0,
            int((task.started - kernel.booted) * _TICKS), memory, memory // _PAGE, RLIM_INFINITY,
            0, 0, 0, 0, 0, task.signals.pending, task.signals.mask, task.signals.set_of(SIG_IGN),
            task.signals.set_of(SIG_IGN + 1), 0, 0, 0, 17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, task.status,
        )  # fmt: skip
        return f"{task.pid} ({task.comm}) {task.state} {' '.join(map(str, numbers))}\n"


def _status(kernel: Kernel, task: Task) -> str:
    who, signals = task.credentials, task.signals
    with kernel.lock:
        kilobytes = task.memory_size() // 1024
        parent = task.parent.pid if task.parent is not None else 0
    rows = [
        ("Name", task.comm), ("Umask", f"{task.umask:04o}"),
        ("State", f"{task.state} ({_STATES[task.state]})"), ("Tgid", task.pid), ("Ngid", 0), ("Pid", task.pid),
        ("PPid", parent), ("TracerPid", 0),
        ("Uid", f"{who.uid}\t{who.euid}\t{who.suid}\t{who.euid}"),
        ("Gid", f"{who.gid}\t{who.egid}\t{who.sgid}\t{who.egid}"),
        ("FDSize", 64), ("Groups", " ".join(map(str, who.groups)) + " "), ("NStgid", task.pid), ("NSpid", task.pid),
        ("NSpgid", task.pgid), ("NSsid", task.session.sid),
    ]  # fmt: skip
    if task.alive:
        rows += [(name, f"{kilobytes:8} kB") for name in ("VmPeak", "VmSize", "VmHWM", "VmRSS", "VmData")]
    rows += [
        ("Threads", 1), ("SigQ", "0/4096"), ("SigPnd", f"{0:016x}"), ("ShdPnd", f"{signals.pending:016x}"),
        ("SigBlk", f"{signals.mask:016x}"), ("SigIgn", f"{signals.set_of(SIG_IGN):016x}"),
        ("SigCgt", f"{signals.set_of(SIG_IGN + 1):016x}"), ("CapInh", f"{0:016x}"),
        *((name, f"{0xA80425FB if who.privileged else 0:016x}") for name in ("CapPrm", "CapEff")),
        ("CapBnd", f"{0xA80425FB:016x}"), ("CapAmb", f"{0:016x}"), ("NoNewPrivs", 0), ("Seccomp", 2),
        ("Cpus_allowed_list", f"0-{(os.cpu_count() or 1) - 1}"), ("voluntary_ctxt_switches", 0),
        ("nonvoluntary_ctxt_switches", 0),
    ]  # fmt: skip
    return "".join(f"{name}:\t{value}\n" for name, value in rows)


def _limits(_kernel: Kernel, task: Task) -> str:
    def shown(value: int) -> str:
        return "unlimited" if value == RLIM_INFINITY else str(value)

    lines = [f"{'Limit':<26}{'Soft Limit':<21}{'Hard Limit':<21}Units"]
    for resource, (name, unit) in enumerate(NAMES):
        soft, hard = task.limits.get(resource)
        lines.append(f"{name:<26}{shown(soft):<21}{shown(hard):<21}{unit}")
    return "\n".join(lines) + "\n"


def _zeros(words: list[str]) -> str:
    return "".join(f"{word}\0" for word in words)


def _statm(kernel: Kernel, task: Task) -> str:
    with kernel.lock:
        pages = task.memory_size() // _PAGE
    return f"{pages} {pages} 0 0 0 {pages} 0\n"


def _environ(_kernel: Kernel, task: Task) -> str:
    _check_may_look(task)
    return _zeros(task.environ)


def _maps(kernel: Kernel, task: Task) -> str:
    _check_may_look(task)
    with kernel.lock:
        size = task.memory_size()
    path = task.executable.path
    return f"00000000-{size:08x} rwxp 00000000 00:00 0 {path:>26}\n" if size else ""


def _io(kernel: Kernel, _task: Task) -> str:
    counters = kernel.counters
    return f"rchar: {counters.read}\nwchar: {counters.written}\nread_bytes: 0\nwrite_bytes: 0\n"


_FILES: dict[str, Callable[[Kernel, Task], str]] = {
    "stat": _stat,
    "status": _status,
    "statm": _statm,
    "cmdline": lambda _kernel, task: _zeros(task.argv) if task.alive else "",
    "comm": lambda _kernel, task: f"{task.comm}\n",
    "environ": _environ,
    "maps": _maps,
    "limits": _limits,
    "mounts": lambda kernel, _task: mounts_text(kernel),
    "mountinfo": lambda kernel, _task: mountinfo_text(kernel),
    "cgroup": lambda _kernel, _task: "0::/\n",
    "oom_score": lambda _kernel, _task: "0\n",
    "oom_score_adj": lambda _kernel, _task: "0\n",
    "wchan": lambda _kernel, _task: "0",
    "loginuid": lambda _kernel, _task: "4294967295",
    "uid_map": lambda _kernel, _task: "         0          0 4294967295\n",
    "gid_map": lambda _kernel, _task: "         0          0 4294967295\n",
}


class DescriptorNode(Device):
    """What /proc/PID/fd/N leads to when that has no inode of the tree: a pipe, a socket, a terminal."""

    __slots__ = ()

    def __init__(self, file: OpenFile) -> None:
        with file.held():
            found = file.stat()
        super().__init__(found.mode, found.rdev, found.uid, found.gid)
        self.attachment: OpenFile = file

    def stat(self) -> Stat:
        with self.attachment.held():
            return self.attachment.stat()

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)


def file_node(file: OpenFile) -> Node:
    """The node that a descriptor's link leads to."""
    return DescriptorNode(file) if file.node is None or file.host_fd is not None else file.node


def _file_name(kernel: Kernel, task: Task, file: OpenFile) -> str:
    if file.origin is not None:
        start, path = file.origin
        path = os.path.normpath(os.path.join(kernel.tree.path_of(start, task.root), path))
        return path if file.stat().nlink else f"{path} (deleted)"
    if isinstance(file.node, Directory):
        return kernel.tree.path_of(file.node, task.root)
    return file.name


def _descriptors(kernel: Kernel, task: Task) -> Directory:
    def find(name: str) -> Node | None:
        file = task.files.table.get(int(name)) if name.isdigit() else None
        if file is None:
            return None
        return _own_link(task, lambda: _file_name(kernel, task, file), lambda: file_node(file))

    return _own_directory(task, lambda: [(str(fd), D_LINK) for fd in sorted(task.files.table)], find, 0o500)


def _descriptor_infos(_kernel: Kernel, task: Task) -> Directory:
    def find(name: str) -> Node | None:
        file = task.files.table.get(int(name)) if name.isdigit() else None
        if file is None:
            return None
        position = getattr(file, "position", 0)
        return _own_file(task, f"pos:\t{position}\nflags:\t{file.flags:07o}\nmnt_id:\t0\n".encode, 0o400)

    return _own_directory(task, lambda: [(str(fd), D_FILE) for fd in sorted(task.files.table)], find, 0o500)


def _links(kernel: Kernel, task: Task) -> dict[str, DynamicSymlink]:
    def alive() -> None:
        if not task.alive:
            fail(errno.ENOENT)

    def executable() -> str:
        alive()
        return task.executable.path

    return {
        "exe": _own_link(task, executable),
        "cwd": _own_link(task, lambda: kernel.tree.path_of(task.cwd, task.root), lambda: task.cwd),
        "root": _own_link(task, lambda: kernel.tree.path_of(task.root), lambda: task.root),
    }


def process_directory(kernel: Kernel, task: Task, thread: bool = False) -> Directory:
    """/proc/PID, or with `thread` /proc/PID/task/PID, which has no threads of its own."""
    folders = ("fd", "fdinfo", "net", "ns") if thread else ("fd", "fdinfo", "net", "ns", "task")

    def entries() -> list[tuple[str, int]]:
        return [
            *((name, D_DIR) for name in folders),
            *((name, D_LINK) for name in ("exe", "cwd", "root")),
            *((name, D_FILE) for name in _FILES),
        ]

    def find(name: str) -> Node | None:
        text = _FILES.get(name)
        if text is not None:
            mode = 0o400 if name == "environ" else 0o444
            return _own_file(task, lambda: os.fsencode(text(kernel, task)), mode)
        if name in ("fd", "fdinfo"):
            return (_descriptors if name == "fd" else _descriptor_infos)(kernel, task)
        if name == "task" and not thread:
            return _threads(kernel, task)
        if name == "net":
            return directory(lambda: [(each, D_FILE) for each in NET_FILES], lambda each: _net_file(kernel, each))
        if name == "ns":
            return _namespaces()
        return _links(kernel, task).get(name)

    return _own_directory(task, entries, find)


def _threads(kernel: Kernel, task: Task) -> Directory:
    only = str(task.pid)

    def find(name: str) -> Node | None:
        return process_directory(kernel, task, thread=True) if name == only else None

    return _own_directory(task, lambda: [(only, D_DIR)], find)


def _net_file(kernel: Kernel, name: str) -> Node | None:
    text = NET_FILES.get(name)
    return DynamicFile(lambda: text(kernel).encode()) if text is not None else None


_NAMESPACES = {"cgroup": 4026531835, "ipc": 4026531839, "mnt": 4026531841, "net": 4026531840, "pid": 4026531836,
               "user": 4026531837, "uts": 4026531838}  # fmt: skip


def _namespaces() -> Directory:
    def find(name: str) -> Node | None:
        return DynamicSymlink(lambda: f"{name}:[{_NAMESPACES[name]}]") if name in _NAMESPACES else None

    return directory(lambda: [(name, D_LINK) for name in _NAMESPACES], find)


def started_at(kernel: Kernel, task: Task) -> float:
    """Seconds since 1970."""
    return kernel.boot_time + task.started - kernel.booted


def elapsed(task: Task) -> float:
    return time.monotonic() - task.started
