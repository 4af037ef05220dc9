"""A container's HostConfig: a typed view of what has an effect, and the defaults that inspect echoes."""

from __future__ import annotations

from typing import Any

import msgspec

from backends.api.types import Json
from backends.core.networks import PREDEFINED

SHM_SIZE = 64 << 20
_MASKED = [
    "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
    "/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/devices/virtual/powercap",
    "/sys/firmware",
]  # fmt: skip
_READ_ONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
_DEFAULTS: Json = {
    "Binds": None, "ContainerIDFile": "", "LogConfig": {"Type": "json-file", "Config": {}}, "NetworkMode": "bridge",
    "PortBindings": None, "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0}, "AutoRemove": False,
    "VolumeDriver": "", "VolumesFrom": None, "ConsoleSize": [0, 0], "CapAdd": None, "CapDrop": None,
    "CgroupnsMode": "private", "Dns": None, "DnsOptions": None, "DnsSearch": None, "ExtraHosts": None,
    "GroupAdd": None, "IpcMode": "private", "Cgroup": "", "Links": None, "OomScoreAdj": 0, "PidMode": "",
    "Privileged": False, "PublishAllPorts": False, "ReadonlyRootfs": False, "SecurityOpt": None, "UTSMode": "",
    "UsernsMode": "", "ShmSize": SHM_SIZE, "Runtime": "", "Isolation": "", "CpuShares": 0, "Memory": 0,
    "NanoCpus": 0, "CgroupParent": "", "BlkioWeight": 0, "BlkioWeightDevice": None, "BlkioDeviceReadBps": None,
    "BlkioDeviceWriteBps": None, "BlkioDeviceReadIOps": None, "BlkioDeviceWriteIOps": None, "CpuPeriod": 0,
    "CpuQuota": 0, "CpuRealtimePeriod": 0, "CpuRealtimeRuntime": 0, "CpusetCpus": "", "CpusetMems": "",
    "Devices": None, "DeviceCgroupRules": None, "DeviceRequests": None, "MemoryReservation": 0, "MemorySwap": 0,
    "MemorySwappiness": None, "OomKillDisable": None, "PidsLimit": None, "Ulimits": None, "CpuCount": 0,
    "CpuPercent": 0, "IOMaximumIOps": 0, "IOMaximumBandwidth": 0, "MaskedPaths": _MASKED,
    "ReadonlyPaths": _READ_ONLY,
}  # fmt: skip


class RestartPolicy(msgspec.Struct, rename="pascal", kw_only=True):
    """``name``: "", no, always, unless-stopped or on-failure."""

    name: str = ""
    maximum_retry_count: int = 0


class LogConfig(msgspec.Struct, rename="pascal", kw_only=True):
    """Log driver and its options."""

    type: str = ""
    config: dict[str, str] | None = None


class PortBinding(msgspec.Struct, rename="pascal", kw_only=True):
    """Where a port is wanted on the host; "" = any."""

    host_ip: str = ""
    host_port: str = ""


class MountRequest(msgspec.Struct, rename="pascal", kw_only=True):
    """One of HostConfig.Mounts."""

    type: str = ""
    source: str = ""
    target: str = ""
    read_only: bool = False
    consistency: str = ""
    bind_options: Json | None = None
    volume_options: Json | None = None
    tmpfs_options: Json | None = None


class HostConfig(msgspec.Struct, rename="pascal", kw_only=True):
    """The fields of Docker's HostConfig that the engine gives a meaning."""

    binds: list[str] | None = None
    log_config: LogConfig | None = None
    network_mode: str = ""
    port_bindings: dict[str, list[PortBinding] | None] | None = None
    restart_policy: RestartPolicy | None = None
    auto_remove: bool = False
    volumes_from: list[str] | None = None
    console_size: list[int] | None = None
    dns: list[str] | None = None
    dns_options: list[str] | None = None
    dns_search: list[str] | None = None
    extra_hosts: list[str] | None = None
    group_add: list[str] | None = None
    links: list[str] | None = None
    oom_score_adj: int = 0
    privileged: bool = False
    publish_all_ports: bool = False
    readonly_rootfs: bool = False
    shm_size: int = 0
    tmpfs: dict[str, str] | None = None
    mounts: list[MountRequest] | None = None
    memory: int = 0
    memory_swap: int = 0
    memory_reservation: int = 0
    memory_swappiness: int | None = None
    nano_cpus: int = msgspec.field(name="NanoCpus", default=0)
    cpu_period: int = 0
    cpu_quota: int = 0
    pids_limit: int | None = None
    ulimits: list[Json] | None = None
    sysctls: dict[str, str] | None = None
    volume_driver: str = ""
    runtime: str = ""
    init: bool | None = None
    cap_add: list[str] | None = None
    cap_drop: list[str] | None = None
    security_opt: list[str] | None = None
    isolation: str = ""
    cgroupns_mode: str = ""
    ipc_mode: str = ""
    pid_mode: str = ""
    uts_mode: str = msgspec.field(name="UTSMode", default="")
    cpu_shares: int = 0
    blkio_weight: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""


_INT64_MAX = 2**63 - 1


def complete(user: Json, runtime: str) -> Json:
    """Return ``user`` with every field that Docker shows; unknown fields are kept, null means the default."""
    whole = {**_DEFAULTS, "Runtime": runtime} | {key: value for key, value in user.items() if value is not None}
    if whole["NetworkMode"] in ("", "default"):
        whole["NetworkMode"] = "bridge"
    elif whole["NetworkMode"] not in PREDEFINED and not whole["NetworkMode"].startswith("container:"):
        whole["Links"] = None  # on a network of one's own the endpoint's links count
    policy = whole["RestartPolicy"]
    whole["RestartPolicy"] = {
        "Name": policy.get("Name") or "no",
        "MaximumRetryCount": policy.get("MaximumRetryCount") or 0,
    }
    log: dict[str, Any] = whole["LogConfig"]
    whole["LogConfig"] = {"Type": log.get("Type") or "json-file", "Config": log.get("Config") or {}}
    whole["PortBindings"] = _bindings(whole["PortBindings"])
    whole["ShmSize"] = whole["ShmSize"] or SHM_SIZE
    whole["IpcMode"] = whole["IpcMode"] or "private"
    whole["Runtime"] = whole["Runtime"] or runtime
    whole["CgroupnsMode"] = whole["CgroupnsMode"] or "private"
    if (whole["PidsLimit"] or 0) <= 0:
        whole["PidsLimit"] = None
    if whole["Memory"] > 0 and not whole["MemorySwap"]:
        whole["MemorySwap"] = min(2 * whole["Memory"], _INT64_MAX)
    if whole["MemorySwappiness"] == -1:
        whole["MemorySwappiness"] = None
    return whole


def _bindings(user: dict[str, list[Json] | None] | None) -> Json | None:
    """Both fields of each binding, whether they were sent or not."""
    if user is None:
        return None
    return {
        port: entries and [{"HostIp": "", "HostPort": "", **entry} for entry in entries]
        for port, entries in user.items()
    }
