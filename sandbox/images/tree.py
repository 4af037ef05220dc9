"""The layers of an image merged into one immutable tree: what a container's file system starts from.

Whiteouts and opaque directories speak of the layers below only. A directory over a directory keeps the lower one's
entries and takes the upper one's attributes; everything else replaces what it covers (overlayfs's rules). A parent that
no layer has an entry for is 0755 root.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

from sandbox.images.layer import NO_XATTRS, Entry, LayerIndex

NodeKind = Literal["dir", "file", "symlink", "char", "block", "fifo"]
IMPLIED_MODE = 0o755


class LowerNode:
    """One inode. Hard links share one node; treat it as read-only, many containers use it at once.

    ``mode`` is permission bits only (0o7777). Content: ``os.pread(node.layer.fd(), n, node.offset + position)``, at
    most ``size`` bytes. ``children`` is a dict for a directory, else None. ``target`` is a symlink's text.
    """

    __slots__ = (
        "children",
        "gid",
        "ino",
        "kind",
        "layer",
        "mode",
        "mtime_ns",
        "nlink",
        "offset",
        "rdev",
        "size",
        "target",
        "uid",
        "xattrs",
    )

    def __init__(self, kind: NodeKind, mode: int = IMPLIED_MODE) -> None:
        self.kind: NodeKind = kind
        self.mode = mode
        self.uid = 0
        self.gid = 0
        self.size = 0
        self.mtime_ns = 0
        self.layer: LayerIndex | None = None
        self.offset = 0
        self.target = ""
        self.rdev = 0
        self.xattrs: Mapping[str, bytes] = NO_XATTRS
        self.ino = 0
        self.nlink = 0
        self.children: dict[str, LowerNode] | None = {} if kind == "dir" else None

    def __repr__(self) -> str:
        return f"<LowerNode {self.kind} {self.mode:o} ino={self.ino} size={self.size}>"


class LowerTree:
    """The merged tree. ``root`` has ino 1; inode numbers run from 1 to ``inodes``."""

    __slots__ = ("inodes", "root")

    def __init__(self, root: LowerNode) -> None:
        self.root = root
        self.inodes = _number(root)

    def lookup(self, path: str) -> LowerNode | None:
        """The node at ``path`` (leading slash or not), following no symlinks."""
        return _lookup(self.root, path)

    def walk(self) -> Iterator[tuple[str, LowerNode]]:
        """Every path (no leading slash, ``""`` first) with its node, directories before their content."""
        stack = [("", self.root)]
        while stack:
            path, node = stack.pop()
            yield path, node
            for name, child in (node.children or {}).items():
                stack.append((f"{path}/{name}" if path else name, child))


def merge(layers: Sequence[LayerIndex]) -> LowerTree:
    """Merge ``layers``, lowest first."""
    root = LowerNode("dir")
    for layer in layers:
        _apply(root, layer, layer.entries())
    return LowerTree(root)


def lower_from_entries(entries: Iterable[Entry], layer: LayerIndex | None = None) -> LowerTree:
    """A tree from bare entries, for tests that need no archive (``layer`` carries the content, if any)."""
    root = LowerNode("dir")
    _apply(root, layer, entries)
    return LowerTree(root)


def _apply(root: LowerNode, layer: LayerIndex | None, entries: Iterable[Entry]) -> None:
    assert root.children is not None
    parent_path, siblings = "", root.children
    for entry in entries:
        if entry.kind == "whiteout" or entry.kind == "opaque":  # noqa: PLR1714 (narrows the type)
            _hide(root, entry)
            continue
        parent, _, name = entry.path.rpartition("/")
        if parent != parent_path:
            parent_path, siblings = parent, _directory(root, parent)
        if not name:
            _fill(root, entry, layer)
        elif entry.kind == "hardlink":
            target = _lookup(root, entry.link)
            if target is None:
                raise ValueError(f"index of {layer!r}: hard link {entry.path!r} has no target")
            siblings[name] = target
        else:
            old = siblings.get(name)
            if old is None or old.kind != "dir" or entry.kind != "dir":
                old = siblings[name] = LowerNode(entry.kind)
            _fill(old, entry, layer)


def _hide(root: LowerNode, entry: Entry) -> None:
    if entry.kind == "opaque":
        node = _lookup(root, entry.path)
        if node is not None and node.children is not None:
            node.children.clear()
        return
    parent, _, name = entry.path.rpartition("/")
    node = _lookup(root, parent)
    if node is not None and node.children is not None:
        node.children.pop(name, None)


def _directory(root: LowerNode, path: str) -> dict[str, LowerNode]:
    """The children of ``path``; what is missing or no directory becomes one: an upper directory covers a lower file."""
    assert root.children is not None
    children = root.children
    for name in path.split("/") if path else ():
        node = children.get(name)
        if node is None or node.children is None:
            node = children[name] = LowerNode("dir")
        assert node.children is not None
        children = node.children
    return children


def _lookup(root: LowerNode, path: str) -> LowerNode | None:
    node: LowerNode | None = root
    for name in path.split("/"):
        if name:
            node = node.children.get(name) if node is not None and node.children is not None else None
    return node


def _fill(node: LowerNode, entry: Entry, layer: LayerIndex | None) -> None:
    node.mode = entry.mode
    node.uid = entry.uid
    node.gid = entry.gid
    node.mtime_ns = entry.mtime_ns
    node.layer = layer
    if entry.kind == "file":
        node.size = entry.size
        node.offset = entry.offset
    elif entry.kind == "symlink":
        node.target = entry.link
        node.size = len(entry.link.encode("utf-8", "surrogateescape"))
    elif entry.kind in ("char", "block"):
        node.rdev = entry.device
    node.xattrs = entry.xattrs or NO_XATTRS


def _number(root: LowerNode) -> int:
    """Give every node its inode number and link count; returns how many there are."""
    root.ino = 1
    root.nlink = 2
    count = 1
    stack = [root]
    while stack:
        directory = stack.pop()
        for node in directory.children.values() if directory.children else ():
            if node.ino == 0:
                count += 1
                node.ino = count
            if node.children is None:
                node.nlink += 1
            else:
                node.nlink = 2
                directory.nlink += 1
                stack.append(node)
    return count
