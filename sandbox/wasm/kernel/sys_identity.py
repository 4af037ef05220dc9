"""Users and groups of a process."""

from __future__ import annotations

import errno
import struct

from sandbox.wasm.kernel.credentials import UNCHANGED
from sandbox.wasm.kernel.syscalls import syscall
from sandbox.wasm.kernel.task import Task
from sandbox.wasm.vfs.node import fail

_THREE = struct.Struct("<i")
_GROUPS_MAX = 65536


@syscall("getuid32", "getuid")
def getuid(task: Task, *_: int) -> int:
    return task.credentials.uid


@syscall("geteuid32", "geteuid")
def geteuid(task: Task, *_: int) -> int:
    return task.credentials.euid


@syscall("getgid32", "getgid")
def getgid(task: Task, *_: int) -> int:
    return task.credentials.gid


@syscall("getegid32", "getegid")
def getegid(task: Task, *_: int) -> int:
    return task.credentials.egid


@syscall("setuid32", "setuid")
def setuid(task: Task, uid: int, *_: int) -> int:
    who = task.credentials
    task.credentials = who.set_uids(uid, uid, uid) if who.privileged else who.set_uids(UNCHANGED, uid, UNCHANGED)
    return 0


@syscall("setgid32", "setgid")
def setgid(task: Task, gid: int, *_: int) -> int:
    who = task.credentials
    task.credentials = who.set_gids(gid, gid, gid) if who.privileged else who.set_gids(UNCHANGED, gid, UNCHANGED)
    return 0


@syscall("setresuid32", "setresuid")
def setresuid(task: Task, uid: int, euid: int, suid: int, *_: int) -> int:
    task.credentials = task.credentials.set_uids(uid, euid, suid)
    return 0


@syscall("setresgid32", "setresgid")
def setresgid(task: Task, gid: int, egid: int, sgid: int, *_: int) -> int:
    task.credentials = task.credentials.set_gids(gid, egid, sgid)
    return 0


@syscall("setreuid32", "setreuid")
def setreuid(task: Task, uid: int, euid: int, *_: int) -> int:
    who = task.credentials
    moves = uid != UNCHANGED or (euid not in (UNCHANGED, who.uid))
    task.credentials = who.set_uids(uid, euid, (who.euid if euid == UNCHANGED else euid) if moves else UNCHANGED)
    return 0


@syscall("setregid32", "setregid")
def setregid(task: Task, gid: int, egid: int, *_: int) -> int:
    who = task.credentials
    moves = gid != UNCHANGED or (egid not in (UNCHANGED, who.gid))
    task.credentials = who.set_gids(gid, egid, (who.egid if egid == UNCHANGED else egid) if moves else UNCHANGED)
    return 0


@syscall("getresuid32", "getresuid")
def getresuid(task: Task, uid: int, euid: int, suid: int, *_: int) -> int:
    who = task.credentials
    for address, value in ((uid, who.uid), (euid, who.euid), (suid, who.suid)):
        task.memory.pack(_THREE, address, value)
    return 0


@syscall("getresgid32", "getresgid")
def getresgid(task: Task, gid: int, egid: int, sgid: int, *_: int) -> int:
    who = task.credentials
    for address, value in ((gid, who.gid), (egid, who.egid), (sgid, who.sgid)):
        task.memory.pack(_THREE, address, value)
    return 0


@syscall("setfsuid32", "setfsuid")
def setfsuid(task: Task, *_: int) -> int:
    """The file system follows the effective user here: it is told, never changed."""
    return task.credentials.euid


@syscall("setfsgid32", "setfsgid")
def setfsgid(task: Task, *_: int) -> int:
    return task.credentials.egid


@syscall("getgroups32", "getgroups")
def getgroups(task: Task, size: int, address: int, *_: int) -> int:
    groups = task.credentials.groups
    if size:
        if size < len(groups):
            fail(errno.EINVAL)
        task.memory.write(address, struct.pack(f"<{len(groups)}I", *groups))
    return len(groups)


@syscall("setgroups32", "setgroups")
def setgroups(task: Task, size: int, address: int, *_: int) -> int:
    if not 0 <= size <= _GROUPS_MAX:
        fail(errno.EINVAL)
    groups = struct.unpack(f"<{size}I", task.memory.read(address, 4 * size))
    task.credentials = task.credentials.set_groups(groups)
    return 0


@syscall("capget")
def capget(task: Task, _header: int, data: int, *_: int) -> int:
    """Docker's default set for root, none for others."""
    if data:
        granted = 0xA80425FB if task.credentials.privileged else 0
        task.memory.write(data, struct.pack("<6I", granted, granted, 0, 0, 0, 0))
    return 0


@syscall("capset")
def capset(_task: Task, *_: int) -> int:
    fail(errno.EPERM)
