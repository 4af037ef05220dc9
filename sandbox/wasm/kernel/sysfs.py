"""/sys: the little that programs look for in a container."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from sandbox.wasm.kernel.procpid import D_DIR, D_FILE
from sandbox.wasm.vfs.dynamic import DynamicDirectory, DynamicFile, DynamicFileSystem
from sandbox.wasm.vfs.node import Directory, Node

if TYPE_CHECKING:
    from sandbox.wasm.kernel.kernel import Kernel


def _cpus(_kernel: Kernel) -> str:
    return f"0-{(os.cpu_count() or 1) - 1}\n"


def _limit(value: int) -> str:
    return f"{value}\n" if value else "max\n"


def _cpu_stat(kernel: Kernel) -> str:
    microseconds = kernel.cpu_time_ns() // 1000
    return f"usage_usec {microseconds}\nuser_usec {microseconds}\nsystem_usec 0\n"


def _cpu_max(kernel: Kernel) -> str:
    cpus = kernel.shares.cpus
    return f"{int(cpus * 100000)} 100000\n" if cpus else "max 100000\n"


_FILES: dict[str, Callable[[Kernel], str]] = {
    "devices/system/cpu/online": _cpus,
    "devices/system/cpu/possible": _cpus,
    "devices/system/cpu/present": _cpus,
    "fs/cgroup/cgroup.controllers": lambda _kernel: "cpu memory pids\n",
    "fs/cgroup/cgroup.procs": lambda kernel: "".join(f"{pid}\n" for pid in sorted(kernel.tasks)),
    "fs/cgroup/cpu.max": _cpu_max,
    "fs/cgroup/cpu.stat": _cpu_stat,
    "fs/cgroup/memory.max": lambda kernel: _limit(kernel.shares.memory),
    "fs/cgroup/memory.current": lambda kernel: f"{kernel.memory_size()}\n",
    "fs/cgroup/pids.max": lambda kernel: _limit(kernel.shares.pids),
    "fs/cgroup/pids.current": lambda kernel: f"{len(kernel.tasks)}\n",
    "kernel/mm/transparent_hugepage/enabled": lambda _kernel: "always madvise [never]\n",
}
_EMPTY = ("block", "bus", "class/net", "dev", "firmware", "module")


def make_sysfs(kernel: Kernel) -> Directory:
    """The root of /sys for one container."""
    return _folder(kernel, "", DynamicFileSystem("sysfs"))


def _folder(kernel: Kernel, path: str, fs: DynamicFileSystem | None = None) -> Directory:
    start = f"{path}/" if path else ""
    names: dict[str, int] = {}
    for each in (*_FILES, *(f"{empty}/" for empty in _EMPTY)):
        if each.startswith(start) and each != start:
            head, slash, _ = each[len(start) :].partition("/")
            names[head] = D_DIR if slash else D_FILE

    def find(name: str) -> Node | None:
        kind = names.get(name)
        if kind is None:
            return None
        if kind == D_DIR:
            return _folder(kernel, f"{start}{name}")
        text = _FILES[f"{start}{name}"]
        return DynamicFile(lambda: text(kernel).encode())

    return DynamicDirectory(lambda: list(names.items()), find, fs=fs)
