"""The mount table as /proc/mounts and /proc/PID/mountinfo tell it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandbox.wasm.kernel.kernel import Kernel
    from sandbox.wasm.vfs.walk import Mount


def _escape(text: str) -> str:
    for character in "\\ \t\n":
        text = text.replace(character, f"\\{ord(character):03o}")
    return text


def _options(mount: Mount) -> str:
    access = "ro" if mount.read_only else "rw"
    return f"{access},{mount.options}" if mount.options else f"{access},relatime"


def mounts_text(kernel: Kernel) -> str:
    return "".join(
        f"{_escape(mount.source or mount.kind)} {_escape(mount.path)} {mount.kind} {_options(mount)} 0 0\n"
        for mount in kernel.tree.mounts()
    )


def mountinfo_text(kernel: Kernel) -> str:
    lines = []
    for number, mount in enumerate(kernel.tree.mounts(), start=100):
        device = mount.root.dev
        place = f"{number} {number if number == 100 else 100} {os.major(device)}:{os.minor(device)} /"
        access = "ro" if mount.read_only else "rw"
        lines.append(
            f"{place} {_escape(mount.path)} {access},relatime - {mount.kind} "
            f"{_escape(mount.source or mount.kind)} {_options(mount)}\n"
        )
    return "".join(lines)
