"""Bind mounts and volumes: a directory or a single file of the host, confined by directory descriptors.

SECURITY: the host never resolves more than one name at a time, relative to the descriptor of a directory that was
opened with O_NOFOLLOW inside the mount, and what is opened must be the inode that was looked up. Symbolic links are
resolved by the walk of the container's tree, ".." is never handed to the host. So neither links nor directories that
are swapped while we look lead out.

Nothing about names or attributes is kept: other containers and the API see changes at once. A descriptor of a directory
may be given back at any time; it is opened again from its parent, and ENOENT if it is no longer what it was. Only the
mount's own root is held: a host file that is replaced by another stays what it was for the container, as with Docker.

Ownership: as root it is the host's. Otherwise `user.sockerless.owner` ("uid:gid:mode", mode octal) remembers it on
files and directories, and what has no such attribute and belongs to the worker shows as root's.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import weakref
from pathlib import Path
from typing import TypeVar

from sandbox.wasm.vfs.descriptors import Descriptor, DescriptorCache
from sandbox.wasm.vfs.node import (
    Directory,
    Entry,
    File,
    FileSystem,
    Handle,
    Node,
    Special,
    Stat,
    StatFs,
    Symlink,
    check_name,
    fail,
)

OWNER = "user.sockerless.owner"
_HIDDEN = "user.sockerless."
_KEPT_DIRECTORIES = 512
_PIN = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC

Identity = tuple[int, int]
Made = TypeVar("Made", bound="HostNode")

_directories = DescriptorCache(_KEPT_DIRECTORIES)
_libc = ctypes.CDLL(None, use_errno=True)


class HostMount(FileSystem):
    """`path` is resolved by the host once, now; FileNotFoundError. `remember_owners`: as the module says (None: unless
    the worker is root)."""

    kind = "bind"
    from_host = True

    def __init__(self, path: Path | str, read_only: bool = False, remember_owners: bool | None = None) -> None:
        super().__init__(read_only=read_only)
        self.path = os.path.realpath(path)
        self.remember_owners = os.geteuid() != 0 if remember_owners is None else remember_owners
        self._known: weakref.WeakValueDictionary[Identity, Node] = weakref.WeakValueDictionary()
        self.anchor: Descriptor | None = Descriptor(os.open(self.path, os.O_PATH | os.O_CLOEXEC))
        self.root = self.node(None, "", os.fstat(self.anchor.fd))

    def node(self, parent: HostDirectory | None, name: str, found: os.stat_result) -> HostNode:
        """The node for what was found as `name`. Directories and specials are one object as long as anybody has it."""
        identity = (found.st_dev, found.st_ino)
        kind = stat.S_IFMT(found.st_mode)
        if kind == stat.S_IFREG:
            return HostFile(self, parent, name, identity)
        if kind == stat.S_IFLNK:
            return HostSymlink(self, parent, name, identity)
        maker = HostDirectory if kind == stat.S_IFDIR else HostSpecial
        with self.lock:
            known = self._known.get(identity)
            if not isinstance(known, maker):
                known = self._known[identity] = maker(self, parent, name, identity)
            elif known.parent is not None:
                known.parent, known.name = parent, name
            return known

    def statfs(self) -> StatFs:
        found = os.statvfs(self.anchor.path if self.anchor else self.path)
        return StatFs("ext4", found.f_frsize, found.f_blocks, found.f_bavail, found.f_files, found.f_favail)

    def close(self) -> None:
        self.anchor = None
        with self.lock:
            _directories.forget([node for node in self._known.values() if isinstance(node, HostDirectory)])


class HostNode(Node):
    """One host inode, found as `name` in `parent` (None: the root of the mount). Equal to others of the same inode."""

    __slots__ = ("identity", "name", "parent")

    kind = 0

    fs: HostMount
    parent: HostDirectory | None
    name: str

    def __init__(self, fs: HostMount, parent: HostDirectory | None, name: str, identity: Identity) -> None:
        self.fs = fs
        self.attachment = None
        self.parent = parent
        self.name = name
        self.identity = identity

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return isinstance(other, HostNode) and other.fs is self.fs and other.identity == self.identity

    def __hash__(self) -> int:
        return hash(self.identity)

    @property
    def key(self) -> tuple[int, int]:
        return self.identity

    def pin(self) -> Descriptor:
        """An O_PATH descriptor of this inode; ENOENT if its name leads elsewhere by now."""
        parent = self.parent
        if parent is None:
            return self.fs.anchor or fail(errno.ENOENT, self.fs.path)
        above = parent.pin()
        descriptor = Descriptor(os.open(self.name, _PIN, dir_fd=above.fd))
        self._check_same(os.fstat(descriptor.fd))
        return descriptor

    def _check_same(self, found: os.stat_result) -> None:
        """ENOENT if this is another inode. Hosts give numbers anew at once: what has one may be another kind."""
        if (found.st_dev, found.st_ino) != self.identity or self.kind not in (0, stat.S_IFMT(found.st_mode)):
            fail(errno.ENOENT, self.name)

    def result(self) -> os.stat_result:
        """The host's stat; ENOENT if the name leads elsewhere by now."""
        parent = self.parent
        if parent is None:
            pinned = self.pin()
            return os.fstat(pinned.fd)
        above = parent.pin()
        found = os.stat(self.name, dir_fd=above.fd, follow_symlinks=False)
        self._check_same(found)
        return found

    def stat(self) -> Stat:
        found = self.result()
        mode, uid, gid = found.st_mode, found.st_uid, found.st_gid
        if self.fs.remember_owners:
            mode, uid, gid = self._remembered(found)
        return Stat(
            found.st_ino,
            found.st_dev,
            mode,
            uid,
            gid,
            found.st_rdev,
            found.st_nlink,
            found.st_size,
            found.st_blocks,
            found.st_atime_ns,
            found.st_mtime_ns,
            found.st_ctime_ns,
        )

    def _remembered(self, found: os.stat_result) -> tuple[int, int, int]:
        mine = found.st_uid == os.geteuid()
        shown = (found.st_mode, 0 if mine else found.st_uid, 0 if mine else found.st_gid)
        if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
            return shown
        pinned = self.pin()
        try:
            uid, gid, mode = os.getxattr(pinned.path, OWNER).split(b":")
        except OSError as error:
            if error.errno in (errno.ENODATA, errno.EOPNOTSUPP, errno.EACCES):
                return shown
            raise
        return (stat.S_IFMT(found.st_mode) | int(mode, 8), int(uid), int(gid))

    def chmod(self, mode: int) -> None:
        self.fs.check_writable()
        mode = stat.S_IMODE(mode)
        if self.fs.remember_owners:
            _, uid, gid = self.owner()
            self._remember(uid, gid, mode)
        else:
            pinned = self.pin()
            os.chmod(pinned.path, mode)

    def chown(self, uid: int, gid: int) -> None:
        self.fs.check_writable()
        if self.fs.remember_owners:
            mode, old_uid, old_gid = self.owner()
            self._remember(old_uid if uid == -1 else uid, old_gid if gid == -1 else gid, mode)
        else:
            pinned = self.pin()
            os.chown(pinned.path, uid, gid)

    def own(self, mode: int, uid: int, gid: int) -> None:
        """The attributes of an inode just made."""
        if self.fs.remember_owners:
            if not isinstance(self, Symlink | Special):
                self._remember(uid, gid, stat.S_IMODE(mode))
            return
        pinned = self.pin()
        if (uid, gid) != (os.geteuid(), os.getegid()):
            os.chown(pinned.path, uid, gid)
        if not isinstance(self, Symlink):
            os.chmod(pinned.path, stat.S_IMODE(mode))

    def _remember(self, uid: int, gid: int, mode: int) -> None:
        """The host's own bits let the worker in and keep what others of the host may see of it."""
        pinned = self.pin()
        if isinstance(self, Symlink | Special):
            fail(errno.EPERM, self.name)
        os.setxattr(pinned.path, OWNER, b"%d:%d:%o" % (uid, gid, stat.S_IMODE(mode)))
        access = stat.S_IRWXU if isinstance(self, Directory) else stat.S_IRUSR | stat.S_IWUSR
        os.chmod(pinned.path, mode & 0o777 | access)

    def utime(self, atime_ns: int | None, mtime_ns: int | None) -> None:
        self.fs.check_writable()
        pinned = self.pin()
        found = os.fstat(pinned.fd)
        atime = found.st_atime_ns if atime_ns is None else atime_ns
        mtime = found.st_mtime_ns if mtime_ns is None else mtime_ns
        os.utime(pinned.path, ns=(atime, mtime))

    def getxattr(self, name: str) -> bytes:
        self._check_xattr(name, errno.ENODATA)
        pinned = self.pin()
        return os.getxattr(pinned.path, name)

    def setxattr(self, name: str, value: bytes, flags: int = 0) -> None:
        self._check_xattr(name, errno.EOPNOTSUPP)
        self.fs.check_writable()
        pinned = self.pin()
        os.setxattr(pinned.path, name, value, flags)

    def removexattr(self, name: str) -> None:
        self._check_xattr(name, errno.ENODATA)
        self.fs.check_writable()
        pinned = self.pin()
        os.removexattr(pinned.path, name)

    def listxattr(self) -> list[str]:
        pinned = self.pin()
        names = os.listxattr(pinned.path)
        return [name for name in names if name.startswith("user.") and not name.startswith(_HIDDEN)]

    @staticmethod
    def _check_xattr(name: str, number: int) -> None:
        """Only the user's own: the others mean something to the host."""
        if not name.startswith("user.") or name.startswith(_HIDDEN):
            fail(number, name)


class HostDirectory(HostNode, Directory):
    """A directory; its descriptor is among those kept."""

    __slots__ = ("kept", "used")

    kind = stat.S_IFDIR

    parent: HostDirectory | None
    name: str
    kept: Descriptor | None
    used: bool

    def __init__(self, fs: HostMount, parent: HostDirectory | None, name: str, identity: Identity) -> None:
        super().__init__(fs, parent, name, identity)
        self.kept = None
        self.used = False

    def pin(self) -> Descriptor:
        kept = self.kept
        if kept is None:
            for directory in self._unpinned():
                kept = HostNode.pin(directory)
                _directories.keep(directory, kept)
            assert kept is not None
        else:
            self.used = True
        return kept

    def _unpinned(self) -> list[HostDirectory]:
        """From below the nearest directory above that is pinned to this one: a tree may be deeper than the stack."""
        found, parent = [self], self.parent
        while parent is not None and parent.kept is None:
            found.append(parent)
            parent = parent.parent
        found.reverse()
        return found

    def result(self) -> os.stat_result:
        pinned = self.pin()
        return os.fstat(pinned.fd)

    def place(self) -> tuple[Directory | None, str]:
        parent = self.parent
        if parent is None:
            return (None, "")
        found = parent.find(self.name)
        if found != self:
            for name, ino, _kind in parent.entries():
                if ino == self.identity[1] and parent.find(name) == self:
                    return (parent, name)
            fail(errno.ENOENT, self.name)
        return (parent, self.name)

    def find(self, name: str) -> HostNode | None:
        if name in ("", ".", "..") or "/" in name:
            fail(errno.EINVAL, name)
        pinned = self.pin()
        try:
            found = os.stat(name, dir_fd=pinned.fd, follow_symlinks=False)
        except FileNotFoundError:
            return None
        return self.fs.node(self, name, found)

    def entries(self) -> list[Entry]:
        pinned = self.pin()
        fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=pinned.fd)
        try:
            with os.scandir(fd) as found:
                return [(entry.name, entry.inode(), _d_type(entry)) for entry in found]
        finally:
            os.close(fd)

    def create(self, name: str, mode: int, uid: int, gid: int) -> File:
        self._check_new(name)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        pinned = self.pin()
        os.close(os.open(name, flags, 0o600, dir_fd=pinned.fd))
        return self._made(name, HostFile, mode, uid, gid)

    def mkdir(self, name: str, mode: int, uid: int, gid: int) -> Directory:
        self._check_new(name)
        pinned = self.pin()
        os.mkdir(name, 0o700, dir_fd=pinned.fd)
        return self._made(name, HostDirectory, mode, uid, gid)

    def symlink(self, name: str, target: str, uid: int, gid: int) -> Symlink:
        self._check_new(name)
        pinned = self.pin()
        os.symlink(target, name, dir_fd=pinned.fd)
        return self._made(name, HostSymlink, 0o777, uid, gid)

    def mknod(self, name: str, mode: int, uid: int, gid: int, rdev: int = 0) -> Node:
        """Fifos, sockets and files. EPERM for devices: on the host they would be real."""
        self._check_new(name)
        if stat.S_ISREG(mode) or not stat.S_IFMT(mode):
            return self.create(name, mode, uid, gid)
        if not stat.S_ISFIFO(mode) and not stat.S_ISSOCK(mode):
            fail(errno.EPERM, name)
        pinned = self.pin()
        os.mknod(name, stat.S_IFMT(mode) | 0o600, dir_fd=pinned.fd)
        return self._made(name, HostSpecial, mode, uid, gid)

    def _check_new(self, name: str) -> None:
        check_name(name)
        if self.find(name) is not None:
            fail(errno.EEXIST, name)
        self.fs.check_writable()

    def _made(self, name: str, kind: type[Made], mode: int, uid: int, gid: int) -> Made:
        node = self.find(name)
        if not isinstance(node, kind):
            fail(errno.ENOENT, name)
        node.own(mode, uid, gid)
        return node

    def link(self, name: str, node: Node) -> None:
        self._check_new(name)
        if not isinstance(node, HostNode) or node.fs is not self.fs or node.parent is None:
            fail(errno.EXDEV, name)
        if isinstance(node, Directory):
            fail(errno.EPERM, name)
        node.result()
        source, target = node.parent.pin(), self.pin()
        os.link(node.name, name, src_dir_fd=source.fd, dst_dir_fd=target.fd, follow_symlinks=False)

    def unlink(self, name: str) -> None:
        check_name(name)
        self.fs.check_writable()
        pinned = self.pin()
        os.unlink(name, dir_fd=pinned.fd)

    def rmdir(self, name: str) -> None:
        check_name(name)
        self.fs.check_writable()
        pinned = self.pin()
        os.rmdir(name, dir_fd=pinned.fd)

    def rename(self, old: str, newdir: Directory, new: str, flags: int = 0) -> None:
        if not isinstance(newdir, HostDirectory) or newdir.fs is not self.fs:
            fail(errno.EXDEV, new)
        check_name(old)
        check_name(new)
        self.fs.check_writable()
        source, target = self.pin(), newdir.pin()
        names = (os.fsencode(old), os.fsencode(new))
        if _libc.renameat2(source.fd, names[0], target.fd, names[1], flags):
            fail(ctypes.get_errno(), new)
        newdir.find(new)
        if flags:
            self.find(old)


def _d_type(entry: os.DirEntry[str]) -> int:
    if entry.is_symlink():
        return stat.S_IFLNK >> 12
    if entry.is_dir(follow_symlinks=False):
        return stat.S_IFDIR >> 12
    if entry.is_file(follow_symlinks=False):
        return stat.S_IFREG >> 12
    return entry.stat(follow_symlinks=False).st_mode >> 12


class HostFile(HostNode, File):
    """A regular file; with a handle open, its attributes are those of what is open."""

    __slots__ = ()

    kind = stat.S_IFREG

    def open(self, flags: int) -> Handle:
        access = flags & os.O_ACCMODE
        if access != os.O_RDONLY or flags & os.O_TRUNC:
            self.fs.check_writable()
        fd = self.open_host(access | flags & os.O_TRUNC)
        return HostHandle(OpenHostFile(self, fd))

    def open_host(self, flags: int) -> int:
        """A descriptor of exactly this inode."""
        pinned = self.pin()
        return os.open(pinned.path, flags | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)

    def truncate(self, size: int) -> None:
        self.fs.check_writable()
        fd = self.open_host(os.O_WRONLY)
        try:
            os.ftruncate(fd, size)
        finally:
            os.close(fd)


class OpenHostFile(HostFile):
    """The same file while it is open: found by its descriptor, whatever becomes of its name."""

    __slots__ = ("opened",)

    def __init__(self, file: HostFile, fd: int) -> None:
        super().__init__(file.fs, file.parent, file.name, file.identity)
        self.opened = Descriptor(fd)

    def pin(self) -> Descriptor:
        return self.opened

    def result(self) -> os.stat_result:
        return os.fstat(self.opened.fd)


class HostHandle(Handle):
    """An open host file."""

    __slots__ = ("_fd",)

    node: OpenHostFile

    def __init__(self, node: OpenHostFile) -> None:
        self.node = node
        self._fd = node.opened.fd

    def readinto(self, view: memoryview, offset: int) -> int:
        return os.preadv(self._fd, [view], offset)

    def write(self, view: memoryview, offset: int) -> int:
        return os.pwritev(self._fd, [view], offset)

    def append(self, view: memoryview) -> int:
        os.pwritev(self._fd, [view], 0, os.RWF_APPEND)
        return os.lseek(self._fd, 0, os.SEEK_END)

    def truncate(self, size: int) -> None:
        self.node.fs.check_writable()
        os.ftruncate(self._fd, size)

    def fallocate(self, mode: int, offset: int, length: int) -> None:
        if mode:
            fail(errno.EOPNOTSUPP)
        os.posix_fallocate(self._fd, offset, length)

    def sync(self) -> None:
        os.fsync(self._fd)

    def host_range(self) -> tuple[int, int, int] | None:
        return (self._fd, 0, os.fstat(self._fd).st_size)

    def close(self) -> None:
        """The descriptor goes with the last reference to the open node."""
        self._fd = -1


class HostSymlink(HostNode, Symlink):
    """A symbolic link. The container's tree resolves it, never the host."""

    __slots__ = ()

    kind = stat.S_IFLNK

    @property
    def target(self) -> str:
        pinned = self.pin()
        return os.readlink("", dir_fd=pinned.fd)


class HostSpecial(HostNode, Special):
    """A fifo, socket or device of the host."""

    __slots__ = ()

    def descriptor(self) -> int:
        """A fresh O_PATH descriptor, which the caller closes: a socket can be reached through /proc/self/fd/<it>."""
        pinned = self.pin()
        return os.dup(pinned.fd)
