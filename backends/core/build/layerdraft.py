"""A layer in the making: files put over an image's tree, written as the tar of what is new.

The rules for what meets what are those of Docker's copy: a directory over a directory keeps what is in it, everything
else replaces what it covers; links on the way are followed inside the image.
"""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import IO

from backends.core.build.tree import MAX_LINKS, NotADirectory, content, follow
from sandbox.images.layer import NO_XATTRS
from sandbox.images.tree import LowerNode, LowerTree

_TYPES = {
    "dir": tarfile.DIRTYPE,
    "file": tarfile.REGTYPE,
    "symlink": tarfile.SYMTYPE,
    "char": tarfile.CHRTYPE,
    "block": tarfile.BLKTYPE,
    "fifo": tarfile.FIFOTYPE,
}
_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Item:
    """What the layer says of a path; a file's bytes are in ``node`` or ``data``."""

    kind: str
    mode: int
    uid: int = 0
    gid: int = 0
    mtime_ns: int = 0
    target: str = ""
    rdev: int = 0
    xattrs: Mapping[str, bytes] = field(default_factory=lambda: NO_XATTRS)
    node: LowerNode | None = None
    data: bytes = b""

    @classmethod
    def of(cls, node: LowerNode, owner: tuple[int, int] | None, mode: int | None) -> Item:
        """A source's node, maybe as someone else's and with other permissions.

        A file that is given to an owner loses set-id bits and capabilities, as by chown(2): so it is with dockerd.
        """
        uid, gid = owner or (node.uid, node.gid)
        bits = node.mode if mode is None or node.kind == "symlink" else mode
        xattrs = node.xattrs
        if owner is not None and node.kind == "file":
            bits = _without_set_id(bits) if mode is None else bits
            xattrs = {name: value for name, value in xattrs.items() if name != "security.capability"}
        return cls(node.kind, bits, uid, gid, node.mtime_ns, node.target, node.rdev, xattrs, node)

    @property
    def size(self) -> int:
        """Bytes of content."""
        return (self.node.size if self.node is not None else len(self.data)) if self.kind == "file" else 0


def _without_set_id(mode: int) -> int:
    group = stat.S_ISGID if mode & stat.S_IXGRP else 0
    return mode & ~(stat.S_ISUID | group)


class Place:
    """A path of the image with this layer over it. ``lower`` is what the image has here, if that still shows."""

    __slots__ = ("_children", "item", "lower")

    def __init__(self, lower: LowerNode | None, item: Item | None = None) -> None:
        self.lower = lower
        self.item = item
        self._children: dict[str, Place] = {}

    @property
    def kind(self) -> str:
        """dir, file, symlink, …"""
        if self.item is not None:
            return self.item.kind
        return self.lower.kind if self.lower is not None else "dir"

    @property
    def target(self) -> str:
        """Where a link leads."""
        if self.item is not None:
            return self.item.target
        return self.lower.target if self.lower is not None else ""

    def child(self, name: str) -> Place | None:
        """What is there under a name."""
        found = self._children.get(name)
        if found is None and self.lower is not None and self.lower.children is not None:
            below = self.lower.children.get(name)
            if below is not None:
                found = self._children[name] = Place(below)
        return found

    def put(self, name: str, item: Item) -> Place:
        """Put something there."""
        old = self.child(name)
        if old is not None and old.kind == "dir" and item.kind == "dir":
            old.item = item
            return old
        found = self._children[name] = Place(None, item)
        return found

    def changed(self) -> Iterator[tuple[str, Item]]:
        """Every path below that the layer speaks of, directories before their content."""
        stack = [("", self)]
        while stack:
            path, place = stack.pop()
            if place.item is not None and path:
                yield path, place.item
            below = sorted(place._children.items(), reverse=True)
            stack += [(f"{path}/{name}" if path else name, child) for name, child in below]


class LayerDraft:
    """``now`` (nanoseconds) is the time of directories it has to make."""

    def __init__(self, image: LowerTree, now: int) -> None:
        self.root = Place(image.root)
        self._now = now

    def directory(self, path: str, owner: tuple[int, int] = (0, 0)) -> Place:
        """The directory at ``path``, made with its parents if need be; NotADirectory."""

        def step(place: Place, name: str) -> Place:
            return place.child(name) or place.put(name, Item("dir", 0o755, *owner, self._now))

        found = follow(self.root, path, step)
        if found is None or found.kind != "dir":
            raise NotADirectory(path)
        return found

    def find(self, path: str, top: Place | None = None) -> Place | None:
        """What ``path`` leads to, or None; with ``top`` that is the root which no link leads out of."""
        try:
            return follow(top or self.root, path, Place.child)
        except NotADirectory:
            return None

    def place(self, path: str, owner: tuple[int, int]) -> tuple[Place, str]:
        """Where a file named ``path`` goes: its directory and name; a link of that name is followed. NotADirectory."""
        for _ in range(MAX_LINKS):
            head, _, name = path.rstrip("/").rpartition("/")
            parent = self.directory(head, owner)
            there = parent.child(name)
            if there is None or there.kind != "symlink":
                return parent, name
            path = there.target if there.target.startswith("/") else f"{head}/{there.target}"
        raise NotADirectory(path)

    @property
    def empty(self) -> bool:
        """Whether there is nothing new."""
        return next(self.root.changed(), None) is None

    def write(self, file: IO[bytes]) -> None:
        """Write the layer's tar."""
        first: dict[int, str] = {}
        for path, item in self.root.changed():
            linked = item.node is not None and item.kind == "file" and item.node.nlink > 1
            earlier = first.setdefault(id(item.node), path) if linked else path
            if earlier != path:
                file.write(_header(path, replace(item, data=b"", node=None), tarfile.LNKTYPE, earlier))
                continue
            file.write(_header(path, item, _TYPES[item.kind], item.target))
            for piece in _pieces(item):
                file.write(piece)
            file.write(bytes(-item.size % tarfile.BLOCKSIZE))
        file.write(bytes(2 * tarfile.BLOCKSIZE))


def _pieces(item: Item) -> Iterable[bytes]:
    if item.kind != "file":
        return ()
    return content(item.node) if item.node is not None else (item.data,)


def _header(path: str, item: Item, kind: bytes, link: str) -> bytes:
    info = tarfile.TarInfo(path + ("/" if kind == tarfile.DIRTYPE else ""))
    info.type, info.linkname = kind, link
    info.mode, info.uid, info.gid, info.size = item.mode, item.uid, item.gid, item.size
    info.mtime, fraction = divmod(item.mtime_ns, _SECOND)
    extended = {f"SCHILY.xattr.{name}": value.decode("utf-8", "surrogateescape") for name, value in item.xattrs.items()}
    if fraction:
        extended["mtime"] = f"{info.mtime}.{fraction:09d}"
    info.pax_headers = extended
    info.devmajor, info.devminor = os.major(item.rdev), os.minor(item.rdev)
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
