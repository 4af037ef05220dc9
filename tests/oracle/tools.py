"""The programs that the tests drive, and what to do when one is missing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

VENV = Path(__file__).resolve().parents[2] / ".venv"
PACKAGES = {
    "bash-static": "bash-static",
    "busybox": "busybox-static",
    "docker": "docker.io",
    "docker-registry": "docker-registry",
    "dockerd": "docker.io",
    "git": "git",
    "ip": "iproute2",
    "iptables": "iptables",
    "nsenter": "util-linux",
    "podman": "podman",
    "rsync": "rsync",
    "runc": "runc",
    "setpriv": "util-linux",
    "setsid": "util-linux",
    "timeout": "coreutils",
    "unshare": "util-linux",
    "wrk": "wrk",
}
SEARCH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class MissingTool(RuntimeError):
    """A program that the tests need is not installed; the message says how to get it."""


def tool(name: str) -> str:
    """The path of a system program. Raises MissingTool with the Debian package that has it."""
    found = shutil.which(name, path=SEARCH)
    if found is None:
        raise MissingTool(f"{name} is not installed: apt-get install --no-install-recommends {PACKAGES[name]}")
    return found


def venv_tool(name: str) -> str:
    """The path of a program of the virtual environment. Raises MissingTool naming the command that makes it."""
    path = VENV / "bin" / name
    if not os.access(path, os.X_OK):
        raise MissingTool(f"{path} does not exist: make setup (it installs the distribution's [test] extra)")
    return str(path)
