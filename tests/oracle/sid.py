"""The newest dockerd that Debian has (its unstable suite), beside the system's own and without installing anything.

Its programs need nothing of that suite but themselves: the system's C library and runc serve them.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from tests.oracle.tools import SEARCH

SUITE = "sid"
PACKAGES = ("docker.io", "docker-cli", "containerd")
SOURCES = (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list"))
MIRROR = re.compile(r"^(?:URIs:|deb(?: \[[^]]*\])?) *(\S+)", re.MULTILINE)
KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"
CONFIGURATION = """Dir::Etc::sourcelist "{folder}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::State::lists "{folder}/lists";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}/cache";
Acquire::Check-Valid-Until "false";
Acquire::Languages "none";
APT::Sandbox::User "root";
"""


def fetch(folder: Path) -> Path:
    """Downloads the packages with an apt of its own state below `folder` and unpacks them.

    Returns the folder of the programs. Raises RuntimeError where the system names no mirror, and
    subprocess.CalledProcessError with apt's words where the mirror does not have them.
    """
    root = folder / "root"
    for name in ("lists/partial", "cache/archives/partial", "packages"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "status").touch()
    (folder / "sources.list").write_text(f"deb [signed-by={KEYS}] {_mirror()} {SUITE} main\n")
    (folder / "apt.conf").write_text(CONFIGURATION.replace("{folder}", str(folder)))
    _apt(folder, "update")
    _apt(folder, "download", *PACKAGES)
    for package in sorted((folder / "packages").glob("*.deb")):
        subprocess.run(["dpkg", "-x", str(package), str(root)], check=True)
    return _programs(root)


def _mirror() -> str:
    for path in SOURCES:
        found = MIRROR.search(path.read_text()) if path.exists() else None
        if found:
            return found[1]
    raise RuntimeError("no Debian mirror is configured: " + " and ".join(map(str, SOURCES)) + " name none")


def _apt(folder: Path, *arguments: str) -> None:
    environment = {"PATH": SEARCH, "APT_CONFIG": str(folder / "apt.conf")}
    subprocess.run(["apt-get", "--quiet", *arguments], cwd=folder / "packages", env=environment, check=True)


def _programs(root: Path) -> Path:
    """One folder for a PATH. Programs of several folders are linked into it."""
    programs = root / "programs"
    programs.mkdir(exist_ok=True)
    for place in ("usr/bin", "usr/sbin"):
        for path in (root / place).iterdir():
            link = programs / path.name
            if not os.path.lexists(link):
                link.symlink_to(path)
    return programs
