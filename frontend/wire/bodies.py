"""The bodies that Docker's API takes, field by field, and the rules by which a body is read at all.

Source of the fields: Docker Engine API 1.51, ContainerConfig, HostConfig, NetworkingConfig, ExecConfig and so on.
"""

from __future__ import annotations

from typing import Any

import msgspec

from frontend.wire.errors import BadRequest
from frontend.wire.shapes import (
    Shape,
    anything,
    empty,
    fields_of,
    flag,
    items,
    number,
    pair,
    record,
    string,
    string_table,
    strings,
    table,
    uint16,
    uint32,
    uint64,
    words,
)

_HEALTH = record(
    "HealthConfig", Test=strings, **fields_of(number, "Interval Timeout StartPeriod StartInterval Retries")
)
_CONFIG: dict[str, Shape] = {
    **fields_of(string, "Hostname Domainname User Image WorkingDir MacAddress StopSignal"),
    **fields_of(flag, "AttachStdin AttachStdout AttachStderr Tty OpenStdin StdinOnce ArgsEscaped NetworkDisabled"),
    **fields_of(strings, "Env OnBuild"),
    **fields_of(words, "Cmd Entrypoint Shell"),
    **fields_of(table(empty, {}), "ExposedPorts Volumes"),
    "Labels": string_table,
    "Healthcheck": _HEALTH,
    "StopTimeout": number,
}
_IPAM = record("EndpointIPAMConfig", **fields_of(string, "IPv4Address IPv6Address"), LinkLocalIPs=strings)
_ENDPOINT = record(
    "EndpointSettings",
    IPAMConfig=_IPAM,
    DriverOpts=string_table,
    **fields_of(strings, "Links Aliases DNSNames"),
    **fields_of(string, "MacAddress NetworkID EndpointID Gateway IPAddress IPv6Gateway GlobalIPv6Address"),
    **fields_of(number, "GwPriority IPPrefixLen GlobalIPv6PrefixLen"),
)
_MOUNT = record(
    "Mount",
    **fields_of(string, "Type Source Target Consistency"),
    ReadOnly=flag,
    BindOptions=record(
        "BindOptions",
        Propagation=string,
        **fields_of(flag, "NonRecursive CreateMountpoint ReadOnlyNonRecursive ReadOnlyForceRecursive"),
    ),
    VolumeOptions=record(
        "VolumeOptions",
        NoCopy=flag,
        Labels=string_table,
        Subpath=string,
        DriverConfig=record("Driver", Name=string, Options=string_table),
    ),
    ImageOptions=record("ImageOptions", Subpath=string),
    TmpfsOptions=record("TmpfsOptions", SizeBytes=number, Mode=uint32, Options=items(strings, None)),
)
_RESTART = record("RestartPolicy", Name=string, MaximumRetryCount=number)
_THROTTLES = items(record("ThrottleDevice", Path=string, Rate=uint64), {})
_RESOURCES: dict[str, Shape] = {
    **fields_of(
        number,
        "CpuShares Memory NanoCpus CpuPeriod CpuQuota CpuRealtimePeriod CpuRealtimeRuntime KernelMemory KernelMemoryTCP"
        " MemoryReservation MemorySwap MemorySwappiness PidsLimit CpuCount CpuPercent",
    ),
    **fields_of(uint64, "IOMaximumIOps IOMaximumBandwidth"),
    **fields_of(_THROTTLES, "BlkioDeviceReadBps BlkioDeviceWriteBps BlkioDeviceReadIOps BlkioDeviceWriteIOps"),
    "BlkioWeight": uint16,
    "BlkioWeightDevice": items(record("WeightDevice", Path=string, Weight=uint16), {}),
    **fields_of(string, "CgroupParent CpusetCpus CpusetMems"),
    "OomKillDisable": flag,
    "DeviceCgroupRules": strings,
    "Devices": items(record("DeviceMapping", **fields_of(string, "PathOnHost PathInContainer CgroupPermissions")), {}),
    "Ulimits": items(record("Ulimit", Name=string, Soft=number, Hard=number), {}),
    "DeviceRequests": items(
        record(
            "DeviceRequest",
            Driver=string,
            Count=number,
            DeviceIDs=strings,
            Capabilities=items(strings, None),
            Options=string_table,
        ),
        {},
    ),
}
_HOST_CONFIG = record(
    "HostConfig",
    **_RESOURCES,
    **fields_of(
        strings,
        "Binds CapAdd CapDrop Dns DnsOptions DnsSearch ExtraHosts GroupAdd Links SecurityOpt VolumesFrom"
        " MaskedPaths ReadonlyPaths",
    ),
    **fields_of(
        string,
        "ContainerIDFile NetworkMode VolumeDriver CgroupnsMode IpcMode Cgroup PidMode UTSMode UsernsMode"
        " Runtime Isolation",
    ),
    **fields_of(flag, "AutoRemove Privileged PublishAllPorts ReadonlyRootfs Init"),
    **fields_of(number, "OomScoreAdj ShmSize"),
    **fields_of(string_table, "Tmpfs Sysctls StorageOpt Annotations"),
    LogConfig=record("LogConfig", Type=string, Config=string_table),
    PortBindings=table(items(record("PortBinding", HostIp=string, HostPort=string), {})),
    RestartPolicy=_RESTART,
    Mounts=items(_MOUNT, {}),
    ConsoleSize=pair(uint32),
)
CREATE_CONTAINER = record(
    "CreateRequest",
    **_CONFIG,
    HostConfig=_HOST_CONFIG,
    NetworkingConfig=record("NetworkingConfig", EndpointsConfig=table(_ENDPOINT)),
)
COMMIT = record("ContainerConfig", **_CONFIG)
UPDATE_CONTAINER = record("UpdateConfig", **_RESOURCES, RestartPolicy=_RESTART)
CREATE_EXEC = record(
    "ExecOptions",
    **fields_of(string, "User WorkingDir DetachKeys"),
    **fields_of(flag, "Privileged Tty AttachStdin AttachStdout AttachStderr Detach"),
    Env=strings,
    Cmd=words,
    ConsoleSize=pair(uint32),
)
START_EXEC = record("ExecStartOptions", **fields_of(flag, "Detach Tty"), ConsoleSize=pair(uint32))
CREATE_NETWORK = record(
    "CreateRequest",
    **fields_of(string, "Name Driver Scope"),
    **fields_of(flag, "CheckDuplicate Internal Attachable Ingress ConfigOnly EnableIPv4 EnableIPv6"),
    **fields_of(string_table, "Options Labels"),
    ConfigFrom=record("ConfigReference", Network=string),
    IPAM=record(
        "IPAM",
        Driver=string,
        Options=string_table,
        Config=items(
            record("IPAMConfig", **fields_of(string, "Subnet IPRange Gateway"), AuxiliaryAddresses=string_table), {}
        ),
    ),
)
CONNECT_NETWORK = record("ConnectOptions", Container=string, EndpointConfig=_ENDPOINT)
DISCONNECT_NETWORK = record("DisconnectOptions", Container=string, Force=flag)
CREATE_VOLUME = record(
    "CreateOptions",
    **fields_of(string, "Name Driver"),
    **fields_of(string_table, "DriverOpts Labels"),
    ClusterVolumeSpec=anything,
)
AUTH = record("AuthConfig", **fields_of(string, "username password email serveraddress identitytoken registrytoken"))

NO_BODY = "invalid JSON: got EOF while reading request body"
_decode = msgspec.json.Decoder().decode


def parse_body(data: bytes, content_type: str | None, shape: Shape) -> dict[str, Any] | None:
    """Return the object that a request carries, None when it has no body. Raises BadRequest in the daemon's words."""
    if not data:
        return None
    _check_type(content_type or "")
    try:
        decoded = _decode(data.decode(errors="replace"))  # as Go's decoder does with bytes that are no UTF-8
    except msgspec.DecodeError as error:
        raise BadRequest(_go_error(data, str(error))) from error
    except RecursionError as error:
        raise BadRequest("invalid JSON: exceeded max depth") from error
    if decoded is None:
        return {}
    if not isinstance(decoded, dict):
        raise BadRequest("invalid JSON: json: cannot unmarshal value into Go value of type object")
    result: dict[str, Any] = shape(decoded, "")
    return result


def _check_type(content_type: str) -> None:
    kind = content_type.partition(";")[0].strip().lower()
    if not kind:
        raise BadRequest("malformed Content-Type header (): mime: no media type")
    if kind != "application/json":
        raise BadRequest(f"unsupported Content-Type header ({content_type}): must be 'application/json'")


def _go_error(data: bytes, message: str) -> str:
    if not data.strip():
        return NO_BODY
    if "truncated" in message:
        return "invalid JSON: unexpected EOF"
    if "trailing" in message:
        return "unexpected content after JSON"
    return f"invalid JSON: {message}"
