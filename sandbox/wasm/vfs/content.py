"""Regular files of the overlay: bytes from the image's tar until the first write, then a host file of their own.

A file with data of its own has it in `<state>/data/<id>`, and that host file's length and time of modification are the
truth (nothing is journalled for a write). The host file is open while any handle is, once for all of them, so every
handle sees every write at once, also one that was opened before the file was first written to.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from sandbox.images.tree import LowerNode
from sandbox.wasm.vfs.inode import Attributes, Inode
from sandbox.wasm.vfs.node import File, Handle, Stat, fail

if TYPE_CHECKING:
    from sandbox.wasm.vfs.overlay import Overlay
    from sandbox.wasm.vfs.union import Origin


class UnionFile(Inode, File):
    """A regular file. `has_data`: its bytes are in the data directory (or, without a name, only in `fd`)."""

    __slots__ = ("fd", "has_data", "id", "known_blocks", "known_size", "lower", "origin", "users")

    fs: Overlay

    def __init__(self, fs: Overlay, ino: int, mode: int, uid: int, gid: int, rdev: int, now: int) -> None:
        super().__init__(fs, ino, mode, uid, gid, rdev, now)
        self.id = 0
        self.lower: LowerNode | None = None
        self.origin: Origin | None = None
        self.has_data = False
        self.fd = -1
        self.users = 0
        self.known_size = 0
        self.known_blocks = 0

    @property
    def size(self) -> int:
        return self.stat().size

    def stat(self) -> Stat:
        with self.fs.lock:
            if self.fd >= 0:
                self._learn(os.fstat(self.fd))
            elif self.known_size < 0:
                self._learn(os.stat(self.fs.data_path(self.id)))
            size = self.known_size
            return Stat(
                self.ino,
                self.fs.dev,
                self.mode,
                self.uid,
                self.gid,
                0,
                self.nlink,
                size,
                self.known_blocks if self.has_data else (size + 511) >> 9,
                self.atime,
                self.mtime,
                self.ctime,
            )

    def _learn(self, found: os.stat_result) -> None:
        self.known_size = found.st_size
        self.mtime = found.st_mtime_ns
        self.ctime = max(self.ctime, found.st_ctime_ns)
        self.known_blocks = found.st_blocks

    def assign(self, changed: Attributes) -> None:
        if self.has_data and changed[4] != self.mtime:
            times = (changed[3], changed[4])
            if self.fd >= 0:
                os.utime(self.fd, ns=times)
            else:
                os.utime(self.fs.data_path(self.id), ns=times)
        super().assign(changed)

    def open(self, flags: int) -> Handle:
        fs = self.fs
        if flags & os.O_ACCMODE != os.O_RDONLY or flags & os.O_TRUNC:
            fs.check_writable()
        with fs.lock:
            if self.has_data and self.fd < 0:
                if not self.nlink:
                    fail(errno.ESTALE)
                self.fd = fs.open_data(self.id)
            self.users += 1
        if flags & os.O_TRUNC:
            try:
                self.truncate(0)
            except OSError:
                self.release()
                raise
        return UnionHandle(self)

    def release(self) -> None:
        """One handle fewer; the last one gives the host descriptor back."""
        with self.fs.lock:
            self.users -= 1
            if not self.users and self.fd >= 0:
                self._learn(os.fstat(self.fd))
                os.close(self.fd)
                self.fd = -1

    def dropped(self) -> None:
        if self.has_data:
            if self.fd < 0:
                self.stat()
            os.unlink(self.fs.data_path(self.id))

    def truncate(self, size: int) -> None:
        self.fs.check_writable()
        with self.fs.content_lock:
            if not self.has_data and self.known_size == size == 0:
                self.utime(None, self.fs.now())
                return
            with self.fs.lock:
                self.users += 1
            try:
                os.ftruncate(self.own_data(keep=size), size)
            finally:
                self.release()

    def own_data(self, keep: int | None = None) -> int:
        """The descriptor of the file's own data, which is made now if need be; only with a handle open.

        `keep`: how many bytes of the image's content will be wanted (None: all).
        """
        if self.fd >= 0:
            return self.fd
        with self.fs.content_lock:
            with self.fs.lock:
                if self.fd < 0 and self.has_data:
                    self.fd = self.fs.open_data(self.id)
                if self.fd >= 0:
                    return self.fd
                self.fs.check_writable()
                if self.nlink:
                    self.fs.bind(self)
                size = self.known_size if keep is None else min(keep, self.known_size)
                if not size:
                    return self._adopt(self.fs.make_data(self.id if self.nlink else 0))
            return self._copy(size)

    def _copy(self, size: int) -> int:
        """Copy the image's bytes beside and then put them in place, all of them or none."""
        lower = self.lower
        assert lower is not None and lower.layer is not None
        fd, temporary = self.fs.make_temporary()
        try:
            copy_range(lower.layer.fd(), lower.offset, fd, size)
            with self.fs.lock:
                if self.nlink:
                    os.rename(temporary, self.fs.data_path(self.id))
                else:
                    os.unlink(temporary)
                return self._adopt(fd)
        except OSError:
            os.close(fd)
            os.unlink(temporary)
            raise

    def _adopt(self, fd: int) -> int:
        self.fd, self.has_data = fd, True
        return fd

    def read(self, view: memoryview, offset: int) -> int:
        """As `Handle.readinto`, with a handle open."""
        if self.fd >= 0:
            return os.preadv(self.fd, [view], offset)
        lower = self.lower
        if lower is None or lower.layer is None:
            return 0
        count = min(len(view), lower.size - offset)
        if count <= 0:
            return 0
        return os.preadv(lower.layer.fd(), [view[:count]], lower.offset + offset)


class UnionHandle(Handle):
    """An open file of an overlay."""

    __slots__ = ()

    node: UnionFile

    def __init__(self, node: UnionFile) -> None:
        self.node = node

    def readinto(self, view: memoryview, offset: int) -> int:
        return self.node.read(view, offset)

    def write(self, view: memoryview, offset: int) -> int:
        fd = self.node.fd
        if fd < 0:
            fd = self.node.own_data()
        return os.pwritev(fd, [view], offset)

    def append(self, view: memoryview) -> int:
        fd = self.node.own_data()
        with self.node.fs.append_lock:
            os.pwritev(fd, [view], 0, os.RWF_APPEND)
            return os.lseek(fd, 0, os.SEEK_END)

    def fallocate(self, mode: int, offset: int, length: int) -> None:
        if mode:
            fail(errno.EOPNOTSUPP)
        os.posix_fallocate(self.node.own_data(), offset, length)

    def sync(self) -> None:
        if self.node.fd >= 0:
            os.fsync(self.node.fd)

    def host_range(self) -> tuple[int, int, int] | None:
        node = self.node
        if node.fd >= 0:
            return (node.fd, 0, os.fstat(node.fd).st_size)
        if node.lower is None or node.lower.layer is None:
            return None
        return (node.lower.layer.fd(), node.lower.offset, node.lower.size)

    def close(self) -> None:
        self.node.release()


def copy_range(source: int, offset: int, target: int, size: int) -> None:
    """Copy `size` bytes from `offset` of one host file to the beginning of another, inside the kernel; EIO if the
    source is shorter."""
    done = 0
    while done < size:
        try:
            count = os.copy_file_range(source, target, size - done, offset + done, done)
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
                raise
            os.lseek(target, done, os.SEEK_SET)
            count = os.sendfile(target, source, offset + done, size - done)
        if not count:
            fail(errno.EIO)
        done += count
