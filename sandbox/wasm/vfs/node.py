"""What every file system offers: nodes, open files, and the file system they belong to.

The methods of nodes check what keeps a file system whole (names, kinds, space, read-only), never who asks: permission
is the business of `operations`.
"""

from __future__ import annotations

import errno
import itertools
import os
import stat
import threading
from abc import abstractmethod
from dataclasses import dataclass
from typing import NoReturn

NAME_MAX = 255
PATH_MAX = 4096
RENAME_NOREPLACE = 1
RENAME_EXCHANGE = 2
XATTR_CREATE = 1
XATTR_REPLACE = 2

D_TYPES = {
    stat.S_IFIFO: 1,
    stat.S_IFCHR: 2,
    stat.S_IFDIR: 4,
    stat.S_IFBLK: 6,
    stat.S_IFREG: 8,
    stat.S_IFLNK: 10,
    stat.S_IFSOCK: 12,
}

Entry = tuple[str, int, int]

_minors = itertools.count(0x1000)


def fail(number: int, name: str | None = None) -> NoReturn:
    """Raise the OSError of an errno, with the name or path it is about."""
    raise OSError(number, os.strerror(number), name)


def check_name(name: str) -> str:
    """A name that may be made in a directory; ENAMETOOLONG, or EINVAL for what is no single component."""
    if len(name) > NAME_MAX // 4 and len(os.fsencode(name)) > NAME_MAX:
        fail(errno.ENAMETOOLONG, name)
    if not name or name in (".", "..") or "/" in name or "\0" in name:
        fail(errno.EINVAL, name)
    return name


@dataclass(slots=True)
class Stat:
    """A node's attributes at one moment. `mode` includes S_IFMT, `blocks` are of 512 bytes, times nanoseconds."""

    ino: int
    dev: int
    mode: int
    uid: int
    gid: int
    rdev: int
    nlink: int
    size: int
    blocks: int
    atime_ns: int
    mtime_ns: int
    ctime_ns: int


@dataclass(slots=True)
class StatFs:
    """Space of a file system, in blocks of `block_size` bytes; `files` and `files_free` count inodes."""

    kind: str
    block_size: int
    blocks: int
    blocks_free: int
    files: int
    files_free: int


class FileSystem:
    """What the nodes of one mounted file system share.

    `lock` guards its names and attributes; it is held for moments, never while bytes of a file move. `from_host`: it is
    the host's, not only the container's, so that the API sees it too.
    """

    kind = "none"
    from_host = False

    def __init__(self, *, read_only: bool = False) -> None:
        minor = next(_minors)
        self.dev = os.makedev(0, minor)
        self.read_only = read_only
        self.lock = threading.RLock()

    def statfs(self) -> StatFs:
        """Space and inodes in all and free; zeros where the question makes no sense."""
        return StatFs(self.kind, 4096, 0, 0, 0, 0)

    def check_writable(self) -> None:
        """EROFS when mounted read-only."""
        if self.read_only:
            fail(errno.EROFS)

    def close(self) -> None:
        """Give up host descriptors. No node may be used afterwards."""


class Node:
    """One inode. Attributes are read-only here: change them through the methods.

    PERF: not an ABC, whose isinstance() takes several times as long; a walk asks it for every component.
    """

    __slots__ = ("__weakref__", "attachment", "fs")

    fs: FileSystem
    attachment: object

    @abstractmethod
    def stat(self) -> Stat:
        """All attributes at once."""

    @property
    def ino(self) -> int:
        return self.stat().ino

    @property
    def dev(self) -> int:
        return self.stat().dev

    @property
    def mode(self) -> int:
        return self.stat().mode

    @property
    def uid(self) -> int:
        return self.stat().uid

    @property
    def gid(self) -> int:
        return self.stat().gid

    @property
    def rdev(self) -> int:
        return self.stat().rdev

    @property
    def nlink(self) -> int:
        return self.stat().nlink

    @property
    def size(self) -> int:
        return self.stat().size

    @property
    def blocks(self) -> int:
        return self.stat().blocks

    @property
    def atime_ns(self) -> int:
        return self.stat().atime_ns

    @property
    def mtime_ns(self) -> int:
        return self.stat().mtime_ns

    @property
    def ctime_ns(self) -> int:
        return self.stat().ctime_ns

    @property
    def key(self) -> tuple[int, int]:
        """(dev, ino): the same for every object that stands for this inode."""
        return (self.dev, self.ino)

    def owner(self) -> tuple[int, int, int]:
        """(mode, uid, gid), all that a permission check needs."""
        found = self.stat()
        return (found.mode, found.uid, found.gid)

    @abstractmethod
    def chmod(self, mode: int) -> None:
        """Set the twelve permission bits; other bits of `mode` are ignored."""

    @abstractmethod
    def chown(self, uid: int, gid: int) -> None:
        """Set the owners; -1 leaves one as it is."""

    @abstractmethod
    def utime(self, atime_ns: int | None, mtime_ns: int | None) -> None:
        """Set the times; None leaves one as it is."""

    def getxattr(self, name: str) -> bytes:
        """An extended attribute's value; ENODATA when there is none."""
        fail(errno.ENODATA, name)

    def setxattr(self, name: str, value: bytes, flags: int = 0) -> None:
        """Set one; `flags` XATTR_CREATE (EEXIST) or XATTR_REPLACE (ENODATA)."""
        fail(errno.EOPNOTSUPP, name)

    def listxattr(self) -> list[str]:
        """The names of all extended attributes."""
        return []

    def removexattr(self, name: str) -> None:
        """Remove one; ENODATA when there is none."""
        fail(errno.ENODATA, name)


class Directory(Node):
    """A directory. It has one place: `parent` (None at the root of its file system) and `name` in it.

    Here every change is refused: the writable kinds override.
    """

    __slots__ = ()

    parent: Directory | None
    name: str

    @abstractmethod
    def find(self, name: str) -> Node | None:
        """The node called `name`, or None. `name` is neither "." nor ".."."""

    @abstractmethod
    def entries(self) -> list[Entry]:
        """(name, ino, d_type) of every entry at this moment, without "." and ".."."""

    def lookup(self, name: str) -> Node:
        """The node called `name`; ENOENT."""
        node = self.find(name)
        if node is None:
            fail(errno.ENOENT, name)
        return node

    def place(self) -> tuple[Directory | None, str]:
        """(parent, name) as they are now; ENOENT when the directory was removed."""
        return (self.parent, self.name)

    def create(self, name: str, mode: int, uid: int, gid: int) -> File:
        """Make an empty regular file; EEXIST."""
        self._refuse()

    def mkdir(self, name: str, mode: int, uid: int, gid: int) -> Directory:
        """Make an empty directory; EEXIST."""
        self._refuse()

    def symlink(self, name: str, target: str, uid: int, gid: int) -> Symlink:
        """Make a symbolic link; EEXIST."""
        self._refuse()

    def mknod(self, name: str, mode: int, uid: int, gid: int, rdev: int = 0) -> Node:
        """Make the kind of node that S_IFMT of `mode` says; EEXIST."""
        self._refuse()

    def link(self, name: str, node: Node) -> None:
        """Give an existing file of the same file system (EXDEV) another name; EEXIST, EPERM for a directory."""
        self._refuse()

    def unlink(self, name: str) -> None:
        """Remove the name of anything but a directory (EISDIR)."""
        self._refuse()

    def rmdir(self, name: str) -> None:
        """Remove an empty directory; ENOTDIR, ENOTEMPTY."""
        self._refuse()

    def rename(self, old: str, newdir: Directory, new: str, flags: int = 0) -> None:
        """renameat2: replaces what `new` was unless RENAME_NOREPLACE, swaps with RENAME_EXCHANGE; EXDEV, EINVAL, ..."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        fail(errno.EROFS if self.fs.read_only else errno.EPERM)


class File(Node):
    """A regular file."""

    __slots__ = ()

    @abstractmethod
    def open(self, flags: int) -> Handle:
        """Open it; of `flags` only the access mode and O_TRUNC count."""

    @abstractmethod
    def truncate(self, size: int) -> None:
        """Cut it, or grow it with zeros."""


class Symlink(Node):
    """A symbolic link."""

    __slots__ = ()

    @property
    @abstractmethod
    def target(self) -> str:
        """What readlink tells."""

    def follow(self) -> Node | None:
        """The node that a magic link leads to whatever its text says; None for an ordinary link."""
        return None


class Special(Node):
    """A device, fifo or socket: the kernel gives it its meaning."""

    __slots__ = ()


class Handle:
    """An open regular file without a position. Closed exactly once, when no other call runs on it."""

    __slots__ = ("node",)

    node: File

    @abstractmethod
    def readinto(self, view: memoryview, offset: int) -> int:
        """Read into `view` from `offset`; the number of bytes, 0 at the end."""

    @abstractmethod
    def write(self, view: memoryview, offset: int) -> int:
        """Write at `offset`, with zeros up to it if it lies past the end; the number of bytes written."""

    @abstractmethod
    def append(self, view: memoryview) -> int:
        """Write at the end, atomically against other appends; the offset after the bytes."""

    def truncate(self, size: int) -> None:
        """Cut the file, or grow it with zeros."""
        self.node.truncate(size)

    @abstractmethod
    def fallocate(self, mode: int, offset: int, length: int) -> None:
        """Reserve space and grow the file over the range; a `mode` other than 0 is EOPNOTSUPP."""

    def sync(self) -> None:
        """Have the bytes on the disk, where there is one."""

    def host_range(self) -> tuple[int, int, int] | None:
        """(fd, offset, size) of the whole content in a host file; None when it lies in none."""
        return None

    @abstractmethod
    def close(self) -> None:
        """Give it back."""


def read_all(file: File, most: int | None = None) -> bytes:
    """A file's content, for scripts, configuration and tests; no more than the first `most` bytes.

    What a container made can be of any length: give a limit.
    """
    handle = file.open(os.O_RDONLY)
    try:
        content, chunk = bytearray(), memoryview(bytearray(1 << 16))
        while most is None or len(content) < most:
            wanted = chunk if most is None else chunk[: most - len(content)]
            count = handle.readinto(wanted, len(content))
            if not count:
                break
            content += wanted[:count]
        return bytes(content)
    finally:
        handle.close()


def write_all(file: File, content: bytes) -> None:
    """Replace a file's content."""
    handle = file.open(os.O_WRONLY | os.O_TRUNC)
    try:
        done = 0
        while done < len(content):
            done += handle.write(memoryview(content)[done:], done)
    finally:
        handle.close()
