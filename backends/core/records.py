"""What the journal keeps: one mutable record per object, plain data, encoded as JSON. Times in ns, 0 = never."""

from __future__ import annotations

import msgspec

from backends.api.types import Json
from backends.core.lifecycle import Status


class ProbeRecord(msgspec.Struct, omit_defaults=True):
    """One run of a health check."""

    start: int
    end: int
    exit_code: int
    output: str


class HealthRecord(msgspec.Struct, omit_defaults=True):
    """Health as inspect shows it; ``log`` holds the last five probes."""

    status: str = "starting"
    failing_streak: int = 0
    log: list[ProbeRecord] = []


class StateRecord(msgspec.Struct, omit_defaults=True):
    """The state of a container; ``status`` changes only through :mod:`backends.core.lifecycle`."""

    status: Status = Status.CREATED
    pid: int = 0
    exit_code: int = 0
    error: str = ""
    oom_killed: bool = False
    started_at: int = 0
    finished_at: int = 0
    health: HealthRecord | None = None


class MountRecord(msgspec.Struct, omit_defaults=True):
    """A mount; ``kind`` bind, volume or tmpfs.

    ``copy_up``: fill an empty volume from the image. ``existing``: a bind whose source is never made.
    """

    kind: str
    destination: str
    source: str = ""
    volume: str = ""
    read_only: bool = False
    mode: str = ""
    propagation: str = ""
    copy_up: bool = True
    existing: bool = False
    anonymous: bool = False
    size: int = 0
    permissions: int | None = None
    uid: int = 0
    gid: int = 0
    from_image: bool = False
    listed: bool = True
    subpath: str = ""
    labels: dict[str, str] | None = None  # of the volume, if it is made for this mount
    options: dict[str, str] | None = None  # the same


class PublishedPort(msgspec.Struct, omit_defaults=True):
    """A port as it is published now."""

    protocol: str
    port: int
    host_ip: str
    host_port: int


class EndpointRecord(msgspec.Struct, omit_defaults=True):
    """A container's place on one network: what was asked for, and what it has while it runs."""

    network_id: str = ""
    ipam_config: Json | None = None
    links: list[str] | None = None
    aliases: list[str] | None = None
    driver_opts: dict[str, str] | None = None
    gw_priority: int = 0
    wanted_mac: str = ""
    endpoint_id: str = ""
    address: str = ""
    prefix: int = 0
    gateway: str = ""
    mac: str = ""
    dns_names: list[str] | None = None


class ContainerRecord(msgspec.Struct, omit_defaults=True):
    """A container. ``image`` is the image's id, ``endpoints`` are by network name."""

    id: str
    name: str
    created: int
    image: str
    path: str
    args: list[str]
    config: Json
    host_config: Json
    state: StateRecord = msgspec.field(default_factory=StateRecord)
    mounts: list[MountRecord] = []
    endpoints: dict[str, EndpointRecord] = {}
    ports: list[PublishedPort] = []
    restart_count: int = 0
    platform: str = "linux"
    manually_stopped: bool = False
    has_run: bool = False
    starting: bool = False  # intent: a start has begun and its outcome is not written
    ready: bool = False  # the driver has prepared it: its creation is complete
    volumes_go: bool = False  # its removal takes its anonymous volumes along


class NetworkRecord(msgspec.Struct, omit_defaults=True):
    """A network."""

    id: str
    name: str
    created: int
    driver: str
    subnet: str = ""
    gateway: str = ""
    ip_range: str = ""
    ipam: Json = {}
    options: dict[str, str] = {}
    labels: dict[str, str] = {}
    internal: bool = False
    attachable: bool = False
    ipv6: bool = False


class VolumeRecord(msgspec.Struct, omit_defaults=True):
    """A volume of the local driver."""

    name: str
    created: int
    labels: dict[str, str] | None = None
    options: dict[str, str] | None = None
    anonymous: bool = False


class ExecRecord(msgspec.Struct, omit_defaults=True):
    """An exec; ``exit_code`` is final before its stream ends."""

    id: str
    container: str
    argv: list[str]
    env: list[str] = []
    user: str = ""
    cwd: str = ""
    tty: bool = False
    privileged: bool = False
    stdin: bool = False
    stdout: bool = False
    stderr: bool = False
    detach_keys: str = ""
    console_size: list[int] | None = None
    started: bool = False
    running: bool = False
    exit_code: int | None = None
    pid: int = 0
    finished_at: int = 0
