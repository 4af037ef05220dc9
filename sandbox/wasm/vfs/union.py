"""The overlay's inodes: what the image has, made when it is first looked at, and what the container changed.

`lower` is the image's node that an inode stands for (None: made by the container), `origin` the directory and name
under which it was found there, `id` its number in the journal: 0 as long as neither it nor what is below was changed.
"""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from sandbox.images.tree import LowerNode
from sandbox.wasm.vfs.content import UnionFile
from sandbox.wasm.vfs.inode import Inode, InodeDirectory, InodeSpecial, InodeSymlink
from sandbox.wasm.vfs.node import Entry

if TYPE_CHECKING:
    from sandbox.wasm.vfs.overlay import Overlay

KINDS = {
    "dir": stat.S_IFDIR,
    "file": stat.S_IFREG,
    "symlink": stat.S_IFLNK,
    "char": stat.S_IFCHR,
    "block": stat.S_IFBLK,
    "fifo": stat.S_IFIFO,
}


class UnionSymlink(InodeSymlink):
    """A symbolic link."""

    __slots__ = ("id", "lower", "origin")

    def __init__(self, fs: Overlay, ino: int, mode: int, uid: int, gid: int, rdev: int, now: int, target: str) -> None:
        super().__init__(fs, ino, mode, uid, gid, rdev, now, target)
        self.id = 0
        self.lower: LowerNode | None = None
        self.origin: Origin | None = None


class UnionSpecial(InodeSpecial):
    """A device, fifo or socket."""

    __slots__ = ("id", "lower", "origin")

    def __init__(self, fs: Overlay, ino: int, mode: int, uid: int, gid: int, rdev: int, now: int) -> None:
        super().__init__(fs, ino, mode, uid, gid, rdev, now)
        self.id = 0
        self.lower: LowerNode | None = None
        self.origin: Origin | None = None


class UnionDirectory(InodeDirectory):
    """A directory: what is in `children`, over what the image has in `lower`."""

    __slots__ = ("id", "lower", "origin")

    fs: Overlay

    def __init__(self, fs: Overlay, ino: int, mode: int, uid: int, gid: int, rdev: int, now: int) -> None:
        super().__init__(fs, ino, mode, uid, gid, rdev, now)
        self.id = 0
        self.lower: LowerNode | None = None
        self.origin: Origin | None = None

    def find(self, name: str) -> Inode | None:
        node = self.children.get(name)
        if node is not None or self.lower is None or name in self.children:
            return node
        below = self.below().get(name)
        return None if below is None else self._adopt(name, below)

    def below(self) -> dict[str, LowerNode]:
        """What the image has here, whether or not the container hides it."""
        lower = self.lower
        return lower.children if lower is not None and lower.children is not None else {}

    def _adopt(self, name: str, below: LowerNode) -> Inode | None:
        with self.fs.lock:
            if name not in self.children:
                self.put(name, self.fs.adopt(below, (self, name)))
            return self.children[name]

    def entries(self) -> list[Entry]:
        with self.fs.lock:
            found = super().entries()
            children = self.children
            for name, lower in self.below().items():
                if name not in children:
                    found.append((name, lower.ino, KINDS[lower.kind] >> 12))
            return found

    def is_empty(self) -> bool:
        return all(node is None for node in self.children.values()) and self.below().keys() <= self.children.keys()

    def drop(self, name: str) -> None:
        if name in self.below():
            self.children[name] = None
        else:
            self.children.pop(name, None)


Origin = tuple[UnionDirectory, str]
UnionNode = UnionDirectory | UnionFile | UnionSymlink | UnionSpecial
