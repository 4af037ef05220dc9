"""What a container and a process of it are to be: the facade's input and output types."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.images.tree import LowerTree
from sandbox.wasm.net import Stack

Content = bytes | Callable[[], bytes]


class ExecError(Exception):
    """A program could not be started. `code` is 126 or 127, `message` in the words of an OCI runtime."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Mount:
    """`kind` bind or volume (`source`: a host directory or file) or tmpfs (`size` in bytes; `mode` and `owner`).

    A tmpfs of size 0 gets as big as the container's memory may, without a limit half of the machine's. Containers that
    run at the same time have one tmpfs where they name the same `shared`; it is as the first of them asked for.
    """

    kind: str
    destination: str
    source: str = ""
    read_only: bool = False
    size: int = 0
    mode: int | None = None
    owner: tuple[int, int] = (0, 0)
    shared: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """0: none. `memory` bytes, `cpus` processors (told, not enforced).

    `ulimits`: of setrlimit(2), by name ("nofile"), soft and hard, -1 for none; what a first process has.
    """

    memory: int = 0
    cpus: float = 0.0
    pids: int = 0
    shm_size: int = 64 << 20
    ulimits: Sequence[tuple[str, int, int]] = ()


@dataclass(frozen=True, slots=True)
class SandboxSpec:
    """`lower` is the image's merged tree; `state` the writable layer's folder; `files` appear at absolute paths.

    A callable in `files` is asked when its file is opened (it is read-only then); bytes make a file that the container
    may change and that is fresh at each start. `init`: the main process is treated as the child of an init.
    """

    id: str
    hostname: str
    lower: LowerTree
    state: Path
    stack: Stack | None = None
    domainname: str = ""
    mounts: tuple[Mount, ...] = ()
    files: Mapping[str, Content] = field(default_factory=dict)
    limits: Limits = Limits()
    read_only: bool = False
    init: bool = False


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """`env` ("NAME=value") is complete. Without `stdin` the process reads an empty input. `size`: (rows, columns)."""

    argv: tuple[str, ...]
    env: tuple[str, ...] = ()
    cwd: str = "/"
    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    tty: bool = False
    stdin: bool = False
    size: tuple[int, int] | None = None
    umask: int = 0o022


@dataclass(frozen=True, slots=True)
class ExitStatus:
    """`code` is what a shell would call it: 128 + `signal` when a signal ended the process."""

    code: int
    signal: int = 0
    out_of_memory: bool = False


@dataclass(frozen=True, slots=True)
class ProcessInfo:
    """One process as ps shows it; `started` in seconds since 1970, `cpu` in seconds, `memory` in bytes."""

    pid: int
    ppid: int
    pgid: int
    sid: int
    uid: int
    gid: int
    state: str
    name: str
    argv: tuple[str, ...]
    tty: str
    nice: int
    started: float
    cpu: float
    memory: int


@dataclass(frozen=True, slots=True)
class Usage:
    """What a container uses now; `cpu` nanoseconds, the rest bytes or numbers since its start."""

    cpu: int
    memory: int
    memory_peak: int
    memory_limit: int
    pids: int
    read: int
    written: int
