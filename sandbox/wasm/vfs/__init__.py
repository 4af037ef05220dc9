"""A container's file system: nodes, the union of image layers and writable layer, host mounts, the mounted tree.

Knows nothing of wasm, of Docker and of asyncio. Calls block, may come from any thread, and fail with `OSError` whose
`errno` is Linux's. Names and paths are `str` (utf-8 with surrogateescape). Open flags, rename flags and mode bits are
the HOST's numbers (`os.O_*`, `stat.S_*`): a caller with another ABI translates first. Times are nanoseconds since 1970.

Nodes (`node.py`)::

    node.fs                       the FileSystem it lives in: .dev .read_only .statfs() -> StatFs .lock .kind
    node.ino .dev .mode .uid .gid .rdev .nlink .size .blocks .atime_ns .mtime_ns .ctime_ns     (mode includes S_IFMT)
    node.stat() -> Stat           the same fields as one slotted struct; the cheap way when several are wanted
    node.chmod(mode) .chown(uid, gid) .utime(atime_ns, mtime_ns)      uid/gid -1 and None times: unchanged; unchecked
    node.getxattr(name) -> bytes .setxattr(name, value, flags=0) .listxattr() -> list[str] .removexattr(name)
    node.attachment               any object the kernel hangs there (a fifo's buffer, a bound socket): one per inode
    node.key                      (dev, ino): hashable identity for record locks

    Directory   .find(name) -> Node | None   .lookup(name) -> Node (ENOENT)   .entries() -> list[(name, ino, d_type)],
                without "." and "..", a snapshot;  .create(name, mode, uid, gid) -> File, .mkdir(same) -> Directory,
                .symlink(name, target, uid, gid), .mknod(name, mode, uid, gid, rdev) -> Special, .link(name, node),
                .unlink(name), .rmdir(name), .rename(old, newdir, new, flags=0);  .parent, .name
    File        .open(flags) -> Handle (never creates; O_TRUNC truncates)   .truncate(size)
    Symlink     .target -> str;  Symlink.follow() -> Node | None: the node a magic link yields, else None
    Special     char, block, fifo, socket: look at .mode and .rdev and open it yourself
                (HostSpecial.descriptor() -> int gives an O_PATH descriptor of a host socket to connect through)

    Handle      .node (use it for fstat, fchmod, ...), .readinto(view, offset) -> int, .write(view, offset) -> int,
                .append(view) -> offset after the data (atomic against other appends), .truncate(size),
                .fallocate(mode, offset, length), .sync(), .close() (once, not while another call runs on it);
                .host_range() -> (fd, offset, size) | None: where the bytes lie in a host file, for sendfile or mmap;
                valid until the next write to the file or close. No handle keeps a file position: the caller does.

The methods of nodes do no permission checks; those of `FileTree` do. A read-only file system refuses everything
with EROFS in the nodes themselves. Nodes of a host mount are made anew by lookups: compare them with `==`, not `is`.

The tree (`tree.py`); `cwd` and `root` are Directory nodes (None: the tree's root), `cred` a `Credentials(uid, gid,
groups=frozenset())` (None: root, everything allowed)::

    tree = FileTree(root_directory)
    tree.mount(path, node, read_only=False, source="", options="")    makes a missing mount point, as Docker does
    tree.unmount(path);  tree.mounts() -> list[Mount(path, root, source, kind, options, read_only)]
    tree.resolve(path, cwd=None, *, root=None, follow=True, cred=None) -> Node
    tree.resolve_parent(path, cwd=None, *, root=None, cred=None) -> (Directory, name, must_be_dir)
                                              name may be ".", ".." or "" (the root): nothing can be made there
    tree.path_of(directory, root=None) -> str         getcwd; ENOENT when it was removed or lies outside `root`

Path operations with Linux's checks and errno (keywords `cwd`, `root`, `cred` everywhere; modes after umask)::

    tree.open(path, flags, mode=0o666) -> Opened(node, handle | None)   handle is None for directories, specials
                     and O_PATH; O_CREAT O_EXCL O_TRUNC O_DIRECTORY O_NOFOLLOW O_PATH and the access mode are obeyed
    tree.open_node(node, flags, cred=None) -> Opened   the same for a node at hand (/proc/self/fd/N, AT_EMPTY_PATH)
    tree.mkdir(path, mode) .mknod(path, mode, rdev=0) .symlink(target, path)
         .link(old, new, follow=False, new_cwd=None)
    tree.unlink(path) .rmdir(path) .rename(old, new, flags=0, new_cwd=None)   flags: RENAME_NOREPLACE, RENAME_EXCHANGE
    tree.readlink(path) -> str   .access(path, want, follow=True)   want: bits R_OK W_OK X_OK
    tree.makedirs(path, mode=0o755, uid=0, gid=0) -> Directory

The same on nodes, for the f* calls::

    set_mode(node, mode, cred) set_owner(node, uid, gid, cred) set_times(node, atime_ns, mtime_ns, cred, now=False)
    check_access(node, want, cred)       truncate by path: check_access(node, W_OK, cred), then node.truncate(size)

File systems::

    Overlay.open(state_dir, lower) -> Overlay     .root .close() .usage();  the container's root: image + writable layer
    Tmpfs(size=None, mode=0o1777)                 .root      memory only, half of it by default
    HostMount(path, read_only=False)              .root      a host directory or a single host file, confined
    DynamicDirectory(entries, lookup, mode=0o555), DynamicFile(content, write=None, mode=0o444),
    DynamicSymlink(target, node=None), Device(mode, rdev)    made by callbacks or fixed: /proc, /sys, /dev
      content() -> bytes is called once per open(); target() -> str, node() -> Node on each use, in the caller's thread
      entries() -> Iterable[(name, d_type)]; lookup(name) -> Node | None;
      StaticDirectory({name: node}, mode=0o555): a fixed one, .add(name, node) .remove(name)

Archives and differences: `archive.py` (stat_path, read_archive, write_archive, export_root, copy_tree), `changes.py`
(docker diff), `layer.py` (docker commit).
"""

from sandbox.wasm.vfs.dynamic import (
    Device,
    DynamicDirectory,
    DynamicFile,
    DynamicFileSystem,
    DynamicSymlink,
    StaticDirectory,
)
from sandbox.wasm.vfs.host import HostMount, HostSpecial
from sandbox.wasm.vfs.node import (
    RENAME_EXCHANGE,
    RENAME_NOREPLACE,
    XATTR_CREATE,
    XATTR_REPLACE,
    Directory,
    File,
    FileSystem,
    Handle,
    Node,
    Special,
    Stat,
    StatFs,
    Symlink,
    read_all,
    write_all,
)
from sandbox.wasm.vfs.overlay import Overlay, Usage
from sandbox.wasm.vfs.permissions import Credentials, check_access, set_mode, set_owner, set_times
from sandbox.wasm.vfs.tmpfs import Tmpfs
from sandbox.wasm.vfs.tree import FileTree, Opened
from sandbox.wasm.vfs.walk import Mount

__all__ = [
    "RENAME_EXCHANGE",
    "RENAME_NOREPLACE",
    "XATTR_CREATE",
    "XATTR_REPLACE",
    "Credentials",
    "Device",
    "Directory",
    "DynamicDirectory",
    "DynamicFile",
    "DynamicFileSystem",
    "DynamicSymlink",
    "File",
    "FileSystem",
    "FileTree",
    "Handle",
    "HostMount",
    "HostSpecial",
    "Mount",
    "Node",
    "Opened",
    "Overlay",
    "Special",
    "Stat",
    "StatFs",
    "StaticDirectory",
    "Symlink",
    "Tmpfs",
    "Usage",
    "check_access",
    "read_all",
    "set_mode",
    "set_owner",
    "set_times",
    "write_all",
]
