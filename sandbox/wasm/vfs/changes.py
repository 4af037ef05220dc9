"""What a container changed in its image's files: docker diff."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from sandbox.images.tree import LowerNode
from sandbox.wasm.vfs.overlay import Overlay
from sandbox.wasm.vfs.snapshot import union
from sandbox.wasm.vfs.union import KINDS, UnionDirectory, UnionNode

MODIFIED, ADDED, DELETED = 0, 1, 2
PREPARED = frozenset(
    {
        "/.dockerenv",
        "/dev",
        "/dev/console",
        "/dev/pts",
        "/dev/shm",
        "/etc",
        "/etc/hostname",
        "/etc/hosts",
        "/etc/mtab",
        "/etc/resolv.conf",
        "/proc",
        "/sys",
    }
)
"""What Docker puts into a layer of its own below the container's: making these is no change."""


class Change(NamedTuple):
    """A path and what became of it: 0 modified, 1 added, 2 deleted."""

    path: str
    kind: int


Deeper = tuple[UnionDirectory, LowerNode | None, str]


def changes(overlay: Overlay) -> list[Change]:
    """All changes in the order of paths, a directory before what is in it.

    As Docker's overlay2 tells them: a directory counts as modified if its attributes or names changed, not because
    something deeper did; below a deleted directory nothing is listed, below an added one everything.
    """
    found: list[Change] = []
    with overlay.lock:
        pending = [_below(overlay.root, overlay.lower.root, "")]  # not the interpreter's stack, which is shorter
        while pending:
            step = next(pending[-1], None)
            if step is None:
                pending.pop()
            elif isinstance(step, Change):
                found.append(step)
            else:
                pending.append(_below(*step))
    return found


def _below(directory: UnionDirectory, lower: LowerNode | None, path: str) -> Iterator[Change | Deeper]:
    """What is in a directory; the directories that are to be looked into next, each in its turn."""
    before = lower.children if lower is not None and lower.children is not None else {}
    for name in _names(directory, lower, before):
        node, below, place = directory.find(name), before.get(name), f"{path}/{name}"
        if node is not None:
            yield from _compare(union(node), below, place)
        elif below is not None:
            yield Change(place, DELETED)


def _names(directory: UnionDirectory, lower: LowerNode | None, before: dict[str, LowerNode]) -> list[str]:
    """The names that can differ: where the directory stands for what the image has here, those looked at."""
    if directory.lower is lower:
        return sorted(directory.children)
    return sorted({name for name, _ino, _kind in directory.entries()} | before.keys())


def _compare(node: UnionNode, below: LowerNode | None, path: str) -> Iterator[Change | Deeper]:
    if below is not None and node.lower is below and not node.id:
        return
    inside = below if below is not None and below.kind == "dir" else None
    if below is None:
        if path not in PREPARED:
            yield Change(path, ADDED)
    elif not isinstance(node, UnionDirectory) or inside is None or _differs(node, inside, path):
        yield Change(path, MODIFIED)
    if isinstance(node, UnionDirectory):
        yield node, inside, path


def _differs(node: UnionDirectory, below: LowerNode, path: str) -> bool:
    attributes = (node.mode, node.uid, node.gid, dict(node.xattrs))
    if attributes != (KINDS["dir"] | below.mode, below.uid, below.gid, dict(below.xattrs)):
        return True
    before = below.children or {}
    after = {name for name, _ino, _kind in node.entries()}
    prepared = {name for name in after - before.keys() if f"{path}/{name}" in PREPARED}
    if after - prepared != before.keys():
        return True
    return node.mtime != below.mtime_ns and not prepared
