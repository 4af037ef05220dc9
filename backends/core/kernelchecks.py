"""What of a HostConfig names things of the kernel that no engine has: capabilities, processors, namespaces, options."""

from __future__ import annotations

import os
import re

from backends.api.errors import InvalidArgument
from backends.core.hostconfig import HostConfig

_CAPABILITIES = {
    "AUDIT_CONTROL", "AUDIT_READ", "AUDIT_WRITE", "BLOCK_SUSPEND", "BPF", "CHECKPOINT_RESTORE", "CHOWN",
    "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "IPC_LOCK", "IPC_OWNER", "KILL", "LEASE",
    "LINUX_IMMUTABLE", "MAC_ADMIN", "MAC_OVERRIDE", "MKNOD", "NET_ADMIN", "NET_BIND_SERVICE", "NET_BROADCAST",
    "NET_RAW", "PERFMON", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYSLOG", "SYS_ADMIN", "SYS_BOOT", "SYS_CHROOT",
    "SYS_MODULE", "SYS_NICE", "SYS_PACCT", "SYS_PTRACE", "SYS_RAWIO", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG",
    "WAKE_ALARM",
}  # fmt: skip
_SECURITY = ("label", "apparmor", "seccomp", "systempaths", "no-new-privileges", "writable-cgroups")
_RANGE = re.compile(r"(\d+)(?:-(\d+))?")


def check(host: HostConfig) -> None:
    """Refuse it in the daemon's words, whether or not the rest has an effect here."""
    for name, wanted in (("CapAdd", host.cap_add), ("CapDrop", host.cap_drop)):
        for capability in wanted or ():
            _check_capability(name, capability)
    for option in host.security_opt or ():
        _check_security(option)
    if host.isolation not in ("", "default"):
        raise InvalidArgument(f"invalid isolation ({host.isolation}): linux only supports 'default'")
    for what, mode, known in (
        ("IPC", host.ipc_mode, ("none", "private", "host", "shareable")),
        ("PID", host.pid_mode, ("host",)),
        ("UTS", host.uts_mode, ("host",)),
    ):
        if mode and mode not in known and (what == "UTS" or not mode.startswith("container:")):
            raise InvalidArgument(f"invalid {what} mode: {mode}")
    if host.cgroupns_mode not in ("", "private", "host"):
        raise InvalidArgument(f"invalid cgroup namespace mode: {host.cgroupns_mode}")


def check_resources(host: HostConfig) -> None:
    """The part of it that can be updated."""
    if host.cpu_shares < 0:
        raise InvalidArgument(f"invalid CPU shares ({host.cpu_shares}): value must be a positive integer")
    if host.blkio_weight and not 10 <= host.blkio_weight <= 1000:
        raise InvalidArgument("range of blkio weight is from 10 to 1000")
    _check_set("CPUs", "cpuset cpus", host.cpuset_cpus, os.cpu_count() or 1)
    _check_set("memory nodes", "cpuset mems", host.cpuset_mems, 1)


def _check_capability(field: str, name: str) -> None:
    plain = name.upper().removeprefix("CAP_")
    if plain != "ALL" and plain not in _CAPABILITIES:
        raise InvalidArgument(f'invalid {field}: unknown capability: "CAP_{plain}"')


def _check_security(option: str) -> None:
    if option in ("no-new-privileges", "disable"):
        return
    key, separator, _ = option.partition("=") if "=" in option else option.partition(":")
    if not separator:
        raise InvalidArgument(f'invalid --security-opt 1: "{option}"')
    if key not in _SECURITY:
        raise InvalidArgument(f'invalid --security-opt 2: "{option}"')


def _check_set(what: str, field: str, text: str, count: int) -> None:
    highest = -1
    for part in text.split(",") if text else ():
        match = _RANGE.fullmatch(part)
        if match is None or int(match[2] or match[1]) < int(match[1]):
            raise InvalidArgument(f"Invalid value {text} for {field}: invalid format: {text}")
        highest = max(highest, int(match[2] or match[1]))
    if highest >= count:
        available = f"0-{count - 1}" if count > 1 else "0"
        raise InvalidArgument(f"Requested {what} are not available - requested {text}, available: {available}")
