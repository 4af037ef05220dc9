"""From a node of the file tree to an open file."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

from sandbox.wasm.kernel.devices import open_device
from sandbox.wasm.kernel.files import OpenFile
from sandbox.wasm.kernel.pipes import open_fifo
from sandbox.wasm.kernel.regular import DirectoryFile, PathFile, RegularFile
from sandbox.wasm.vfs.node import Directory, Handle, Node, fail

if TYPE_CHECKING:
    from sandbox.wasm.kernel.task import Task


def open_path(task: Task, start: Directory, path: str, flags: int, mode: int) -> OpenFile:
    """openat: every check and flag of it; `mode` before umask."""
    opened = task.kernel.tree.open(
        path, flags, mode & ~task.umask & 0o7777, cwd=start, root=task.root, cred=task.credentials.access
    )
    file = open_file(task, opened.node, opened.handle, flags)
    if opened.handle is not None:
        file.origin = (start, path)
    return file


def open_file(task: Task, node: Node, handle: Handle | None, flags: int) -> OpenFile:
    if handle is not None:
        return RegularFile(node, handle, flags)
    if flags & os.O_PATH:
        return PathFile(node, flags)
    if isinstance(node, Directory):
        return DirectoryFile(node, flags)
    attached = getattr(node, "attachment", None)
    if isinstance(attached, OpenFile):
        with attached.held():
            return attached.reopen(task, flags)
    mode = node.mode
    if stat.S_ISFIFO(mode):
        return open_fifo(task, node, flags)
    if not stat.S_ISCHR(mode):
        fail(errno.ENXIO)
    return open_device(task, node, flags)
