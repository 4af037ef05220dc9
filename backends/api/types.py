"""What travels between a frontend and a worker: frozen structs, Docker's field names on the wire.

Times are strings in RFC 3339 with nanoseconds (``ZERO_TIME`` where Docker says "never"), sizes are bytes, durations
nanoseconds. ``Config`` and ``HostConfig`` stay JSON objects: fields this version does not know are kept and echoed; the
engine reads the ones that have an effect through typed views of its own.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

Json: TypeAlias = dict[str, Any]
Filters: TypeAlias = dict[str, list[str]]
ZERO_TIME = "0001-01-01T00:00:00Z"


class Wire(msgspec.Struct, frozen=True, rename="pascal", kw_only=True):
    """Base of all wire types."""


# -- containers


class CreateContainer(Wire, frozen=True, kw_only=True):
    """``name`` "" = generated. ``config`` is Docker's ContainerConfig, keys already in Docker's case."""

    name: str = ""
    platform: str = ""
    config: Json | None = None
    host_config: Json = {}
    networking_config: Json = {}


class Created(Wire, frozen=True, kw_only=True):
    """The new object's id and what the user should know about it."""

    id: str
    warnings: list[str] = []


class HealthProbe(Wire, frozen=True, kw_only=True):
    """One run of a health check."""

    start: str
    end: str
    exit_code: int
    output: str


class Health(Wire, frozen=True, kw_only=True):
    """``status``: starting, healthy or unhealthy; ``log`` holds the last five probes."""

    status: str
    failing_streak: int = 0
    log: list[HealthProbe] = []


class State(Wire, frozen=True, kw_only=True, omit_defaults=False):
    """``status``: created, running, paused, restarting, removing, exited or dead."""

    status: str
    running: bool = False
    paused: bool = False
    restarting: bool = False
    oom_killed: bool = msgspec.field(name="OOMKilled", default=False)
    dead: bool = False
    pid: int = 0
    exit_code: int = 0
    error: str = ""
    started_at: str = ZERO_TIME
    finished_at: str = ZERO_TIME
    health: Health | msgspec.UnsetType = msgspec.UNSET


class Mount(Wire, frozen=True, kw_only=True):
    """One mount of a container. ``type``: bind, volume or tmpfs."""

    type: str
    name: str | msgspec.UnsetType = msgspec.UNSET
    source: str = ""
    destination: str
    driver: str | msgspec.UnsetType = msgspec.UNSET
    mode: str = ""
    rw: bool = msgspec.field(name="RW", default=True)
    propagation: str = ""


class Endpoint(Wire, frozen=True, kw_only=True):
    """A container's place on one network."""

    ipam_config: Json | None = msgspec.field(name="IPAMConfig", default=None)
    links: list[str] | None = None
    aliases: list[str] | None = None
    mac_address: str = ""
    driver_opts: dict[str, str] | None = None
    gw_priority: int = 0
    network_id: str = msgspec.field(name="NetworkID", default="")
    endpoint_id: str = msgspec.field(name="EndpointID", default="")
    gateway: str = ""
    ip_address: str = msgspec.field(name="IPAddress", default="")
    ip_prefix_len: int = msgspec.field(name="IPPrefixLen", default=0)
    ipv6_gateway: str = msgspec.field(name="IPv6Gateway", default="")
    global_ipv6_address: str = msgspec.field(name="GlobalIPv6Address", default="")
    global_ipv6_prefix_len: int = msgspec.field(name="GlobalIPv6PrefixLen", default=0)
    dns_names: list[str] | None = msgspec.field(name="DNSNames", default=None)


class PortBinding(Wire, frozen=True, kw_only=True):
    """Where a port is published on the host."""

    host_ip: str = msgspec.field(name="HostIp", default="")
    host_port: str = ""


class NetworkSettings(Wire, frozen=True, kw_only=True):
    """Networks by name; ``ports`` maps "80/tcp" to its bindings, or to null when exposed only."""

    networks: dict[str, Endpoint] = {}
    ports: dict[str, list[PortBinding] | None] = {}
    sandbox_id: str = msgspec.field(name="SandboxID", default="")
    sandbox_key: str = ""


class Container(Wire, frozen=True, kw_only=True):
    """All that inspect says of a container, before a dialect renders it."""

    id: str
    name: str  # with its leading slash
    created: str
    path: str
    args: list[str]
    state: State
    image: str  # the image's id, sha256:…
    config: Json
    host_config: Json
    network_settings: NetworkSettings
    mounts: list[Mount] = []
    restart_count: int = 0
    driver: str = ""
    platform: str = "linux"
    log_path: str = ""
    hostname_path: str = ""
    hosts_path: str = ""
    resolv_conf_path: str = ""
    exec_ids: list[str] | None = msgspec.field(name="ExecIDs", default=None)
    size_rw: int | None = None
    size_root_fs: int | None = None


class Port(Wire, frozen=True, kw_only=True):
    """A port in a container list."""

    ip: str | msgspec.UnsetType = msgspec.field(name="IP", default=msgspec.UNSET)
    private_port: int
    public_port: int | msgspec.UnsetType = msgspec.UNSET
    type: str


class ListedNetworks(Wire, frozen=True, kw_only=True):
    """{name: Endpoint} as it was encoded. PERF: most of a row, and nobody on the way looks into it."""

    networks: msgspec.Raw = msgspec.Raw(b"{}")


class ContainerSummary(Wire, frozen=True, kw_only=True):
    """One row of a container list; ``created`` in Unix seconds, ``status`` is Docker's human text ("Up 5 minutes")."""

    id: str
    names: list[str]
    image: str
    image_id: str = msgspec.field(name="ImageID")
    command: str
    created: int
    ports: list[Port]
    labels: dict[str, str]
    state: str
    status: str
    host_config: Json  # {"NetworkMode": …}
    network_settings: ListedNetworks
    mounts: list[Mount]
    size_rw: int | msgspec.UnsetType = msgspec.UNSET
    size_root_fs: int | msgspec.UnsetType = msgspec.UNSET


class ExitResult(Wire, frozen=True, kw_only=True):
    """The outcome of a wait."""

    status_code: int
    error: str = ""


class Top(Wire, frozen=True, kw_only=True):
    """A process list as ``ps`` titles and rows."""

    titles: list[str]
    processes: list[list[str]]


class Change(Wire, frozen=True, kw_only=True):
    """A changed path. ``kind``: 0 modified, 1 added, 2 deleted."""

    path: str
    kind: int


class PathStat(Wire, frozen=True, kw_only=True, rename=None):
    """What docker cp wants to know of a path, in Docker's lower-case names; ``mode`` is Go's FileMode."""

    name: str
    size: int
    mode: int
    mtime: str
    linkTarget: str = ""


class AttachOptions(Wire, frozen=True, kw_only=True):
    """Which streams, and whether what was logged so far comes first."""

    stdin: bool = False
    stdout: bool = False
    stderr: bool = False
    stream: bool = False
    logs: bool = False
    detach_keys: str = ""


class LogOptions(Wire, frozen=True, kw_only=True):
    """``since`` and ``until`` in nanoseconds since the epoch (0 = unset), ``tail`` -1 = all."""

    stdout: bool = False
    stderr: bool = False
    follow: bool = False
    timestamps: bool = False
    details: bool = False
    tail: int = -1
    since: int = 0
    until: int = 0


# -- exec


class CreateExec(Wire, frozen=True, kw_only=True):
    """Docker's ExecConfig."""

    cmd: list[str] = []
    env: list[str] = []
    user: str = ""
    working_dir: str = ""
    tty: bool = False
    privileged: bool = False
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    detach_keys: str = ""
    console_size: list[int] | None = None


class StartExec(Wire, frozen=True, kw_only=True):
    """``console_size`` is [height, width]."""

    detach: bool = False
    tty: bool = False
    console_size: list[int] | None = None


class ProcessConfig(Wire, frozen=True, kw_only=True, rename=None, omit_defaults=True):
    """The command of an exec, in Docker's lower-case names; no ``user`` when none was asked for."""

    tty: bool
    entrypoint: str
    arguments: list[str]
    privileged: bool
    user: str = ""


class Exec(Wire, frozen=True, kw_only=True):
    """``exit_code`` is None while it runs or has not run."""

    id: str = msgspec.field(name="ID")
    running: bool
    exit_code: int | None
    process_config: ProcessConfig
    open_stdin: bool
    open_stderr: bool
    open_stdout: bool
    can_remove: bool
    container_id: str = msgspec.field(name="ContainerID")
    detach_keys: str
    pid: int


# -- images


class Image(Wire, frozen=True, kw_only=True):
    """All that inspect says of an image."""

    id: str
    repo_tags: list[str]
    repo_digests: list[str]
    parent: str
    comment: str
    created: str
    author: str
    config: Json
    architecture: str
    variant: str
    os: str
    size: int
    layers: list[str]  # diff ids
    last_tag_time: str = ZERO_TIME
    docker_version: str = ""


class ImageSummary(Wire, frozen=True, kw_only=True):
    """One row of an image list; -1 = not computed."""

    id: str
    parent_id: str
    repo_tags: list[str]
    repo_digests: list[str]
    created: int
    size: int
    shared_size: int = -1
    labels: dict[str, str] | None = None
    containers: int = -1


class ImageHistory(Wire, frozen=True, kw_only=True):
    """One step of an image's making."""

    id: str
    created: int
    created_by: str
    tags: list[str] | None
    size: int
    comment: str


class RemovedImage(Wire, frozen=True, kw_only=True):
    """Exactly one of the two is set."""

    untagged: str | msgspec.UnsetType = msgspec.UNSET
    deleted: str | msgspec.UnsetType = msgspec.UNSET


class Progress(Wire, frozen=True, kw_only=True, rename=None):
    """One line of a pull, push, load or build as Docker streams it."""

    stream: str | msgspec.UnsetType = msgspec.UNSET
    status: str | msgspec.UnsetType = msgspec.UNSET
    id: str | msgspec.UnsetType = msgspec.UNSET
    progress: str | msgspec.UnsetType = msgspec.UNSET
    progressDetail: Json | msgspec.UnsetType = msgspec.UNSET
    aux: Json | msgspec.UnsetType = msgspec.UNSET
    errorDetail: Json | msgspec.UnsetType = msgspec.UNSET
    error: str | msgspec.UnsetType = msgspec.UNSET


class BuildImage(Wire, frozen=True, kw_only=True):
    """Docker's POST /build. ``host_config`` holds the limits of RUN's containers, ``auths`` credentials by registry.

    ``remote`` "" = the body is the context. ``secrets`` maps an id to a path in the context (podman's way: the classic
    API has no session). ``build_args``: null = named without a value.
    """

    tags: list[str] = []
    dockerfile: str = ""
    remote: str = ""
    quiet: bool = False
    no_cache: bool = False
    cache_from: list[str] = []
    pull: bool = False
    remove: bool = True
    force_remove: bool = False
    build_args: dict[str, str | None] = {}
    labels: dict[str, str] = {}
    target: str = ""
    platform: str = ""
    network_mode: str = ""
    extra_hosts: list[str] = []
    host_config: Json = {}
    auths: Json = {}
    secrets: dict[str, str] = {}


class ImportImage(Wire, frozen=True, kw_only=True):
    """Docker's POST /images/create?fromSrc. ``source`` "-" = the body is the root file system's tar, else its URL."""

    source: str = "-"
    repo: str = ""
    tag: str = ""
    message: str = ""
    changes: list[str] = []
    platform: str = ""


class KeepCache(Wire, frozen=True, kw_only=True):
    """How much of the build cache a prune leaves, in bytes, 0 = unset: at least, at most, and how much free disk."""

    reserved_space: int = 0
    max_used_space: int = 0
    min_free_space: int = 0


class CommitContainer(Wire, frozen=True, kw_only=True):
    """Docker's POST /commit. ``config`` null = the container's; ``changes`` are Dockerfile lines."""

    repo: str = ""
    tag: str = ""
    comment: str = ""
    author: str = ""
    pause: bool = True
    changes: list[str] = []
    config: Json | None = None


class SearchResult(Wire, frozen=True, kw_only=True, rename=None):
    """One repository that a registry's index found, in the protocol's names."""

    star_count: int
    is_official: bool
    name: str
    is_automated: bool
    description: str


class DistributionInspect(Wire, frozen=True, kw_only=True):
    """What a reference is at its registry: an OCI descriptor, and the OCI platforms it offers."""

    descriptor: Json
    platforms: list[Json] | None = None


# -- networks and volumes


class Network(Wire, frozen=True, kw_only=True):
    """A network; ``containers`` maps container id to {Name, EndpointID, MacAddress, IPv4Address, IPv6Address}."""

    name: str
    id: str
    created: str
    scope: str
    driver: str
    enable_ipv4: bool = msgspec.field(name="EnableIPv4", default=True)
    enable_ipv6: bool = msgspec.field(name="EnableIPv6", default=False)
    ipam: Json = msgspec.field(name="IPAM")
    internal: bool
    attachable: bool
    ingress: bool
    config_from: Json = msgspec.field(default_factory=lambda: {"Network": ""})
    config_only: bool = False
    containers: dict[str, Json] = {}
    options: dict[str, str] = {}
    labels: dict[str, str] = {}


class Volume(Wire, frozen=True, kw_only=True):
    """A named or anonymous volume."""

    created_at: str
    driver: str
    labels: dict[str, str] | None
    mountpoint: str
    name: str
    options: dict[str, str] | None
    scope: str
    usage_data: Json | msgspec.UnsetType = msgspec.UNSET


class Pruned(Wire, frozen=True, kw_only=True):
    """Ids or names of what was deleted, and the bytes that came free."""

    deleted: list[str]
    space_reclaimed: int = 0


# -- system


class Event(Wire, frozen=True, kw_only=True, rename=None):
    """One event; ``time`` in seconds, ``timeNano`` in nanoseconds."""

    Type: str
    Action: str
    Actor: Json  # {"ID": …, "Attributes": {…}}
    scope: str
    time: int
    timeNano: int


class Info(Wire, frozen=True, kw_only=True):
    """What a worker knows of itself; a frontend adds its own part of ``docker info``."""

    id: str = msgspec.field(name="ID")
    backend: str
    name: str
    driver: str
    containers: int
    containers_running: int
    containers_paused: int
    containers_stopped: int
    images: int
    kernel_version: str
    operating_system: str
    os_version: str = msgspec.field(name="OSVersion", default="")
    os_type: str = msgspec.field(name="OSType", default="linux")
    architecture: str
    ncpu: int = msgspec.field(name="NCPU")
    mem_total: int
    docker_root_dir: str
    server_version: str
    system_time: str
    warnings: list[str] = []
    insecure_registries: list[str] = []
    registry_mirrors: list[str] = []
    http_proxy: str = ""  # of the environment, without credentials
    https_proxy: str = ""
    no_proxy: str = ""
    labels: list[str] = []
    driver_status: list[list[str]] = []
    runtimes: list[str] = []  # where several workers answer as one: their backends' names
    memory_limit: bool = False  # which limits of a HostConfig hold
    swap_limit: bool = False
    cpu_cfs_period: bool = False
    cpu_cfs_quota: bool = False
    cpu_shares: bool = msgspec.field(name="CPUShares", default=False)
    cpu_set: bool = msgspec.field(name="CPUSet", default=False)
    pids_limit: bool = False
    oom_kill_disable: bool = False


class DiskUsage(Wire, frozen=True, kw_only=True):
    """``docker system df``, by object."""

    layers_size: int
    images: list[ImageSummary]
    containers: list[ContainerSummary]
    volumes: list[Volume]
    build_cache: list[Json] = []
