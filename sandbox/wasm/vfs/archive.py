"""What `docker cp` and `docker export` need of a container's files, running or not.

As with Docker, what is seen is the root file system and what is mounted from the host in it (volumes, bind mounts), not
its own tmpfs, /proc and the like; `export_root` sees no mounts at all. Links are resolved inside the container.
"""

from __future__ import annotations

import errno
import posixpath
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sandbox.wasm.vfs.host import HostMount
from sandbox.wasm.vfs.node import Directory, Node, Symlink, fail
from sandbox.wasm.vfs.pack import pack
from sandbox.wasm.vfs.tree import FileTree
from sandbox.wasm.vfs.unpack import ArchiveError, unpack
from sandbox.wasm.vfs.walk import MAX_LINKS

__all__ = [
    "ArchiveError",
    "PathStat",
    "copy_tree",
    "export_root",
    "go_mode",
    "read_archive",
    "stat_path",
    "write_archive",
]

_GO_KINDS = {
    stat.S_IFDIR: 1 << 31,
    stat.S_IFLNK: 1 << 27,
    stat.S_IFBLK: 1 << 26,
    stat.S_IFIFO: 1 << 25,
    stat.S_IFSOCK: 1 << 24,
    stat.S_IFCHR: 1 << 26 | 1 << 21,
}
_GO_BITS = {stat.S_ISUID: 1 << 23, stat.S_ISGID: 1 << 22, stat.S_ISVTX: 1 << 20}
_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class PathStat:
    """Docker's PathStat: `mode` is Go's FileMode, `mtime` RFC 3339, `link_target` where a link leads in the end."""

    name: str
    size: int
    mode: int
    mtime: str
    link_target: str


def stat_path(tree: FileTree, path: str) -> PathStat:
    """A path as docker cp asks for it: a link at its end is followed only if "/" or "/." comes after it. OSError."""
    view = tree.host_view()
    return _path_stat(view, path, _find(view, path))


def read_archive(tree: FileTree, path: str) -> tuple[PathStat, Iterator[bytes]]:
    """The stat and the tar of a path. Its top entry is the path's last name, "./" if that is ".", "/" for the root.

    OSError now if there is no such path, later (from the iterator) if a file shrinks while it is read.
    """
    view = tree.host_view()
    node = _find(view, path)
    found = _path_stat(view, path, node)
    return found, pack(node, found.name, view.child)


def write_archive(
    tree: FileTree,
    path: str,
    chunks: Iterable[bytes],
    no_overwrite_dir_non_dir: bool = False,
    owner: tuple[int, int] | None = None,
) -> None:
    """Unpack a tar (plain, gzip, bzip2, xz or zstd) into the existing directory at `path`.

    `owner`: (uid, gid) that everything gets instead of what the archive says; Docker's copyUIDGID means the container's
    own user by it. Raises FileNotFoundError, NotADirectoryError ("extraction point is not a directory"), ArchiveError
    for an archive that is damaged, truncated or replaces what it may not, OSError with EROFS, ENOSPC, ...
    """
    view = tree.host_view()
    target = view.resolve(_absolute(path))
    if not isinstance(target, Directory):
        raise NotADirectoryError(errno.ENOTDIR, "extraction point is not a directory", path)
    target.fs.check_writable()
    unpack(view, target, chunks, no_overwrite_dir_non_dir, owner)


def export_root(tree: FileTree) -> Iterator[bytes]:
    """The tar of the whole root file system, without what is mounted in it."""
    return pack(tree.root, "", _unmounted)


def _unmounted(directory: Directory, name: str) -> Node | None:
    return directory.find(name)


def copy_tree(tree: FileTree, path: str, directory: Path | str) -> None:
    """Copy what is below the directory at `path` into an existing host directory, with owners, modes and times.

    What an empty volume gets from the image. OSError.
    """
    _, chunks = read_archive(tree, path.rstrip("/") + "/.")
    fill_directory(directory, chunks)


def fill_directory(directory: Path | str, chunks: Iterable[bytes], remember_owners: bool | None = None) -> None:
    """Unpack a tar into an existing host directory, owners as a mount of it will show them. As `write_archive`."""
    target = HostMount(directory, remember_owners=remember_owners)
    try:
        write_archive(FileTree(_directory(target.root)), "/", chunks)
    finally:
        target.close()


def _directory(node: Node) -> Directory:
    if not isinstance(node, Directory):
        raise NotADirectoryError(errno.ENOTDIR, "is not a directory")
    return node


def go_mode(mode: int) -> int:
    """Go's FileMode of a Unix mode."""
    bits = mode & 0o777 | _GO_KINDS.get(stat.S_IFMT(mode), 0)
    for unix, go in _GO_BITS.items():
        if mode & unix:
            bits |= go
    return bits


def _absolute(path: str) -> str:
    return "/" + path.lstrip("/")


def _find(view: FileTree, path: str) -> Node:
    """The last component is not followed, unless "/" or "/." comes after it."""
    return view.resolve(_absolute(path), follow=False)


def _path_stat(view: FileTree, path: str, node: Node) -> PathStat:
    found = node.stat()
    link = _final(view, path) if isinstance(node, Symlink) else ""
    return PathStat(_base(path), found.size, go_mode(found.mode), _rfc3339(found.mtime_ns), link)


def _base(path: str) -> str:
    """Go's filepath.Base of what docker cp makes of the path: "." stays if it ends in "/."."""
    if path in (".", "/.") or path.endswith("/."):
        return "."
    return posixpath.basename(posixpath.normpath(_absolute(path))) or "/"


def _final(view: FileTree, path: str) -> str:
    """Where a link leads in the end, whether or not anything is there; ELOOP."""
    todo, place, links = path.split("/")[::-1], "", 0
    while todo:
        name = todo.pop()
        if name in ("", "."):
            continue
        if name == "..":
            place = posixpath.dirname(place).rstrip("/")
            continue
        node = _look(view, f"{place}/{name}")
        if not isinstance(node, Symlink):
            place = f"{place}/{name}"
            continue
        links += 1
        if links > MAX_LINKS:
            fail(errno.ELOOP, path)
        if node.target.startswith("/"):
            place = ""
        todo.extend(reversed(node.target.split("/")))
    return place or "/"


def _look(view: FileTree, path: str) -> Node | None:
    try:
        return view.resolve(path, follow=False)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _rfc3339(nanoseconds: int) -> str:
    """As Go prints it: UTC, as many digits after the point as are needed."""
    seconds, fraction = divmod(nanoseconds, _SECOND)
    digits = f".{fraction:09d}".rstrip("0").rstrip(".")
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S") + digits + "Z"
