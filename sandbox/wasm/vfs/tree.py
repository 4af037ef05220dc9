"""A container's files: everything mounted, and the system calls that take a path, with Linux's checks and errno."""

from __future__ import annotations

import errno
import os
import stat
from typing import NamedTuple

from sandbox.wasm.vfs.absent import AbsentMount
from sandbox.wasm.vfs.dynamic import place_root
from sandbox.wasm.vfs.node import RENAME_EXCHANGE, RENAME_NOREPLACE, Directory, File, Handle, Node, Symlink, fail
from sandbox.wasm.vfs.permissions import (
    READ,
    SEARCH,
    WRITE,
    Credentials,
    birth,
    check_access,
    check_delete,
    check_names,
)
from sandbox.wasm.vfs.walk import MAX_LINKS, Mount, Walker

_NOTHING = ("", ".", "..")


class Opened(NamedTuple):
    """An opened node; `handle` only for a regular file that was not opened with O_PATH."""

    node: Node
    handle: Handle | None


class FileTree(Walker):
    """Path operations. Keywords everywhere: `cwd` and `root` (directories; None: the tree's root) and `cred` (None:
    root). Modes come with the umask already taken off."""

    # Mounts

    def mount(self, path: str, node: Node, read_only: bool = False, source: str = "", options: str = "") -> Mount:
        """Let `path` be `node`, the root of a file system that is mounted nowhere else.

        A missing mount point is made, with its parents; links in `path` are followed. ENOTDIR or EISDIR if one of the
        two is a directory and the other is not, EBUSY for "/" and for a node that is mounted already.
        """
        place_root(node)
        with self._lock:
            above, name, covered = self._mount_point(path, isinstance(node, Directory))
            if node in self._roots:
                fail(errno.EBUSY, path)
            node.fs.read_only = node.fs.read_only or read_only
            return self._cover(above, name, covered, node, source, options)

    def _cover(
        self, above: Directory, name: str, covered: Node, node: Node, source: str = "", options: str = ""
    ) -> Mount:
        place = self.path_of(above).rstrip("/") + "/" + name
        mount = Mount(place, node, source or node.fs.kind, node.fs.kind, options, covered, above, name)
        self._roots = {**self._roots, node: mount}
        self._covers = {**self._covers, covered: mount}
        return mount

    def hide(self, path: str, source: str) -> None:
        """Let nothing be found at `path`, where `source` should be mounted and cannot be."""
        with self._lock:
            try:
                above, name, covered = self._locate(path, None, None, None)
            except (FileNotFoundError, NotADirectoryError):
                return
            if covered is not None:
                self._cover(above, name, covered, AbsentMount(source).root)

    def _mount_point(self, path: str, is_directory: bool) -> tuple[Directory, str, Node]:
        try:
            above, name, covered = self._locate(path, None, None, None)
        except FileNotFoundError:
            self.makedirs(os.path.dirname(path.rstrip("/")) or "/")
            above, name, covered = self._locate(path, None, None, None)
        if covered is None:
            made: Node = above.mkdir(name, 0o755, 0, 0) if is_directory else above.create(name, 0o644, 0, 0)
            return (above, name, made)
        if isinstance(covered, Directory) != is_directory:
            fail(errno.ENOTDIR if is_directory else errno.EISDIR, path)
        if covered == self.root:
            fail(errno.EBUSY, path)
        return (above, name, covered)

    def unmount(self, path: str) -> None:
        """Take away what is mounted at `path`; EINVAL if nothing is, EBUSY if something is mounted inside it."""
        with self._lock:
            node = self.resolve(path)
            mount = self._roots.get(node)
            if mount is None or mount.covered is None:
                fail(errno.EINVAL, path)
            if any(other.above is not None and other.above.fs is node.fs for other in self._roots.values()):
                fail(errno.EBUSY, path)
            self._covers = {covered: other for covered, other in self._covers.items() if other is not mount}
            self._roots = {root: other for root, other in self._roots.items() if other is not mount}

    def host_view(self) -> FileTree:
        """The same root with only the mounts from the host, as the API sees a container."""
        view = FileTree(self.root)
        shown = [mount for mount in self.mounts() if mount.root.fs.from_host]
        view._roots |= {mount.root: mount for mount in shown}
        view._covers = {mount.covered: mount for mount in shown if mount.covered is not None}
        return view

    def close(self) -> None:
        """Give up what the mounted file systems hold open. Nothing may be used afterwards."""
        for mount in self.mounts():
            mount.root.fs.close()

    def _locate(
        self, path: str, cwd: Directory | None, root: Directory | None, cred: Credentials | None
    ) -> tuple[Directory, str, Node | None]:
        """(directory, name, node or None) of what `path` is once links at its end are followed, missing or not.

        A name that is none (".", "..", "/") gives the directory's own place.
        """
        for _ in range(MAX_LINKS):
            parent, name, _slash = self.resolve_parent(path, cwd, root=root, cred=cred)
            if name in _NOTHING:
                found = self.resolve(path, cwd, root=root, cred=cred)
                return (*self._place(found), found)
            node = self.child(parent, name)
            magic = node.follow() if isinstance(node, Symlink) else None
            if magic is not None:
                return (parent, name, magic)
            if not isinstance(node, Symlink):
                return (parent, name, node)
            path, cwd = node.target, parent
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)

    def _place(self, node: Node) -> tuple[Directory, str]:
        if not isinstance(node, Directory):
            fail(errno.ENOTDIR)
        mount = self._roots.get(node)
        above, name = (mount.above, mount.name) if mount is not None else node.place()
        return (above or node, name)

    # Opening

    def open(
        self,
        path: str,
        flags: int,
        mode: int = 0o666,
        *,
        cwd: Directory | None = None,
        root: Directory | None = None,
        cred: Credentials | None = None,
    ) -> Opened:
        """openat: O_CREAT, O_EXCL, O_TRUNC, O_DIRECTORY, O_NOFOLLOW, O_PATH and the access mode are obeyed."""
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            fail(errno.EOPNOTSUPP, path)
        if flags & os.O_CREAT and not flags & os.O_PATH:
            return self._open_or_create(path, flags, mode, cwd, root, cred)
        node = self.resolve(path, cwd, root=root, follow=not flags & os.O_NOFOLLOW, cred=cred)
        return self.open_node(node, flags, cred)

    def _open_or_create(
        self,
        path: str,
        flags: int,
        mode: int,
        cwd: Directory | None,
        root: Directory | None,
        cred: Credentials | None,
    ) -> Opened:
        if flags & os.O_DIRECTORY:
            fail(errno.EINVAL, path)
        if path.endswith("/"):
            self.resolve_parent(path, cwd, root=root, cred=cred)
            fail(errno.EISDIR, path)
        while True:
            parent, name, node = self._create_place(path, flags, cwd, root, cred)
            if node is not None:
                if flags & os.O_EXCL:
                    fail(errno.EEXIST, path)
                if isinstance(node, Directory):
                    fail(errno.EISDIR, path)
                return self.open_node(node, flags, cred)
            check_names(parent, cred)
            try:
                made = parent.create(name, *birth(parent, mode & 0o7777, cred))
            except FileExistsError:
                if flags & os.O_EXCL:
                    raise
                continue
            return Opened(made, made.open(flags & ~os.O_TRUNC))

    def _create_place(
        self, path: str, flags: int, cwd: Directory | None, root: Directory | None, cred: Credentials | None
    ) -> tuple[Directory, str, Node | None]:
        if not flags & (os.O_EXCL | os.O_NOFOLLOW):
            return self._locate(path, cwd, root, cred)
        parent, name, _slash = self.resolve_parent(path, cwd, root=root, cred=cred)
        if name in _NOTHING:
            return (parent, name, self.resolve(path, cwd, root=root, cred=cred))
        return (parent, name, self.child(parent, name))

    def open_node(self, node: Node, flags: int, cred: Credentials | None = None) -> Opened:
        """Open a node that is at hand; ELOOP for a symbolic link, EISDIR for a directory to write to."""
        if flags & os.O_DIRECTORY and not isinstance(node, Directory):
            fail(errno.ENOTDIR)
        if flags & os.O_PATH:
            return Opened(node, None)
        if isinstance(node, Symlink):
            fail(errno.ELOOP)
        want = _WANTED[flags & os.O_ACCMODE] | (WRITE if flags & os.O_TRUNC else 0)
        if isinstance(node, Directory) and want & WRITE:
            fail(errno.EISDIR)
        check_access(node, want, cred)
        return Opened(node, node.open(flags) if isinstance(node, File) else None)

    def access(
        self,
        path: str,
        want: int,
        follow: bool = True,
        *,
        cwd: Directory | None = None,
        root: Directory | None = None,
        cred: Credentials | None = None,
    ) -> None:
        """faccessat: EACCES or EROFS unless the bits R_OK, W_OK, X_OK of `want` are granted."""
        node = self.resolve(path, cwd, root=root, follow=follow, cred=cred)
        check_access(node, want & (READ | WRITE | SEARCH), cred)

    def readlink(
        self,
        path: str,
        *,
        cwd: Directory | None = None,
        root: Directory | None = None,
        cred: Credentials | None = None,
    ) -> str:
        """The text of a symbolic link; EINVAL for anything else."""
        node = self.resolve(path, cwd, root=root, follow=False, cred=cred)
        if not isinstance(node, Symlink):
            fail(errno.EINVAL, path)
        return node.target

    # Making

    def _new_place(
        self,
        path: str,
        cwd: Directory | None,
        root: Directory | None,
        cred: Credentials | None,
        directory: bool = False,
    ) -> tuple[Directory, str]:
        parent, name, slash = self.resolve_parent(path, cwd, root=root, cred=cred)
        if name in _NOTHING or parent.find(name) is not None:
            fail(errno.EEXIST, path)
        if slash and not directory:
            fail(errno.ENOENT, path)
        check_names(parent, cred)
        return (parent, name)

    def mkdir(
        self,
        path: str,
        mode: int,
        *,
        cwd: Directory | None = None,
        root: Directory | None = None,
        cred: Credentials | None = None,
    ) -> Directory:
        """mkdirat."""
        parent, name = self._new_place(path, cwd, root, cred, directory=True)
        born, uid, gid = birth(parent, stat.S_IFDIR | mode & 0o7777, cred)
        return parent.mkdir(name, born, uid, gid)

    def makedirs(self, path: str, mode: int = 0o755, uid: int = 0, gid: int = 0) -> Directory:
        """The directory at `path`, made with its parents where it is missing; ENOTDIR."""
        node: Node = self.root
        walked = ""
        for name in path.split("/"):
            walked += name + "/"
            if name:
                try:
                    node = self.resolve(walked)
                except FileNotFoundError:
                    parent, last, _ = self._locate(walked, None, None, None)
                    node = parent.mkdir(last, mode, uid, gid)
        if not isinstance(node, Directory):
            fail(errno.ENOTDIR, path)
        return node

    def mknod(
        self,
        path: str,
        mode: int,
        rdev: int = 0,
        *,
        cwd: Directory | None = None,
        root: Directory | None = None,
        cred: Credentials | None = None,
    ) -> Node:
        """mknodat; devices are root's business (EPERM)."""
        parent, name = self._new_place(path, cwd, root, cred)
        if cred is not None and cred.uid and (stat.S_ISCHR(mode) or stat.S_ISBLK(mode)):
            fail(errno.EPERM, path)
        born, uid, gid = birth(parent, mode, cred)
        return parent.mknod(name, born, uid, gid, rdev)

    def symlink(
        self,
        target: str,
        path: str,
        *,
        cwd: Directory | None = None,
        root: Directory | None = None,
        cred: Credentials | None = None,
    ) -> None:
        """symlinkat."""
        if not target:
            fail(errno.ENOENT, path)
        parent, name = self._new_place(path, cwd, root, cred)
        _, uid, gid = birth(parent, stat.S_IFLNK, cred)
        parent.symlink(name, target, uid, gid)

    def link(
        self,
        old: str,
        new: str,
        follow: bool = False,
        new_cwd: Directory | None = None,
        *,
        cwd: Directory | None = None,
        root: Directory | None = None,
        cred: Credentials | None = None,
    ) -> None:
        """linkat; `new` is relative to `new_cwd` (None: to `cwd`). EXDEV across mounts, EPERM for a directory."""
        node = self.resolve(old, cwd, root=root, follow=follow, cred=cred)
        self.link_node(node, new, cwd=new_cwd or cwd, root=root, cred=cred)

    def link_node(
        self,
        node: Node,
        new: str,
        *,
        cwd: Directory | None = None,
        root: Directory | None = None,
        cred: Credentials | None = None,
    ) -> None:
        """linkat with AT_EMPTY_PATH: another name for a node at hand."""
        parent, name, slash = self.resolve_parent(new, cwd, root=root, cred=cred)
        if name in _NOTHING or parent.find(name) is not None:
            fail(errno.EEXIST, new)
        if slash:
            fail(errno.ENOENT, new)
        if parent.fs is not node.fs:
            fail(errno.EXDEV, new)
        check_names(parent, cred)
        parent.link(name, node)

    # Removing and moving

    def unlink(
        self,
        path: str,
        *,
        cwd: Directory | None = None,
        root: Directory | None = None,
        cred: Credentials | None = None,
    ) -> None:
        """unlinkat of anything but a directory."""
        parent, name, slash = self.resolve_parent(path, cwd, root=root, cred=cred)
        if name in _NOTHING:
            fail(errno.EISDIR, path)
        node = parent.lookup(name)
        if slash and not isinstance(node, Directory):
            fail(errno.ENOTDIR, path)
        check_delete(parent, node, cred)
        if isinstance(node, Directory):
            fail(errno.EISDIR, path)
        if self.is_mount_point(node):
            fail(errno.EBUSY, path)
        parent.unlink(name)

    def rmdir(
        self,
        path: str,
        *,
        cwd: Directory | None = None,
        root: Directory | None = None,
        cred: Credentials | None = None,
    ) -> None:
        """unlinkat of an empty directory."""
        parent, name, _slash = self.resolve_parent(path, cwd, root=root, cred=cred)
        if name in _NOTHING:
            fail({"": errno.EBUSY, ".": errno.EINVAL, "..": errno.ENOTEMPTY}[name], path)
        node = parent.lookup(name)
        check_delete(parent, node, cred)
        if not isinstance(node, Directory):
            fail(errno.ENOTDIR, path)
        if self.is_mount_point(node):
            fail(errno.EBUSY, path)
        parent.rmdir(name)

    def rename(
        self,
        old: str,
        new: str,
        flags: int = 0,
        new_cwd: Directory | None = None,
        *,
        cwd: Directory | None = None,
        root: Directory | None = None,
        cred: Credentials | None = None,
    ) -> None:
        """renameat2; `new` is relative to `new_cwd` (None: to `cwd`)."""
        exchange = flags & RENAME_EXCHANGE
        if flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE) or (exchange and flags & RENAME_NOREPLACE):
            fail(errno.EINVAL, old)
        source, old_name, old_slash = self.resolve_parent(old, cwd, root=root, cred=cred)
        target, new_name, new_slash = self.resolve_parent(new, new_cwd or cwd, root=root, cred=cred)
        if source.fs is not target.fs:
            fail(errno.EXDEV, new)
        if old_name in _NOTHING:
            fail(errno.EBUSY, old)
        if new_name in _NOTHING:
            fail(errno.EEXIST if flags & RENAME_NOREPLACE else errno.EBUSY, new)
        node = source.lookup(old_name)
        victim = target.find(new_name)
        if victim is not None and flags & RENAME_NOREPLACE:
            fail(errno.EEXIST, new)
        if exchange and victim is None:
            fail(errno.ENOENT, new)
        needs_directory = victim if exchange else node
        if new_slash and not isinstance(needs_directory, Directory):
            fail(errno.ENOTDIR, new)
        if old_slash and not isinstance(node, Directory):
            fail(errno.ENOTDIR, old)
        self._check_rename(source, node, target, victim, bool(exchange), cred)
        source.rename(old_name, target, new_name, flags)

    def _check_rename(
        self,
        source: Directory,
        node: Node,
        target: Directory,
        victim: Node | None,
        exchange: bool,
        cred: Credentials | None,
    ) -> None:
        check_delete(source, node, cred)
        if victim is None:
            check_names(target, cred)
        else:
            check_delete(target, victim, cred)
        if source != target:
            for moved in (node, victim if exchange else None):
                if isinstance(moved, Directory):
                    check_access(moved, WRITE, cred)
        for busy in (node, victim):
            if busy is not None and self.is_mount_point(busy):
                fail(errno.EBUSY)


_WANTED = {os.O_RDONLY: READ, os.O_WRONLY: WRITE, os.O_RDWR: READ | WRITE, os.O_ACCMODE: READ | WRITE}
