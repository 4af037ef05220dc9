"""/proc: the container's machine and, through `procpid`, its processes."""

from __future__ import annotations

import errno
import os
import time
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING

from sandbox.wasm.kernel.kernel import PID_MAX
from sandbox.wasm.kernel.lifecycle import current
from sandbox.wasm.kernel.machine_info import MACHINE, RELEASE, SYSTEM, VERSION, host_memory
from sandbox.wasm.kernel.procpid import D_DIR, D_FILE, D_LINK, directory, process_directory
from sandbox.wasm.vfs.dynamic import DynamicFile, DynamicSymlink
from sandbox.wasm.vfs.node import Directory, Node, fail

if TYPE_CHECKING:
    from sandbox.wasm.kernel.kernel import Kernel
    from sandbox.wasm.kernel.task import Task

_TICKS = 100
_FILESYSTEMS = "nodev\tproc\nnodev\tsysfs\nnodev\ttmpfs\nnodev\tdevpts\nnodev\toverlay\n"
_CPU = (
    "processor\t: {n}\nvendor_id\t: Sockerless\ncpu family\t: 6\nmodel\t\t: 0\nmodel name\t: WebAssembly\n"
    "stepping\t: 0\ncpu MHz\t\t: 1000.000\ncache size\t: 0 KB\nphysical id\t: 0\nsiblings\t: {count}\n"
    "core id\t\t: {n}\ncpu cores\t: {count}\nfpu\t\t: yes\nflags\t\t: fpu\nbogomips\t: 2000.00\n\n"
)


def _self() -> Task:
    task = current()
    if task is None:
        fail(errno.ENOENT)
    return task


def _meminfo(kernel: Kernel) -> str:
    total, free = (amount // 1024 for amount in host_memory(kernel))
    rows = (
        ("MemTotal", total), ("MemFree", free), ("MemAvailable", free), ("Buffers", 0), ("Cached", 0),
        ("SwapCached", 0), ("Active", total - free), ("Inactive", 0), ("SwapTotal", 0), ("SwapFree", 0),
        ("Dirty", 0), ("Writeback", 0), ("AnonPages", total - free), ("Mapped", 0), ("Shmem", 0), ("Slab", 0),
    )  # fmt: skip
    return "".join(f"{name + ':':<16}{value:>8} kB\n" for name, value in rows)


def _cpuinfo(_kernel: Kernel) -> str:
    count = os.cpu_count() or 1
    return "".join(_CPU.format(n=n, count=count) for n in range(count))


def _uptime(kernel: Kernel) -> str:
    up = time.monotonic() - kernel.booted
    idle = max(0.0, up * (os.cpu_count() or 1) - kernel.cpu_time_ns() / 1e9)
    return f"{up:.2f} {idle:.2f}\n"


def _loadavg(kernel: Kernel) -> str:
    one, five, fifteen = os.getloadavg()
    with kernel.lock:
        running = sum(task.state == "R" for task in kernel.tasks.values())
        return f"{one:.2f} {five:.2f} {fifteen:.2f} {running}/{len(kernel.tasks)} {kernel.last_pid}\n"


def _stat(kernel: Kernel) -> str:
    count = os.cpu_count() or 1
    user = kernel.cpu_time_ns() * _TICKS // 10**9
    idle = max(0, int((time.monotonic() - kernel.booted) * _TICKS) * count - user)
    lines = [f"cpu  {user} 0 0 {idle} 0 0 0 0 0 0"]
    lines += [f"cpu{n} {user // count} 0 0 {idle // count} 0 0 0 0 0 0" for n in range(count)]
    with kernel.lock:
        running = sum(task.state == "R" for task in kernel.tasks.values())
    lines += [f"intr 0\nctxt 0\nbtime {int(kernel.boot_time)}\nprocesses {kernel.last_pid}"]
    lines += [f"procs_running {running}\nprocs_blocked 0"]
    return "\n".join(lines) + "\n"


_FILES: dict[str, Callable[[Kernel], str]] = {
    "meminfo": _meminfo,
    "cpuinfo": _cpuinfo,
    "uptime": _uptime,
    "loadavg": _loadavg,
    "stat": _stat,
    "version": lambda _kernel: f"{SYSTEM} version {RELEASE} {VERSION}\n",
    "filesystems": lambda _kernel: _FILESYSTEMS,
    "cmdline": lambda _kernel: "\n",
    "cgroups": lambda _kernel: "#subsys_name\thierarchy\tnum_cgroups\tenabled\n",
    "devices": lambda _kernel: "Character devices:\n  1 mem\n  5 /dev/tty\n136 pts\n\nBlock devices:\n",
    "partitions": lambda _kernel: "major minor  #blocks  name\n\n",
    "swaps": lambda _kernel: "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n",
    "modules": lambda _kernel: "",
    "diskstats": lambda _kernel: "",
}

_SYS: dict[str, dict[str, Callable[[Kernel], str]]] = {
    "kernel": {
        "hostname": lambda kernel: f"{kernel.hostname}\n",
        "domainname": lambda kernel: f"{kernel.domainname}\n",
        "ostype": lambda _kernel: f"{SYSTEM}\n",
        "osrelease": lambda _kernel: f"{RELEASE}\n",
        "version": lambda _kernel: f"{VERSION}\n",
        "arch": lambda _kernel: f"{MACHINE}\n",
        "pid_max": lambda _kernel: f"{PID_MAX}\n",
        "threads-max": lambda _kernel: f"{PID_MAX}\n",
        "cap_last_cap": lambda _kernel: "40\n",
        "ngroups_max": lambda _kernel: "65536\n",
        "overflowuid": lambda _kernel: "65534\n",
        "overflowgid": lambda _kernel: "65534\n",
    },
    "kernel/random": {
        "uuid": lambda _kernel: f"{uuid.uuid4()}\n",
        "boot_id": lambda kernel: f"{kernel.boot_id}\n",
        "entropy_avail": lambda _kernel: "256\n",
        "poolsize": lambda _kernel: "256\n",
    },
    "fs": {
        "file-max": lambda _kernel: "9223372036854775807\n",
        "nr_open": lambda _kernel: "1048576\n",
        "pipe-max-size": lambda _kernel: "1048576\n",
    },
    "vm": {"overcommit_memory": lambda _kernel: "1\n", "swappiness": lambda _kernel: "60\n"},
    "net/core": {"somaxconn": lambda _kernel: "4096\n"},
    "net/ipv4": {
        "ip_forward": lambda _kernel: "0\n",
        "ip_local_port_range": lambda _kernel: "32768\t60999\n",
        "ip_unprivileged_port_start": lambda _kernel: "0\n",
    },
}


def _file(kernel: Kernel, text: Callable[[Kernel], str]) -> DynamicFile:
    return DynamicFile(lambda: os.fsencode(text(kernel)))


def _sys(kernel: Kernel, path: str) -> Directory:
    files = _SYS.get(path, {})
    start = f"{path}/" if path else ""
    below = {each[len(start) :].split("/")[0] for each in _SYS if each.startswith(start) and each != path}

    def find(name: str) -> Node | None:
        if name in files:
            return _file(kernel, files[name])
        return _sys(kernel, f"{start}{name}") if name in below else None

    return directory(lambda: [*((name, D_FILE) for name in files), *((name, D_DIR) for name in sorted(below))], find)


def make_procfs(kernel: Kernel) -> Directory:
    """The root of /proc for one container."""
    links = {
        "self": lambda: str(_self().pid),
        "thread-self": lambda: f"{_self().pid}/task/{_self().pid}",
        "mounts": lambda: "self/mounts",
        "net": lambda: "self/net",
    }

    def entries() -> list[tuple[str, int]]:
        with kernel.lock:
            pids = [(str(pid), D_DIR) for pid in sorted(kernel.tasks)]
        fixed = [*((name, D_FILE) for name in _FILES), *((name, D_LINK) for name in links), ("sys", D_DIR)]
        return pids + fixed

    def find(name: str) -> Node | None:
        if name.isdigit():
            task = kernel.tasks.get(int(name))
            return process_directory(kernel, task) if task is not None else None
        if name in _FILES:
            return _file(kernel, _FILES[name])
        if name in links:
            return DynamicSymlink(links[name])
        return _sys(kernel, "") if name == "sys" else None

    return directory(entries, find)
