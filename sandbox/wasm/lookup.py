"""Finding the first program of a container or exec, in the words of an OCI runtime when it is not there."""

from __future__ import annotations

import errno
import stat
from collections.abc import Iterable

from sandbox.wasm.specs import ExecError
from sandbox.wasm.vfs.node import Directory, Node
from sandbox.wasm.vfs.tree import FileTree


def find_program(tree: FileTree, name: str, environ: Iterable[str], cwd: Directory) -> str:
    """The path that `name` means: itself with a slash in it, else the first match in PATH of `environ`. ExecError."""
    if not name:
        raise ExecError(127, 'exec: "": executable file not found in $PATH')
    if "/" in name:
        return _checked(tree, name, cwd)
    path = next((entry[5:] for entry in environ if entry.startswith("PATH=")), "")
    for directory in path.split(":"):
        candidate = f"{directory or '.'}/{name}"
        node = _node(tree, candidate, cwd)
        if node is not None and not isinstance(node, Directory) and node.mode & 0o111:
            return candidate
    raise ExecError(127, f'exec: "{name}": executable file not found in $PATH')


def _node(tree: FileTree, path: str, cwd: Directory) -> Node | None:
    try:
        return tree.resolve(path, cwd)
    except OSError:
        return None


def _checked(tree: FileTree, name: str, cwd: Directory) -> str:
    try:
        node = tree.resolve(name, cwd)
    except OSError as error:
        if error.errno == errno.ENOENT:
            raise ExecError(127, f'exec: "{name}": stat {name}: no such file or directory') from error
        if error.errno == errno.ENOTDIR:
            raise ExecError(126, f'exec: "{name}": stat {name}: not a directory') from error
        raise ExecError(126, f'exec: "{name}": {error.strerror or "cannot be opened"}'.lower()) from error
    if isinstance(node, Directory):
        raise ExecError(126, f'exec: "{name}": is a directory')
    if not stat.S_IMODE(node.mode) & 0o111:
        raise ExecError(126, f'exec: "{name}": permission denied')
    return name
