"""What a container changed as the tar of an image layer: docker commit, and the steps of docker build."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterator

from sandbox.wasm.vfs import tarwriter
from sandbox.wasm.vfs.changes import ADDED, DELETED, Change, changes
from sandbox.wasm.vfs.node import Directory, Node
from sandbox.wasm.vfs.overlay import Overlay
from sandbox.wasm.vfs.pack import Packer
from sandbox.wasm.vfs.tarwriter import Member

WHITEOUT = ".wh."


def pack_layer(overlay: Overlay, without: Collection[str] = ()) -> Iterator[bytes]:
    """The layer's tar with whiteouts, as chunks. Empty mount points in ``without``, and parents made for them, are not
    in it. EIO if a file gets shorter while it is read: nothing should run in the container meanwhile."""
    packer = Packer(_child)
    kept = _kept(changes(overlay), without)
    yield from packer.archive(part for change in kept for part in _parts(packer, overlay, change))


def _parts(packer: Packer, overlay: Overlay, change: Change) -> Iterator[bytes]:
    path = change.path.lstrip("/")
    if change.kind == DELETED:
        head, name = posixpath.split(path)
        yield tarwriter.header(Member(posixpath.join(head, WHITEOUT + name), tarwriter.FILE, 0, 0, 0, 0, 0))
        return
    node = _lookup(overlay.root, path)
    if node is not None:  # else it went away meanwhile
        yield from packer.member(node, path)


def _kept(found: list[Change], without: Collection[str]) -> list[Change]:
    points = {parent for path in without for parent in _with_parents(path)}
    kept: list[Change] = []
    for change in reversed(found):
        below = bool(kept) and kept[-1].path.startswith(f"{change.path}/")
        if change.kind != ADDED or change.path not in points or below:
            kept.append(change)
    return kept[::-1]


def _with_parents(path: str) -> Iterator[str]:
    path = posixpath.normpath(path)
    while path not in ("/", ""):
        yield path
        path = posixpath.dirname(path)


def _lookup(root: Directory, path: str) -> Node | None:
    node: Node | None = root
    for name in path.split("/"):
        node = node.find(name) if isinstance(node, Directory) else None
    return node


def _child(directory: Directory, name: str) -> Node | None:
    return directory.find(name)
