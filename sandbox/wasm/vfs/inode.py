"""Inodes kept in memory: attributes and names, shared by tmpfs and the overlay.

A change is first recorded (`InodeFileSystem.record_*`, which the overlay sends to its journal and which may fail), then
applied; both under the file system's lock, so that what is recorded is what there is.
"""

from __future__ import annotations

import errno
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from sandbox.wasm.vfs.node import (
    RENAME_EXCHANGE,
    RENAME_NOREPLACE,
    XATTR_CREATE,
    XATTR_REPLACE,
    Directory,
    Entry,
    File,
    FileSystem,
    Node,
    Special,
    Stat,
    Symlink,
    check_name,
    fail,
)

NO_XATTRS: Mapping[str, bytes] = MappingProxyType({})
Attributes = tuple[int, int, int, int, int, int]
"""(mode, uid, gid, atime, mtime, ctime), times in nanoseconds."""
_XATTRS_MAX, _XATTRS_MOST = 128 << 10, 256
"""Bytes and number of one file's extended attributes: they are kept in memory."""
_NAMESPACES = ("user.", "trusted.", "security.")


class InodeFileSystem(FileSystem):
    """A file system of inodes in memory. The `record_*` hooks are called, under the lock, before a change is made."""

    def make(self, mode: int, uid: int, gid: int, rdev: int = 0, target: str = "") -> Inode:
        """A fresh inode of the kind that S_IFMT says, not yet in a directory."""
        raise NotImplementedError

    def record_new(self, directory: InodeDirectory, name: str, node: Inode, now: int) -> None:
        """A fresh inode is about to appear as `name`."""

    def record_link(self, directory: InodeDirectory, name: str, node: Inode, now: int) -> None:
        """`node` is about to get one more name."""

    def record_gone(self, directory: InodeDirectory, name: str, node: Inode, now: int) -> None:
        """`name` is about to disappear."""

    def record_rename(self, move: Move, now: int) -> None:
        """A rename is about to happen."""

    def record_attributes(self, node: Inode, changed: Attributes) -> None:
        """Attributes are about to change."""

    def record_xattr(self, node: Inode, name: str, value: bytes | None) -> None:
        """An extended attribute is about to be set, or removed (None)."""


class Move:
    """One rename: `node` leaves (`directory`, `old`) for (`target`, `new`), where `victim` is replaced or swapped."""

    __slots__ = ("directory", "exchange", "new", "node", "old", "target", "victim")

    def __init__(
        self, directory: InodeDirectory, old: str, node: Inode, target: InodeDirectory, new: str, victim: Inode | None
    ) -> None:
        self.directory, self.old, self.node = directory, old, node
        self.target, self.new, self.victim = target, new, victim
        self.exchange = False


class Inode(Node):
    """Attributes in memory. `nlink` of a directory is 1 while it exists: subdirectories are not counted."""

    __slots__ = ("atime", "ctime", "gid", "ino", "mode", "mtime", "nlink", "rdev", "uid", "xattrs")

    fs: InodeFileSystem
    ino: int
    mode: int
    uid: int
    gid: int
    rdev: int
    nlink: int

    def __init__(self, fs: InodeFileSystem, ino: int, mode: int, uid: int, gid: int, rdev: int, now: int) -> None:
        self.fs = fs
        self.attachment = None
        self.ino = ino
        self.mode = mode
        self.uid = uid
        self.gid = gid
        self.rdev = rdev
        self.nlink = 1
        self.atime = self.mtime = self.ctime = now
        self.xattrs: Mapping[str, bytes] = NO_XATTRS

    @property
    def dev(self) -> int:
        return self.fs.dev

    @property
    def size(self) -> int:
        return 0

    @property
    def key(self) -> tuple[int, int]:
        return (self.fs.dev, self.ino)

    def owner(self) -> tuple[int, int, int]:
        return (self.mode, self.uid, self.gid)

    def stat(self) -> Stat:
        size = self.size
        return Stat(
            self.ino,
            self.fs.dev,
            self.mode,
            self.uid,
            self.gid,
            self.rdev,
            self.nlink,
            size,
            (size + 511) >> 9,
            self.atime,
            self.mtime,
            self.ctime,
        )

    def chmod(self, mode: int) -> None:
        self._change(mode=stat.S_IFMT(self.mode) | stat.S_IMODE(mode))

    def chown(self, uid: int, gid: int) -> None:
        self._change(uid=None if uid == -1 else uid, gid=None if gid == -1 else gid)

    def utime(self, atime_ns: int | None, mtime_ns: int | None) -> None:
        self._change(atime=atime_ns, mtime=mtime_ns)

    def _change(
        self,
        mode: int | None = None,
        uid: int | None = None,
        gid: int | None = None,
        atime: int | None = None,
        mtime: int | None = None,
    ) -> None:
        fs = self.fs
        with fs.lock:
            fs.check_writable()
            changed = (
                self.mode if mode is None else mode,
                self.uid if uid is None else uid,
                self.gid if gid is None else gid,
                self.atime if atime is None else atime,
                self.mtime if mtime is None else mtime,
                time.time_ns(),
            )
            fs.record_attributes(self, changed)
            self.assign(changed)

    def assign(self, changed: Attributes) -> None:
        """Take over attributes that are recorded."""
        self.mode, self.uid, self.gid, self.atime, self.mtime, self.ctime = changed

    def getxattr(self, name: str) -> bytes:
        value = self.xattrs.get(name)
        if value is None:
            fail(errno.ENODATA, name)
        return value

    def setxattr(self, name: str, value: bytes, flags: int = 0) -> None:
        if not name.startswith(_NAMESPACES):
            fail(errno.EOPNOTSUPP, name)
        if name.startswith("user.") and not (stat.S_ISREG(self.mode) or stat.S_ISDIR(self.mode)):
            fail(errno.EPERM, name)
        with self.fs.lock:
            if flags & XATTR_CREATE and name in self.xattrs:
                fail(errno.EEXIST, name)
            if flags & XATTR_REPLACE and name not in self.xattrs:
                fail(errno.ENODATA, name)
            others = [len(other) for key, other in self.xattrs.items() if key != name]
            if sum(others) + len(value) > _XATTRS_MAX or len(others) >= _XATTRS_MOST:
                fail(errno.ENOSPC, name)
            self._change_xattr(name, bytes(value))

    def removexattr(self, name: str) -> None:
        with self.fs.lock:
            if name not in self.xattrs:
                fail(errno.ENODATA, name)
            self._change_xattr(name, None)

    def listxattr(self) -> list[str]:
        return list(self.xattrs)

    def _change_xattr(self, name: str, value: bytes | None) -> None:
        self.fs.check_writable()
        self.fs.record_xattr(self, name, value)
        self.assign_xattr(name, value)
        self.ctime = time.time_ns()

    def assign_xattr(self, name: str, value: bytes | None) -> None:
        """Take over an extended attribute that is recorded."""
        kept = {key: old for key, old in self.xattrs.items() if key != name}
        self.xattrs = kept if value is None else {**kept, name: value}

    def dropped(self) -> None:
        """The last name is gone; open handles may remain."""


class InodeSymlink(Inode, Symlink):
    """A symbolic link in memory."""

    __slots__ = ("_target",)

    def __init__(
        self, fs: InodeFileSystem, ino: int, mode: int, uid: int, gid: int, rdev: int, now: int, target: str
    ) -> None:
        super().__init__(fs, ino, mode, uid, gid, rdev, now)
        self._target = target

    @property
    def target(self) -> str:
        return self._target

    @property
    def size(self) -> int:
        return len(self._target.encode("utf-8", "surrogateescape"))


class InodeSpecial(Inode, Special):
    """A device, fifo or socket in memory."""

    __slots__ = ()


class InodeDirectory(Inode, Directory):
    """A directory in memory. In `children`, None hides a name that would otherwise show through from below."""

    __slots__ = ("children", "name", "parent")

    parent: InodeDirectory | None
    name: str

    def __init__(self, fs: InodeFileSystem, ino: int, mode: int, uid: int, gid: int, rdev: int, now: int) -> None:
        super().__init__(fs, ino, mode, uid, gid, rdev, now)
        self.parent = None
        self.name = ""
        self.children: dict[str, Inode | None] = {}

    @property
    def size(self) -> int:
        return 4096

    def place(self) -> tuple[Directory | None, str]:
        if not self.nlink:
            fail(errno.ENOENT, self.name)
        return (self.parent, self.name)

    def find(self, name: str) -> Inode | None:
        return self.children.get(name)

    def entries(self) -> list[Entry]:
        with self.fs.lock:
            return [(name, node.ino, node.mode >> 12) for name, node in self.nodes()]

    def nodes(self) -> Iterator[tuple[str, Inode]]:
        """The names that have an inode in memory."""
        return ((name, node) for name, node in self.children.items() if node is not None)

    def is_empty(self) -> bool:
        """Nothing but "." and ".."."""
        return not self.children

    def put(self, name: str, node: Inode) -> None:
        """Let `name` be `node`."""
        self.children[name] = node
        if isinstance(node, InodeDirectory):
            node.parent, node.name = self, name

    def drop(self, name: str) -> None:
        """Let `name` be nothing."""
        del self.children[name]

    def touch(self, now: int) -> None:
        """The names have changed."""
        self.mtime = self.ctime = now

    def create(self, name: str, mode: int, uid: int, gid: int) -> File:
        node = self._make(name, stat.S_IFREG | stat.S_IMODE(mode), uid, gid)
        assert isinstance(node, File)
        return node

    def mkdir(self, name: str, mode: int, uid: int, gid: int) -> Directory:
        node = self._make(name, stat.S_IFDIR | stat.S_IMODE(mode), uid, gid)
        assert isinstance(node, Directory)
        return node

    def symlink(self, name: str, target: str, uid: int, gid: int) -> Symlink:
        if not target:
            fail(errno.ENOENT, name)
        node = self._make(name, stat.S_IFLNK | 0o777, uid, gid, 0, target)
        assert isinstance(node, Symlink)
        return node

    def mknod(self, name: str, mode: int, uid: int, gid: int, rdev: int = 0) -> Node:
        kind = stat.S_IFMT(mode) or stat.S_IFREG
        if kind not in (stat.S_IFREG, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK):
            fail(errno.EPERM if kind == stat.S_IFDIR else errno.EINVAL, name)
        return self._make(name, kind | stat.S_IMODE(mode), uid, gid, rdev)

    def _make(self, name: str, mode: int, uid: int, gid: int, rdev: int = 0, target: str = "") -> Inode:
        fs = self.fs
        with fs.lock:
            self._check_new(name)
            node = fs.make(mode, uid, gid, rdev, target)
            fs.record_new(self, name, node, node.ctime)
            self.put(name, node)
            self.touch(node.ctime)
            return node

    def _check_new(self, name: str) -> None:
        check_name(name)
        if self.find(name) is not None:
            fail(errno.EEXIST, name)
        self._check_alive()

    def _check_alive(self) -> None:
        self.fs.check_writable()
        if not self.nlink:
            fail(errno.ENOENT, self.name)

    def link(self, name: str, node: Node) -> None:
        fs = self.fs
        with fs.lock:
            self._check_new(name)
            if not isinstance(node, Inode) or node.fs is not fs:
                fail(errno.EXDEV, name)
            if isinstance(node, Directory):
                fail(errno.EPERM, name)
            if not node.nlink:
                fail(errno.ENOENT, name)
            now = time.time_ns()
            fs.record_link(self, name, node, now)
            node.nlink += 1
            node.ctime = now
            self.put(name, node)
            self.touch(now)

    def unlink(self, name: str) -> None:
        with self.fs.lock:
            node = self._existing(name)
            if isinstance(node, Directory):
                fail(errno.EISDIR, name)
            self._remove(name, node)

    def rmdir(self, name: str) -> None:
        with self.fs.lock:
            node = self._existing(name)
            if not isinstance(node, InodeDirectory):
                fail(errno.ENOTDIR, name)
            if not node.is_empty():
                fail(errno.ENOTEMPTY, name)
            self._remove(name, node)

    def _existing(self, name: str) -> Inode:
        node = self.find(name)
        if node is None:
            fail(errno.ENOENT, name)
        self.fs.check_writable()
        return node

    def _remove(self, name: str, node: Inode) -> None:
        now = time.time_ns()
        self.fs.record_gone(self, name, node, now)
        self.drop(name)
        self.touch(now)
        self._unnamed(node, now)

    @staticmethod
    def _unnamed(node: Inode, now: int) -> None:
        node.nlink -= 1
        node.ctime = now
        if not node.nlink:
            node.dropped()

    def rename(self, old: str, newdir: Directory, new: str, flags: int = 0) -> None:
        if flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE) or flags == RENAME_NOREPLACE | RENAME_EXCHANGE:
            fail(errno.EINVAL, new)
        if not isinstance(newdir, InodeDirectory) or newdir.fs is not self.fs:
            fail(errno.EXDEV, new)
        with self.fs.lock:
            node = self._existing(old)
            check_name(new)
            move = Move(self, old, node, newdir, new, newdir.find(new))
            move.exchange = bool(flags & RENAME_EXCHANGE)
            if move.victim is not None and flags & RENAME_NOREPLACE:
                fail(errno.EEXIST, new)
            if move.victim is None and move.exchange:
                fail(errno.ENOENT, new)
            _check_loops(move)
            if move.victim is node:
                return
            if not move.exchange:
                _check_replace(move)
            newdir._check_alive()
            self._move(move)

    def _move(self, move: Move) -> None:
        now = time.time_ns()
        self.fs.record_rename(move, now)
        if move.exchange and move.victim is not None:
            self.put(move.old, move.victim)
            move.victim.ctime = now
        else:
            self.drop(move.old)
        move.target.put(move.new, move.node)
        move.node.ctime = now
        self.touch(now)
        move.target.touch(now)
        if move.victim is not None and not move.exchange:
            self._unnamed(move.victim, now)


def _check_loops(move: Move) -> None:
    """No directory may come to lie in itself; neither side may be above the other."""
    if move.node in _upwards(move.target):
        fail(errno.EINVAL, move.new)
    if move.victim is not None and move.victim in _upwards(move.directory):
        fail(errno.EINVAL if move.exchange else errno.ENOTEMPTY, move.new)


def _upwards(directory: InodeDirectory | None) -> Iterable[Inode]:
    while directory is not None:
        yield directory
        directory = directory.parent


def _check_replace(move: Move) -> None:
    victim = move.victim
    if victim is None:
        return
    if isinstance(move.node, InodeDirectory):
        if not isinstance(victim, InodeDirectory):
            fail(errno.ENOTDIR, move.new)
        if not victim.is_empty():
            fail(errno.ENOTEMPTY, move.new)
    elif isinstance(victim, InodeDirectory):
        fail(errno.EISDIR, move.new)
