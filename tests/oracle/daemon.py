"""Debian's dockerd as the reference, in namespaces of its own, so that nothing of it is seen or left on the host.

Resource handling: `unshare --kill-child` makes the death of one process the end of dockerd, its containerd, shims and
containers, of its bridges, firewall rules and mounts; the parent-death signal makes the death of the test run that
death. What namespaces do not hold (a folder under the temporary directory, control groups) is removed at the end,
and what a killed run left of them is removed by the next start.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.oracle import rootfs
from tests.oracle.tools import SEARCH, tool

PREFIX = "sockerless-oracle-"
BASE_IMAGE = "sockerless/base:latest"
START_SECONDS = 60.0
CGROUPS = Path("/sys/fs/cgroup")
NAMESPACES = ("--mount", "--net", "--pid", "--ipc", "--uts", "--fork", "--mount-proc", "--kill-child=KILL")
SCRIPT = """set -e
hostname oracle
mount -t tmpfs tmpfs /run
ip link set lo up
# dockerd gives ports out from the first on that the kernel gives its clients; where one of those is in use over IPv4,
# dockerd 20.10 publishes another port over IPv6 ever after (moby issue 42442).
echo 32768-36863 > /proc/sys/net/ipv4/ip_local_reserved_ports
"$@" &
wait $!
"""


class Oracle:
    """A running dockerd. `host` is its DOCKER_HOST; clients that need its published ports run behind `prefix`."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes]) -> None:
        self.folder = folder
        self.socket = folder / "docker.sock"
        self.host = f"unix://{self.socket}"
        self._process = process

    @property
    def prefix(self) -> tuple[str, ...]:
        """The command that runs another one in dockerd's network namespace (loopback included)."""
        return (tool("nsenter"), f"--net=/proc/{_only_child(self._process.pid)}/ns/net")

    def dockerd_pid(self) -> int:
        """The process id of dockerd as the host sees it."""
        return _only_child(_only_child(self._process.pid))

    def processes(self) -> dict[str, int]:
        """Its processes as the host sees them: `frontend` is dockerd, `worker` its containerd."""
        dockerd = self.dockerd_pid()
        return {"frontend": dockerd, "worker": _only_child(dockerd)}

    def log(self) -> str:
        return (self.folder / "dockerd.log").read_text(errors="replace")

    def wait_ready(self) -> None:
        """Returns once dockerd answers. Raises RuntimeError with its log if it ends or takes too long."""
        deadline = time.monotonic() + START_SECONDS
        while not ping(self.socket):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"dockerd did not start:\n{self.log()[-4000:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        _sweep(self.folder)


@contextlib.contextmanager
def running(*, base_image: bool = True, programs: Path | None = None) -> Iterator[Oracle]:
    """A dockerd that answers and, unless told otherwise, has the image `sockerless/base`.

    `programs` is a folder with another dockerd and containerd than the system's.
    """
    remove_leftovers()
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
    oracle = Oracle(folder, _spawn(folder, programs))
    try:
        oracle.wait_ready()
        if base_image:
            add_base_image(oracle)
        yield oracle
    finally:
        oracle.stop()


def add_base_image(oracle: Oracle) -> None:
    """Makes the image `sockerless/base` of the host's busybox, bash and rsync."""
    import_image(oracle.host, rootfs.build(), BASE_IMAGE)


def import_image(host: str, tar: bytes, name: str, *changes: str) -> None:
    """Makes a one-layer image from the tar of a root file system, as `docker import` does."""
    options = [f"--change={change}" for change in (f"ENV {rootfs.PATH}", 'CMD ["sh"]', "WORKDIR /", *changes)]
    command = [tool("docker"), "import", *options, "-", name]
    subprocess.run(command, input=tar, check=True, capture_output=True, env={"DOCKER_HOST": host, "PATH": SEARCH})


def ping(path: Path) -> bool:
    """Whether an engine answers /_ping on this socket."""
    connection = http.client.HTTPConnection("localhost", timeout=5)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(5)
    try:
        connection.sock.connect(str(path))
        connection.request("GET", "/_ping")
        return connection.getresponse().read() == b"OK"
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def remove_leftovers() -> None:
    """Removes what test runs that no longer live have left."""
    folders = [*Path(tempfile.gettempdir()).glob(f"{PREFIX}*"), *CGROUPS.glob(f"*/{PREFIX}*")]
    for folder in folders:
        owner = folder.name.removeprefix(PREFIX).split("-")[0]
        if not Path(f"/proc/{owner}").exists():
            _sweep(Path(tempfile.gettempdir()) / folder.name)


def _spawn(folder: Path, programs: Path | None) -> subprocess.Popen[bytes]:
    dockerd = [
        str(programs / "dockerd") if programs else tool("dockerd"), "--host", f"unix://{folder}/docker.sock",
        "--data-root", f"{folder}/data",
        "--exec-root", "/run/docker", "--pidfile", "/run/dockerd.pid", "--cgroup-parent", f"/{folder.name}",
        "--storage-driver", "overlay2", "--bip", "172.30.0.1/16",
        "--default-address-pool", "base=172.31.0.0/16,size=24",
    ]  # fmt: skip
    for name in ("runc", "iptables", "ip"):
        tool(name)
    isolate = [tool("setpriv"), "--pdeathsig", "KILL", tool("unshare"), *NAMESPACES]
    command = [*isolate, "sh", "-c", SCRIPT, "oracle", *dockerd]
    search = f"{programs}:{SEARCH}" if programs else SEARCH
    with (folder / "dockerd.log").open("wb") as log:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={"PATH": search})


def _only_child(pid: int) -> int:
    children = [task.read_text() for task in Path(f"/proc/{pid}/task").glob("*/children")]
    return int("".join(children).split()[0])


def _sweep(folder: Path) -> None:
    for top in CGROUPS.glob(f"*/{folder.name}"):
        for path, _, _ in os.walk(top, topdown=False):
            _remove_cgroup(path)
    shutil.rmtree(folder, ignore_errors=True)


def _remove_cgroup(path: str) -> None:
    """A control group can be removed a moment after its last process was killed, not before."""
    deadline = time.monotonic() + 5
    while os.path.isdir(path):
        try:
            os.rmdir(path)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
