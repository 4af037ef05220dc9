"""Debian's podman as another reference: its service, Docker's API included, in namespaces of its own with runc."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.oracle import rootfs
from tests.oracle.daemon import BASE_IMAGE, CGROUPS, NAMESPACES, PREFIX, Oracle, import_image, remove_leftovers
from tests.oracle.tools import SEARCH, tool

#: crun refuses this kind of control groups; a container's limits may not be above the service's own.
CONFIGURATION = """[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
[network]
network_config_dir = "{folder}/networks"
"""
SCRIPT = """set -e
hostname podman
mount -t tmpfs tmpfs /run
ip link set lo up
"$@" &
wait $!
"""


@contextlib.contextmanager
def running() -> Iterator[Oracle]:
    """A podman service that answers and has the image `sockerless/base`."""
    remove_leftovers()
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
    oracle = Oracle(folder, _spawn(folder))
    try:
        oracle.wait_ready()
        import_image(oracle.host, rootfs.build(), BASE_IMAGE)
        yield oracle
    finally:
        oracle.stop()
        _remove_cgroups()


def _remove_cgroups() -> None:
    """Podman's have a fixed name; those of a podman that lives are not empty and stay."""
    for top in CGROUPS.glob("*/libpod_parent"):
        for path, _, _ in os.walk(top, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(path)


def _spawn(folder: Path) -> subprocess.Popen[bytes]:
    (folder / "containers.conf").write_text(CONFIGURATION.replace("{folder}", str(folder)))
    for name in ("root", "tmp", "home", "networks"):
        (folder / name).mkdir()
    podman = [
        tool("podman"), "--root", f"{folder}/root", "--runroot", "/run/podman-root", "--tmpdir", f"{folder}/tmp",
        "--storage-driver", "overlay", "--runtime", tool("runc"),
        "system", "service", "--time", "0", f"unix://{folder}/docker.sock",
    ]  # fmt: skip
    isolate = [tool("setpriv"), "--pdeathsig", "KILL", tool("unshare"), *NAMESPACES]
    environment = {"PATH": SEARCH, "CONTAINERS_CONF": f"{folder}/containers.conf", "HOME": f"{folder}/home"}
    with (folder / "dockerd.log").open("wb") as log:
        return subprocess.Popen(
            [*isolate, "sh", "-c", SCRIPT, "podman", *podman],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment,
        )  # fmt: skip
