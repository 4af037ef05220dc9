"""A small root file system of the host's own programs: what `sockerless/base` holds, for an engine of another make."""

from __future__ import annotations

import io
import re
import subprocess
import tarfile
from pathlib import Path

from tests.oracle.tools import tool

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\n",
    "etc/group": "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}
FOLDERS = """
bin dev etc home mnt opt proc root run sbin srv sys tmp usr usr/bin usr/lib usr/local usr/local/bin usr/local/sbin
usr/sbin usr/share var var/lib var/log var/tmp
"""
LINKS = {"var/run": "../run", "etc/mtab": "../proc/mounts"}
LIBRARY = re.compile(r"(/\S+) \(0x")


def build() -> bytes:
    """The tar of a root file system with busybox and all its applets, bash and rsync."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for folder in FOLDERS.split():
            tar.addfile(_entry(folder, tarfile.DIRTYPE, 0o1777 if folder.endswith("tmp") else 0o755))
        for path, target in LINKS.items():
            tar.addfile(_link(path, target))
        for path, text in FILES.items():
            _add_file(tar, path, text.encode(), 0o644)
        _add_programs(tar)
    return buffer.getvalue()


def _add_programs(tar: tarfile.TarFile) -> None:
    busybox, rsync = Path(tool("busybox")), Path(tool("rsync"))
    _add_file(tar, "bin/busybox", busybox.read_bytes(), 0o755)
    _add_file(tar, "bin/bash", Path(tool("bash-static")).read_bytes(), 0o755)
    _add_file(tar, "usr/bin/rsync", rsync.read_bytes(), 0o755)
    for library in _libraries(rsync):
        _add_file(tar, library.lstrip("/"), Path(library).read_bytes(), 0o755)
    for applet in _output(str(busybox), "--list").split():
        if applet != "busybox":
            tar.addfile(_link(f"bin/{applet}", "/bin/busybox"))


def _libraries(program: Path) -> list[str]:
    return LIBRARY.findall(_output("ldd", str(program)))


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _entry(path: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(path)
    entry.type, entry.mode = kind, mode
    return entry


def _link(path: str, target: str) -> tarfile.TarInfo:
    entry = _entry(path, tarfile.SYMTYPE, 0o777)
    entry.linkname = target
    return entry


def _add_file(tar: tarfile.TarFile, path: str, content: bytes, mode: int) -> None:
    entry = _entry(path, tarfile.REGTYPE, mode)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))
