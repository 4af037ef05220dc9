"""/dev of a container: the devices Docker gives, the terminals, and the links to a process's own descriptors."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from sandbox.wasm.kernel.devices import NUMBERS, PTS_MAJOR
from sandbox.wasm.vfs.dynamic import Device, DynamicDirectory, DynamicFileSystem
from sandbox.wasm.vfs.node import Directory, Node
from sandbox.wasm.vfs.tmpfs import Tmpfs

if TYPE_CHECKING:
    from sandbox.wasm.kernel.kernel import Kernel

_LINKS = {
    "fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2",
    "core": "/proc/kcore", "ptmx": "pts/ptmx",
}  # fmt: skip
D_CHAR = 2


def make_dev(terminal: bool) -> Tmpfs:
    """A fresh /dev, with /dev/console when pid 1 has a terminal; it is a tmpfs, so that containers may add to it."""
    tmpfs = Tmpfs(size=64 << 20, mode=0o755)
    root = tmpfs.root
    for name, (major, minor) in NUMBERS.items():
        if name == "ptmx" or (name == "console" and not terminal):
            continue
        mode = 0o620 if name == "console" else 0o666
        root.mknod(name, stat.S_IFCHR | mode, 0, 0, os.makedev(major, minor))
    for name, target in _LINKS.items():
        root.symlink(name, target, 0, 0)
    for name in ("pts", "shm", "mqueue"):
        root.mkdir(name, 0o755, 0, 0)
    return tmpfs


def make_pts(kernel: Kernel) -> Directory:
    """The root of /dev/pts: a device for each terminal."""
    made: dict[int, Device] = {}

    def terminal(index: int) -> Node | None:
        found = kernel.terminals.get(index)
        if found is None:
            made.pop(index, None)
            return None
        return made.setdefault(index, Device(stat.S_IFCHR | 0o620, os.makedev(PTS_MAJOR, index), *found.owner))

    master = Device(stat.S_IFCHR | 0o666, os.makedev(*NUMBERS["ptmx"]))

    def find(name: str) -> Node | None:
        if name == "ptmx":
            return master
        return terminal(int(name)) if name.isdigit() else None

    def entries() -> list[tuple[str, int]]:
        return [*((str(index), D_CHAR) for index in kernel.terminals.indexes()), ("ptmx", D_CHAR)]

    return DynamicDirectory(entries, find, fs=DynamicFileSystem("devpts"))
