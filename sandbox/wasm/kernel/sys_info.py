"""What the system is and how much of it there is: uname, sysinfo, limits, usage, scheduling, randomness."""

from __future__ import annotations

import errno
import os
import struct
import time

from sandbox.wasm.kernel.abi import RLIMIT_CPU, RLIMIT_NOFILE
from sandbox.wasm.kernel.machine_info import MACHINE, RELEASE, SYSTEM, VERSION, host_memory
from sandbox.wasm.kernel.sys_process import find
from sandbox.wasm.kernel.sys_wait import rusage
from sandbox.wasm.kernel.syscalls import syscall
from sandbox.wasm.kernel.task import Task
from sandbox.wasm.kernel.timers import watch_processor_time
from sandbox.wasm.vfs.node import fail

_FIELD = 65
_SYSINFO = struct.Struct("<I3I6IHHIII")
_LIMITS = struct.Struct("<QQ")
_LIMITS32 = struct.Struct("<II")
_PAGE = 4096
RUSAGE_SELF, RUSAGE_CHILDREN, RUSAGE_THREAD = 0, -1, 1
_RANDOM_MAX = 1 << 25


@syscall("uname")
def uname(task: Task, address: int, *_: int) -> int:
    kernel = task.kernel
    fields = (SYSTEM, kernel.hostname, RELEASE, VERSION, MACHINE, kernel.domainname)
    task.memory.write(address, b"".join(os.fsencode(field)[: _FIELD - 1].ljust(_FIELD, b"\0") for field in fields))
    return 0


@syscall("sethostname")
def sethostname(task: Task, *_: int) -> int:
    fail(errno.EPERM)


@syscall("setdomainname")
def setdomainname(task: Task, *_: int) -> int:
    fail(errno.EPERM)


@syscall("sysinfo")
def sysinfo(task: Task, address: int, *_: int) -> int:
    total, free = (amount // _PAGE for amount in host_memory(task.kernel))
    uptime = int(time.monotonic() - task.kernel.booted)
    loads = [int(load * 65536) for load in os.getloadavg()]
    count = len(task.kernel.tasks)
    task.memory.pack(_SYSINFO, address, uptime, *loads, total, free, 0, 0, 0, 0, count, 0, 0, 0, _PAGE)
    return 0


@syscall("getrandom")
def getrandom(task: Task, address: int, size: int, *_: int) -> int:
    size = min(size & 0xFFFFFFFF, _RANDOM_MAX)
    task.memory.write(address, os.urandom(size))
    return size


@syscall("prlimit64")
def prlimit(task: Task, pid: int, resource: int, new: int, old: int, *_: int) -> int:
    target = find(task, pid)
    if old:
        task.memory.pack(_LIMITS, old, *target.limits.get(resource))
    if new:
        soft, hard = task.memory.unpack(_LIMITS, new)
        _set_limit(task, target, resource, soft, hard)
    return 0


def _set_limit(task: Task, target: Task, resource: int, soft: int, hard: int) -> None:
    target.limits.set(resource, soft, hard, task.credentials.privileged)
    if resource == RLIMIT_NOFILE:
        target.files.limit = soft
    elif resource == RLIMIT_CPU:
        watch_processor_time(target)


@syscall("ugetrlimit")
def getrlimit(task: Task, resource: int, address: int, *_: int) -> int:
    soft, hard = task.limits.get(resource)
    task.memory.pack(_LIMITS32, address, min(soft, 0xFFFFFFFF), min(hard, 0xFFFFFFFF))
    return 0


@syscall("setrlimit")
def setrlimit(task: Task, resource: int, address: int, *_: int) -> int:
    limits = [value if value != 0xFFFFFFFF else (1 << 64) - 1 for value in task.memory.unpack(_LIMITS32, address)]
    _set_limit(task, task, resource, limits[0], limits[1])
    return 0


@syscall("getrusage")
def getrusage(task: Task, who: int, address: int, *_: int) -> int:
    if who not in (RUSAGE_SELF, RUSAGE_CHILDREN, RUSAGE_THREAD):
        fail(errno.EINVAL)
    task.memory.write(address, rusage(task.children_cpu_ns if who == RUSAGE_CHILDREN else time.thread_time_ns()))
    return 0


@syscall("sched_yield")
def sched_yield(_task: Task, *_: int) -> int:
    os.sched_yield()
    return 0


@syscall("sched_getaffinity")
def sched_getaffinity(task: Task, pid: int, size: int, address: int, *_: int) -> int:
    find(task, pid)
    mask = sum(1 << cpu for cpu in range(os.cpu_count() or 1))
    used = max(8, (mask.bit_length() + 63) // 64 * 8)
    if size < used and mask.bit_length() > size * 8:
        fail(errno.EINVAL)
    used = min(used, size)
    task.memory.write(address, mask.to_bytes(used, "little"))
    return used


@syscall("sched_getscheduler")
def sched_getscheduler(task: Task, pid: int, *_: int) -> int:
    find(task, pid)
    return 0


@syscall("sched_getparam")
def sched_getparam(task: Task, pid: int, address: int, *_: int) -> int:
    find(task, pid)
    task.memory.write(address, bytes(4))
    return 0


@syscall("sched_get_priority_max", "sched_get_priority_min")
def sched_priority_range(_task: Task, policy: int, *_: int) -> int:
    """SCHED_OTHER and SCHED_BATCH know one priority only."""
    if policy not in (0, 3, 5):
        fail(errno.EINVAL)
    return 0


@syscall("sched_setscheduler", "sched_setparam", "sched_setaffinity", "ioprio_set")
def scheduling_is_fixed(_task: Task, *_: int) -> int:
    fail(errno.EPERM)


@syscall("getpriority")
def getpriority(task: Task, which: int, who: int, *_: int) -> int:
    """As the raw call does: 20 minus the nice value."""
    return 20 - (find(task, who).nice if which == 0 else task.nice)


@syscall("setpriority")
def setpriority(task: Task, which: int, who: int, value: int, *_: int) -> int:
    target = find(task, who) if which == 0 else task
    value = max(-20, min(19, value))
    if value < target.nice and not task.credentials.privileged:
        fail(errno.EACCES)
    target.nice = value
    return 0


@syscall("personality")
def personality(_task: Task, wanted: int, *_: int) -> int:
    if wanted not in (0, -1):
        fail(errno.EINVAL)
    return 0


@syscall("ioprio_get")
def ioprio_get(_task: Task, *_: int) -> int:
    return 0


@syscall("getcpu")
def getcpu(task: Task, cpu: int, node: int, *_: int) -> int:
    for address in (cpu, node):
        if address:
            task.memory.write(address, bytes(4))
    return 0


@syscall("mlock", "munlock", "mlockall", "munlockall", "membarrier")
def memory_stays(_task: Task, *_: int) -> int:
    """Program memory is never swapped by us, and there is one thread."""
    return 0
