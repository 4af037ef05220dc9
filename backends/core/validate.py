"""What is wrong with a create or update request, in Docker's words (recorded from moby; facts: Appendix A)."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Collection

from backends.api.errors import EngineError, InvalidArgument
from backends.api.types import Json
from backends.core import kernelchecks, logoptions
from backends.core.config import Config, Healthcheck
from backends.core.drivers import Ulimit
from backends.core.hostconfig import HostConfig, RestartPolicy
from backends.core.signals import parse_signal

MILLISECOND = 1_000_000
_POLICIES = ("no", "always", "on-failure", "unless-stopped")


def check_config(config: Config) -> None:
    """Refuse what no container can have."""
    if config.working_dir and not config.working_dir.startswith("/"):
        raise InvalidArgument(
            f"the working directory '{config.working_dir}' is invalid, it needs to be an absolute path"
        )
    for entry in config.env or ():
        if not entry or entry.startswith("="):
            raise InvalidArgument(f"invalid environment variable: {entry}")
    if config.stop_signal:
        parse_signal(config.stop_signal)
    if config.healthcheck is not None:
        _check_health(config.healthcheck)
    for port in config.exposed_ports or ():
        parse_port(port)


def _check_health(health: Healthcheck) -> None:
    for name, value in (
        ("Interval", health.interval),
        ("Timeout", health.timeout),
        ("StartPeriod", health.start_period),
        ("StartInterval", health.start_interval),
    ):
        if value and value < MILLISECOND:
            raise InvalidArgument(f"{name} in Healthcheck cannot be less than 1ms")
    if health.retries < 0:
        raise InvalidArgument("Retries in Healthcheck cannot be negative")
    if health.test and health.test[0] not in ("NONE", "CMD", "CMD-SHELL"):
        raise InvalidArgument(f'Unknown healthcheck type "{health.test[0]}" (expected "CMD")')


def check_host_config(host: HostConfig, config: Config) -> None:
    """Refuse what contradicts itself or is out of range."""
    check_restart_policy(host.restart_policy, host.auto_remove)
    check_resources(host)
    if not -1000 <= host.oom_score_adj <= 1000:
        raise InvalidArgument(f"Invalid value {host.oom_score_adj}, range for oom score adj is [-1000, 1000]")
    if host.shm_size < 0:
        raise InvalidArgument("SHM size can not be less than 0")
    for port, bindings in (host.port_bindings or {}).items():
        parse_port(port)
        for binding in bindings or ():
            _check_host_port(binding.host_port)
            _check_host_ip(binding.host_ip)
    for entry in host.extra_hosts or ():
        _check_extra_host(entry)
    for limit in host.ulimits or ():
        ulimit(limit)
    _check_network_mode(host, config)
    logoptions.check(host.log_config)
    kernelchecks.check(host)


def check_restart_policy(policy: RestartPolicy | None, auto_remove: bool) -> None:
    """Refuse an unknown policy, a retry count without on-failure, and a policy beside AutoRemove."""
    if policy is None:
        return
    name = policy.name
    if auto_remove and name not in ("", "no"):
        raise InvalidArgument("can't create 'AutoRemove' container with restart policy")
    if name and name not in _POLICIES:
        raise InvalidArgument(
            f"invalid restart policy: unknown policy '{name}'; "
            "use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
        )
    if policy.maximum_retry_count and name != "on-failure":
        raise InvalidArgument("invalid restart policy: maximum retry count can only be used with 'on-failure'")
    if policy.maximum_retry_count < 0:
        raise InvalidArgument("invalid restart policy: maximum retry count cannot be negative")


def check_resources(host: HostConfig, *, update: bool = False) -> None:
    """Refuse memory and CPU limits that Docker refuses; an ``update`` holds only what it changes."""
    if host.memory and host.memory < 6 << 20:
        raise InvalidArgument("Minimum memory limit allowed is 6MB")
    if host.memory > 0 and 0 < host.memory_swap < host.memory:
        raise InvalidArgument("Minimum memoryswap limit should be larger than memory limit, see usage")
    if host.memory == 0 and host.memory_swap > 0 and not update:
        raise InvalidArgument("You should always set the Memory limit when using Memoryswap limit, see usage")
    if host.memory_swappiness is not None and not -1 <= host.memory_swappiness <= 100:
        raise InvalidArgument(f"Invalid value: {host.memory_swappiness}, valid memory swappiness range is 0-100")
    if host.memory > 0 and host.memory_reservation > host.memory:
        raise InvalidArgument("Minimum memory limit can not be less than memory reservation limit, see usage")
    kernelchecks.check_resources(host)
    _check_cpus(host)


def _check_cpus(host: HostConfig) -> None:
    if host.nano_cpus and host.cpu_period:
        raise InvalidArgument("Conflicting options: Nano CPUs and CPU Period cannot both be set")
    if host.nano_cpus and host.cpu_quota:
        raise InvalidArgument("Conflicting options: Nano CPUs and CPU Quota cannot both be set")
    count = len(os.sched_getaffinity(0))
    if host.nano_cpus < 0 or host.nano_cpus > count * 10**9:
        raise InvalidArgument(f"range of CPUs is from 0.01 to {count}.00, as there are only {count} CPUs available")
    if host.cpu_period and not 1000 <= host.cpu_period <= 1_000_000:
        raise InvalidArgument("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)")
    if 0 < host.cpu_quota < 1000:
        raise InvalidArgument("CPU cfs quota can not be less than 1ms (i.e. 1000)")


def _check_host_port(text: str) -> None:
    low, dash, high = text.partition("-")
    for part in (low, high) if dash else (low,):
        if part and not (_is_number(part) and int(part) <= 65535):
            raise InvalidArgument(f'invalid port specification: "{text}"')
    if dash and int(low or 0) > int(high or 0):
        raise InvalidArgument(f'invalid port specification: "{text}"')


def _is_number(text: str) -> bool:
    """Digits, and not so many that Python refuses to read them."""
    return text.isascii() and text.isdigit() and len(text) <= 20


def _check_host_ip(text: str) -> None:
    try:
        ipaddress.ip_address(text or "::")
    except ValueError:
        raise InvalidArgument(f'invalid JSON: ParseAddr("{text}"): unable to parse IP') from None


def parse_port(text: str) -> tuple[int, str]:
    """Return (number, protocol) of "80/tcp" or "80"."""
    number, _, protocol = text.partition("/")
    if not (_is_number(number) and int(number) <= 65535):
        raise InvalidArgument(f'invalid port specification: "{text}"')
    protocol = (protocol or "tcp").lower()
    if protocol not in ("tcp", "udp", "sctp"):
        raise InvalidArgument(f'invalid port specification: "{text}"')
    return int(number), protocol


def _check_extra_host(entry: str) -> None:
    separator = "=" if "=" in entry else ":"
    name, found, address = entry.partition(separator)
    if not found or not name:
        raise InvalidArgument(f'bad format for add-host: "{entry}"')
    if address == "host-gateway":
        return
    try:
        ipaddress.ip_address(address.strip("[]"))
    except ValueError:
        raise InvalidArgument(f'invalid IP address in add-host: "{address}"') from None


def _check_network_mode(host: HostConfig, config: Config) -> None:
    mode = host.network_mode
    if mode.startswith("container:"):
        for wrong, what in (
            (config.hostname, "hostname and the network mode"),
            (host.links, "container type network can't be used with links. This would result in undefined behavior"),
            (host.dns, "dns and the network mode"),
            (host.extra_hosts, "custom host-to-IP mapping and the network mode"),
            (host.port_bindings, "port publishing and the container type network mode"),
            (host.publish_all_ports, "port publishing and the container type network mode"),
            (config.exposed_ports, "port exposing and the container type network mode"),
        ):
            if wrong:
                raise InvalidArgument(f"conflicting options: {what}")
    if mode == "host" and host.links:
        what = "host type networking can't be used with links. This would result in undefined behavior"
        raise InvalidArgument(f"conflicting options: {what}")


def check_runtime(runtime: str, backend: str) -> None:
    """Refuse a runtime that /info does not list: a backend is one, by its name."""
    if runtime not in ("", backend):
        raise InvalidArgument(f"unknown or invalid runtime name: {runtime}")


#: HostConfig fields that only some backends give an effect
INEFFECTIVE = (
    "BlkioDeviceReadBps", "BlkioDeviceReadIOps", "BlkioDeviceWriteBps", "BlkioDeviceWriteIOps", "BlkioWeight",
    "BlkioWeightDevice", "CapAdd", "CapDrop", "CgroupParent", "CgroupnsMode", "CpuPeriod", "CpuQuota",
    "CpuRealtimePeriod", "CpuRealtimeRuntime", "CpuShares", "CpusetCpus", "CpusetMems", "DeviceCgroupRules",
    "DeviceRequests", "Devices", "GroupAdd", "Init", "IpcMode", "Memory", "MemoryReservation", "MemorySwap",
    "MemorySwappiness", "NanoCpus", "OomKillDisable", "OomScoreAdj", "PidMode", "PidsLimit", "Privileged",
    "ReadonlyRootfs", "SecurityOpt", "StorageOpt", "Sysctls", "Ulimits", "UsernsMode", "UTSMode",
)  # fmt: skip
_NOTHING: tuple[object, ...] = (None, False, 0, "", [], {}, -1)
#: values that ask for what is so anyway
_AS_IS = {"CgroupnsMode": ("private",), "IpcMode": ("private", "none", "shareable")}


#: setrlimit(2)'s, those that are told inside and not more last
_ENFORCED = ("as", "core", "cpu", "fsize", "nofile", "nproc")
_ULIMITS = (
    *_ENFORCED,
    *("data", "locks", "memlock", "msgqueue", "nice", "rss", "rtprio", "rttime", "sigpending", "stack"),
)


def ulimit(limit: Json) -> Ulimit:
    """Return one of HostConfig.Ulimits; InvalidArgument, in the words of Docker's CLI, for one that cannot be."""
    found = Ulimit(limit.get("Name") or "", int(limit.get("Soft") or 0), int(limit.get("Hard") or 0))
    if found.name not in _ULIMITS:
        raise InvalidArgument(f"invalid ulimit type: {found.name}")
    if found.hard != -1 and (found.soft == -1 or found.soft > found.hard):
        raise InvalidArgument(
            f"ulimit soft limit must be less than or equal to hard limit: {found.soft} > {found.hard}"
        )
    return found


def warnings(asked: Json, honours: Collection[str], backend: str) -> list[str]:
    """Say what was asked for and has no effect on this backend."""
    found = [
        field
        for field in INEFFECTIVE
        if field not in honours and asked.get(field) not in (*_NOTHING, *_AS_IS.get(field, ()))
    ]
    if "Ulimits" in honours:
        limits = [limit.get("Name") for limit in asked.get("Ulimits") or ()]
        found += [f"Ulimit {name}" for name in limits if name not in _ENFORCED]
    return [f"{field} is accepted and has no effect: the {backend} backend cannot apply it" for field in found]


def check_platform(text: str) -> tuple[str, str, str]:
    """Return (os, architecture, variant) of a platform specifier; "" for what it does not say."""
    parts = text.lower().split("/") if text else []
    known_os, known_arch = {"linux", "windows", "darwin", "freebsd"}, set(_ARCHITECTURES)
    if len(parts) > 3 or any(not part or not part.replace("-", "").replace("_", "").isalnum() for part in parts):
        raise InvalidArgument(f'"{text}": cannot parse platform specifier: invalid argument')
    if len(parts) == 1:
        if parts[0] in known_os:
            return parts[0], "", ""
        if parts[0] in known_arch:
            return "linux", _ARCHITECTURES[parts[0]], ""
        raise InvalidArgument(f'"{text}": unknown operating system or architecture: invalid argument')
    operating_system, architecture, variant = (*parts, "", "", "")[:3]
    return operating_system, _ARCHITECTURES.get(architecture, architecture), variant


_ARCHITECTURES = {
    "amd64": "amd64", "x86_64": "amd64", "x86-64": "amd64", "arm64": "arm64", "aarch64": "arm64", "arm": "arm",
    "armhf": "arm", "386": "386", "i386": "386", "ppc64le": "ppc64le", "s390x": "s390x", "riscv64": "riscv64",
    "wasm": "wasm", "wasm32": "wasm",
}  # fmt: skip


def bad_volume(spec: str, why: str) -> EngineError:
    """Docker's answer to a malformed bind (it uses 500 for it)."""
    return EngineError(f"invalid volume specification: '{spec}': {why}")
