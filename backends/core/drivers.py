"""What a backend implements: the interfaces through which the engine touches a running container, and nothing else.

The engine owns every decision (states, names, addresses, merge rules, logs); a driver carries one out. All calls are
made on the worker's event loop; a driver that must block does so in a thread of its own. For one container the engine
never calls two of ``prepare``, ``start``, ``release``, ``connect``, ``disconnect`` at the same time.

Errors: ``StartError`` for a program that cannot be run, ``OSError`` with an errno for a path or a port, any
:mod:`backends.api.errors` class for the rest. A driver never answers success for what has not happened.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from backends.api.types import Change, Json, PathStat
from sandbox.images.image import Image


class StartError(Exception):
    """A program could not be started. ``code`` is 126 or 127, the message is in an OCI runtime's words."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True)
class ExitStatus:
    """How a process ended. ``code`` is 128+n after signal n; ``error`` says why the backend ended it, if it did."""

    code: int
    error: str = ""
    oom_killed: bool = False


@dataclass(frozen=True)
class Credentials:
    """Whom a process runs as, resolved to numbers from the container's own files."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()


@dataclass(frozen=True)
class ExecSpec:
    """One process to start: the main process of a container or an exec beside it.

    ``env`` is complete. ``stdin`` False means that it reads an empty input. ``size`` is (height, width) of a terminal.
    """

    argv: tuple[str, ...]
    env: tuple[str, ...]
    cwd: str = "/"
    user: Credentials = Credentials()
    tty: bool = False
    stdin: bool = False
    size: tuple[int, int] | None = None
    privileged: bool = False
    umask: int = 0o022


@dataclass(frozen=True)
class MountSpec:
    """A mount. ``kind`` bind (``source`` is a host path, directory or file), volume (a host directory) or tmpfs.

    ``source`` "" of a bind or volume: it is not there. No container starts with such a mount; one that does not run
    has no files below its ``destination``, and all its others. Containers that run at the same time have one tmpfs
    where they name the same ``shared``; it goes with the last of them.
    """

    kind: str
    destination: str
    source: str = ""
    read_only: bool = False
    size: int = 0  # tmpfs: bytes, 0 = unlimited
    mode: int | None = None  # tmpfs: permission bits of its root
    owner: tuple[int, int] = (0, 0)  # tmpfs: uid and gid of its root
    shared: str = ""


class Ulimit(NamedTuple):
    """A limit of setrlimit(2) by its name ("nofile"); -1 = none."""

    name: str
    soft: int
    hard: int


@dataclass(frozen=True)
class Limits:
    """Resource limits; 0 = none. ``nano_cpus`` is CPUs x 10^9; ``ulimits`` are each process's."""

    memory: int = 0
    nano_cpus: int = 0
    pids: int = 0
    shm_size: int = 64 << 20
    ulimits: tuple[Ulimit, ...] = ()


@dataclass(frozen=True)
class ContainerSpec:
    """What a driver must know to make a container. ``directory`` is its own place on the host, kept until ``release``.

    ``mounts`` includes the engine's own files (/etc/hosts, /etc/hostname, /etc/resolv.conf) as binds; parents come
    before children.
    """

    id: str
    name: str
    image: Image | None
    directory: Path
    hostname: str
    domainname: str = ""
    mounts: tuple[MountSpec, ...] = ()
    read_only: bool = False
    privileged: bool = False
    limits: Limits = Limits()
    sysctls: dict[str, str] = field(default_factory=dict)
    host_config: Json = field(default_factory=dict)


@dataclass(frozen=True)
class NetworkSpec:
    """A network to provide. ``subnet`` in CIDR; "" for host and none."""

    id: str
    name: str
    driver: str
    subnet: str = ""
    gateway: str = ""
    internal: bool = False


@dataclass(frozen=True)
class EndpointSpec:
    """A container's place on a network. ``names`` are what DNS on that network answers with ``address``.

    ``links`` are what the container alone calls others there: (alias, name), which DNS follows when it is asked.
    """

    id: str
    network: str
    address: str
    prefix: int
    mac: str
    gateway: str
    names: tuple[str, ...] = ()
    links: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class PortSpec:
    """A published port. ``host_port`` 0 asks for a free one."""

    protocol: str
    port: int
    host_ip: str = "0.0.0.0"
    host_port: int = 0


@dataclass(frozen=True)
class ProcessRow:
    """One process of a container, as ``ps`` needs it. Times: ``started`` Unix seconds, ``cpu`` seconds; sizes bytes."""

    pid: int
    ppid: int
    uid: int
    command: str
    argv: str
    user: str = ""
    gid: int = 0
    started: float = 0.0
    cpu: float = 0.0
    tty: str = "?"
    state: str = "S"
    rss: int = 0
    vsz: int = 0


@dataclass(frozen=True)
class Interface:
    """Traffic of one interface since the container's start."""

    rx_bytes: int = 0
    rx_packets: int = 0
    tx_bytes: int = 0
    tx_packets: int = 0


@dataclass(frozen=True)
class Usage:
    """What a container uses now. CPU in nanoseconds since its start, memory in bytes."""

    cpu_user: int = 0
    cpu_system: int = 0
    memory: int = 0
    memory_peak: int = 0
    memory_limit: int = 0
    pids: int = 0
    read_bytes: int = 0
    write_bytes: int = 0
    interfaces: dict[str, Interface] = field(default_factory=dict)


class Process(Protocol):
    """One started process. ``pid`` is the number the user sees; 0 when the backend has none."""

    @property
    def pid(self) -> int: ...

    def output(self) -> AsyncIterator[tuple[int, bytes]]:
        """Yield (1 stdout or 2 stderr, bytes) as written; a terminal yields 1 only. Ends when all writers are gone.

        Called once. What is not consumed holds the writer back.
        """
        ...

    async def write(self, data: bytes) -> None:
        """Write all of it to standard input; BrokenPipeError when nobody reads any more."""
        ...

    def close_stdin(self) -> None: ...

    def resize(self, height: int, width: int) -> None: ...

    def signal(self, number: int) -> None:
        """Deliver a signal; ProcessLookupError when the process is gone."""
        ...

    async def wait(self) -> ExitStatus:
        """Resolve after the process is gone; may be awaited many times."""
        ...


class ProcessLifecycleDriver(Protocol):
    """Containers and their main processes."""

    async def prepare(self, container: ContainerSpec) -> None:
        """Make the container's file system; also called for each container when a worker comes back. Idempotent."""
        ...

    async def start(self, container: ContainerSpec, process: ExecSpec) -> Process:
        """Start the main process; StartError when it cannot run. ``container.mounts`` may have changed since."""
        ...

    async def pause(self, container_id: str) -> None: ...

    async def unpause(self, container_id: str) -> None: ...

    async def update(self, container_id: str, limits: Limits) -> None: ...

    async def top(self, container_id: str) -> list[ProcessRow]: ...

    async def stats(self, container_id: str) -> Usage: ...

    async def stop_all(self, container_id: str) -> None:
        """Kill what is left of the container's processes; nothing of them writes afterwards."""
        ...

    async def release(self, container_id: str) -> None:
        """Remove all that exists of the container. Idempotent."""
        ...


class ExecDriver(Protocol):
    """Processes beside the main one."""

    async def exec(self, container_id: str, process: ExecSpec) -> Process:
        """Start it; StartError when it cannot run."""
        ...


class FilesystemDriver(Protocol):
    """Files of created, running and exited containers, through their volumes.

    Paths are absolute inside the container; links are resolved inside it. OSError tells what is wrong with a path.
    """

    async def stat(self, container_id: str, path: str) -> PathStat:
        """The path itself, not what it links to."""
        ...

    async def read_file(self, container_id: str, path: str, limit: int = 1 << 20) -> bytes: ...

    async def get_archive(self, container_id: str, path: str) -> tuple[PathStat, AsyncIterator[bytes]]:
        """Stat and tar of a path; its top entry is the path's last name, or "./" for a path that ends in "/."."""
        ...

    async def put_archive(
        self,
        container_id: str,
        path: str,
        body: AsyncIterator[bytes],
        no_overwrite: bool,
        owner: Credentials | None,
    ) -> None:
        """Unpack a plain or compressed tar into the existing directory ``path``, as property of ``owner`` if given.

        NotADirectoryError with the text "extraction point is not a directory", EINVAL with what is wrong with the tar.
        """
        ...

    async def changes(self, container_id: str) -> list[Change]: ...

    async def layer(self, container_id: str, without: Collection[str] = ()) -> AsyncIterator[bytes]:
        """What differs from the image as a layer's tar with whiteouts, no mounts in it.

        Empty mount points in ``without`` (absolute paths), and the parents made for them, are left out.
        """
        ...

    async def export(self, container_id: str) -> AsyncIterator[bytes]: ...

    async def usage(self, container_id: str) -> tuple[int, int]:
        """(bytes of the writable layer, bytes of the whole root file system); NotFound once it is released."""
        ...

    async def copy_up(self, container_id: str, path: str, directory: Path) -> None:
        """Copy what the image holds at ``path`` (nothing if absent) into the empty host directory, with owners."""
        ...

    async def fill(self, directory: Path, tar: Path) -> None:
        """Unpack a plain tar into the empty host directory, which containers will mount, with owners."""
        ...


class NetworkDriver(Protocol):
    """Carries out what the engine has decided about networks; addresses and names come from the engine."""

    async def add_network(self, network: NetworkSpec) -> None: ...

    async def remove_network(self, network_id: str) -> None: ...

    async def open_stack(self, container_id: str, mode: str, hosts: dict[str, str]) -> None:
        """Give the container its network stack before its start. ``mode``: isolated, host or container:<full id>."""
        ...

    async def connect(self, container_id: str, endpoint: EndpointSpec) -> None: ...

    async def disconnect(self, container_id: str, endpoint_id: str) -> None: ...

    async def rename(self, container_id: str, endpoint: EndpointSpec) -> None:
        """Give a connected endpoint other names; its connections go on."""
        ...

    async def publish(self, container_id: str, port: PortSpec) -> int:
        """Open a port on the host and return its number; OSError (EADDRINUSE, EACCES) when that fails."""
        ...

    async def unpublish(self, container_id: str, port: PortSpec) -> None:
        """Close a port of the host that `publish` opened with this address and number."""
        ...

    async def close_stack(self, container_id: str) -> None:
        """Close the stack, its endpoints and published ports. Idempotent."""
        ...


@dataclass(frozen=True)
class Drivers:
    """A backend, as the engine sees it. ``name`` is the backend's, ``storage`` what inspect calls Driver."""

    name: str
    lifecycle: ProcessLifecycleDriver
    exec: ExecDriver
    files: FilesystemDriver
    network: NetworkDriver
    storage: str = "sockerless"
    kernel_version: str = ""
    operating_system: str = ""
    #: HostConfig fields that this backend gives an effect, beyond those every backend has
    honours: frozenset[str] = frozenset()
