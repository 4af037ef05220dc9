"""Nodes made by callbacks or fixed: what /proc, /sys and /dev consist of.

A dynamic node has no file system until a directory hands it out or it is mounted; then it takes over the directory's,
and an inode number made from its path, so that it is the same inode each time it is looked up.
"""

from __future__ import annotations

import errno
import os
import stat
import time
import zlib
from collections.abc import Callable, Iterable

from sandbox.wasm.vfs.node import Directory, Entry, File, FileSystem, Handle, Node, Special, Stat, Symlink, fail

DIR, FILE, LINK = stat.S_IFDIR >> 12, stat.S_IFREG >> 12, stat.S_IFLNK >> 12


class DynamicFileSystem(FileSystem):
    """`kind` is what /proc/mounts calls it."""

    def __init__(self, kind: str = "proc") -> None:
        super().__init__()
        self.kind = kind


_NOWHERE = DynamicFileSystem("none")


class DynamicNode(Node):
    """Attributes that only their maker sets: changing them is EPERM."""

    __slots__ = ("_ino", "_mode", "_owner", "_rdev", "_time")

    def __init__(self, mode: int, uid: int, gid: int, rdev: int = 0) -> None:
        self.fs = _NOWHERE
        self.attachment = None
        self._ino = 1
        self._mode = mode
        self._owner = (uid, gid)
        self._rdev = rdev
        self._time = time.time_ns()

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        same = isinstance(other, DynamicNode) and other.fs is self.fs is not _NOWHERE
        return same and isinstance(other, DynamicNode) and other._ino == self._ino

    def __hash__(self) -> int:
        return self._ino

    def stat(self) -> Stat:
        uid, gid = self._owner
        links, when = 2 if stat.S_ISDIR(self._mode) else 1, self._time
        return Stat(
            self._ino, self.fs.dev, self._mode, uid, gid, self._rdev, links, self._length(), 0, when, when, when
        )

    def _length(self) -> int:
        return 0

    def owner(self) -> tuple[int, int, int]:
        return (self._mode, *self._owner)

    def chmod(self, mode: int) -> None:
        fail(errno.EPERM)

    def chown(self, uid: int, gid: int) -> None:
        fail(errno.EPERM)

    def utime(self, atime_ns: int | None, mtime_ns: int | None) -> None:
        fail(errno.EPERM)

    def put_into(self, fs: FileSystem, ino: int) -> None:
        """Take the place that a directory gives."""
        self.fs = fs
        self._ino = ino


def place_root(node: Node) -> None:
    """Give a dynamic node that is about to be mounted a file system, if it has none."""
    if isinstance(node, DynamicNode) and node.fs is _NOWHERE:
        node.put_into(DynamicFileSystem(), 1)


class DynamicDirectory(DynamicNode, Directory):
    """`entries()` gives (name, d_type), `lookup(name)` the node or None; both are asked every time."""

    __slots__ = ("_entries", "_lookup", "name", "parent")

    parent: Directory | None
    name: str

    def __init__(
        self,
        entries: Callable[[], Iterable[tuple[str, int]]],
        lookup: Callable[[str], Node | None],
        mode: int = 0o555,
        uid: int = 0,
        gid: int = 0,
        fs: FileSystem | None = None,
    ) -> None:
        super().__init__(stat.S_IFDIR | mode, uid, gid)
        self._entries = entries
        self._lookup = lookup
        self.parent = None
        self.name = ""
        if fs is not None:
            self.fs = fs

    def find(self, name: str) -> Node | None:
        node = self._lookup(name)
        if isinstance(node, DynamicNode):
            if node.fs is not self.fs:
                node.put_into(self.fs, self._ino_of(name))
            if isinstance(node, DynamicDirectory):
                node.parent, node.name = self, name
        return node

    def entries(self) -> list[Entry]:
        return [(name, self._ino_of(name), kind) for name, kind in self._entries()]

    def _ino_of(self, name: str) -> int:
        return zlib.crc32(name.encode("utf-8", "surrogateescape"), self._ino) | 1 << 32


class StaticDirectory(DynamicDirectory):
    """Fixed nodes under fixed names."""

    __slots__ = ("_nodes",)

    def __init__(self, nodes: dict[str, Node] | None = None, mode: int = 0o555, uid: int = 0, gid: int = 0) -> None:
        super().__init__(self._list, self._get, mode, uid, gid)
        self._nodes = dict(nodes or {})

    def _list(self) -> Iterable[tuple[str, int]]:
        return [(name, node.mode >> 12) for name, node in self._nodes.items()]

    def _get(self, name: str) -> Node | None:
        return self._nodes.get(name)

    def add(self, name: str, node: Node) -> None:
        """Put a node in, in place of one of the same name."""
        self._nodes = {**self._nodes, name: node}

    def remove(self, name: str) -> None:
        """Take a node out."""
        self._nodes = {old: node for old, node in self._nodes.items() if old != name}


class DynamicFile(DynamicNode, File):
    """`content()` is asked at each open; `write(data)` gets what one write call wrote (None: EACCES to write)."""

    __slots__ = ("_content", "_write")

    def __init__(
        self,
        content: Callable[[], bytes],
        write: Callable[[bytes], None] | None = None,
        mode: int = 0o444,
        uid: int = 0,
        gid: int = 0,
    ) -> None:
        super().__init__(stat.S_IFREG | mode, uid, gid)
        self._content = content
        self._write = write

    def open(self, flags: int) -> Handle:
        access = flags & os.O_ACCMODE
        if access != os.O_RDONLY and self._write is None:
            fail(errno.EACCES)
        return DynamicHandle(self, b"" if access == os.O_WRONLY else self._content(), self._write)

    def truncate(self, size: int) -> None:
        if self._write is None:
            fail(errno.EACCES)


class DynamicHandle(Handle):
    """The content as it was at open."""

    __slots__ = ("_content", "_write")

    def __init__(self, node: DynamicFile, content: bytes, write: Callable[[bytes], None] | None) -> None:
        self.node = node
        self._content = content
        self._write = write

    def readinto(self, view: memoryview, offset: int) -> int:
        part = self._content[offset : offset + len(view)]
        view[: len(part)] = part
        return len(part)

    def write(self, view: memoryview, offset: int) -> int:
        if self._write is None:
            fail(errno.EBADF)
        self._write(bytes(view))
        return len(view)

    def append(self, view: memoryview) -> int:
        return self.write(view, 0)

    def fallocate(self, mode: int, offset: int, length: int) -> None:
        fail(errno.EOPNOTSUPP)

    def close(self) -> None:
        self._content = b""


class DynamicSymlink(DynamicNode, Symlink):
    """`target()` is the text; with `node()` a magic link, which leads to that node whatever the text says."""

    __slots__ = ("_node", "_target")

    def __init__(
        self, target: Callable[[], str], node: Callable[[], Node] | None = None, uid: int = 0, gid: int = 0
    ) -> None:
        super().__init__(stat.S_IFLNK | 0o777, uid, gid)
        self._target = target
        self._node = node

    @property
    def target(self) -> str:
        return self._target()

    def follow(self) -> Node | None:
        return None if self._node is None else self._node()


class Device(DynamicNode, Special):
    """A device (or fifo, socket) that is always there; `mode` includes S_IFMT."""

    __slots__ = ()

    def __init__(self, mode: int, rdev: int = 0, uid: int = 0, gid: int = 0) -> None:
        super().__init__(mode, uid, gid, rdev)
