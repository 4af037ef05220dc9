"""From a path to a node, through mounts and symbolic links, never above the root it is walked in."""

from __future__ import annotations

import errno
import threading
from dataclasses import dataclass

from sandbox.wasm.vfs.node import NAME_MAX, PATH_MAX, Directory, Node, Symlink, fail
from sandbox.wasm.vfs.permissions import Credentials, check_search

MAX_LINKS = 40


@dataclass(frozen=True, slots=True, eq=False)
class Mount:
    """`root` covers `covered`, which lies in `above` as `name` (None, "" for the tree's root).

    `path` is as it was at the time of mounting.
    """

    path: str
    root: Node
    source: str
    kind: str
    options: str
    covered: Node | None
    above: Directory | None
    name: str

    @property
    def read_only(self) -> bool:
        """Whether nothing can be changed in it."""
        return self.root.fs.read_only


class Walker:
    """The mount table and the walk. The table is replaced, never changed, so walks need no lock."""

    def __init__(self, root: Directory, source: str = "overlay") -> None:
        self.root = root
        self._lock = threading.RLock()
        self._covers: dict[Node, Mount] = {}
        self._roots: dict[Node, Mount] = {root: Mount("/", root, source, root.fs.kind, "", None, None, "")}

    def resolve(
        self,
        path: str,
        cwd: Directory | None = None,
        *,
        root: Directory | None = None,
        follow: bool = True,
        cred: Credentials | None = None,
    ) -> Node:
        """The node at `path`. ENOENT, ENOTDIR, ELOOP (more than 40 links), ENAMETOOLONG, EACCES.

        A symbolic link at the end is resolved if `follow`, or if a slash comes after it.
        """
        check_path(path)
        return self._walk(path.split("/"), path, cwd or self.root, root or self.root, follow, cred)

    def _walk(
        self, parts: list[str], path: str, cwd: Directory, root: Directory, follow: bool, cred: Credentials | None
    ) -> Node:
        node: Node = root if path[0] == "/" else cwd
        covers, links = self._covers, 0
        checked = cred is not None and cred.uid != 0
        parts.reverse()
        while parts:
            name = parts.pop()
            if not isinstance(node, Directory):
                fail(errno.ENOTDIR, path)
            if not name:
                continue
            if checked:
                check_search(node, cred)
            if name == ".":
                continue
            if name == "..":
                node = self.up(node, root)
                continue
            child = node.find(name)
            if child is None:
                fail(errno.ENAMETOOLONG if too_long(name) else errno.ENOENT, path)
            while child in covers:
                child = covers[child].root
            if isinstance(child, Symlink) and (follow or parts):
                links += 1
                if links > MAX_LINKS:
                    fail(errno.ELOOP, path)
                node = child.follow() or self._enter(child.target, parts, node, root)
            else:
                node = child
        return node

    @staticmethod
    def _enter(target: str, parts: list[str], node: Node, root: Directory) -> Node:
        """Put a link's text in front of what is left to walk; where that starts."""
        check_path(target)
        parts.extend(reversed(target.split("/")))
        return root if target[0] == "/" else node

    def up(self, directory: Directory, root: Directory | None = None) -> Directory:
        """What ".." is, seen from `root`."""
        if directory == (root or self.root):
            return directory
        mount = self._roots.get(directory)
        above = directory.parent if mount is None else mount.above
        return above or directory

    def resolve_parent(
        self,
        path: str,
        cwd: Directory | None = None,
        *,
        root: Directory | None = None,
        cred: Credentials | None = None,
    ) -> tuple[Directory, str, bool]:
        """(directory, last name, whether slashes follow it). The name is "", "." or ".." where nothing can be made.

        Whether there is anything of that name is not looked at, but that names may be looked up is (EACCES).
        """
        check_path(path)
        bare = path.rstrip("/")
        parts = bare.split("/")
        name = parts.pop()
        parent = self._walk(parts, path, cwd or self.root, root or self.root, True, cred)
        if not isinstance(parent, Directory):
            fail(errno.ENOTDIR, path)
        check_search(parent, cred)
        if too_long(name):
            fail(errno.ENAMETOOLONG, path)
        return (parent, name, len(bare) < len(path))

    def child(self, directory: Directory, name: str) -> Node | None:
        """What `name` shows, with what is mounted there."""
        node = directory.find(name)
        while node is not None and node in self._covers:
            node = self._covers[node].root
        return node

    def is_mount_point(self, node: Node) -> bool:
        """Whether something is mounted on `node`, or it is the root of a mount."""
        return node in self._covers or node in self._roots

    def path_of(self, directory: Directory, root: Directory | None = None) -> str:
        """The absolute path of a directory, as getcwd tells; ENOENT if it was removed or is not below `root`."""
        names: list[str] = []
        top = root or self.root
        node = directory
        while node != top:
            mount = self._roots.get(node)
            above, name = (mount.above, mount.name) if mount is not None else node.place()
            if above is None:
                fail(errno.ENOENT)
            names.append(name)
            node = above
        return "/" + "/".join(reversed(names))

    def mounts(self) -> list[Mount]:
        """Everything mounted, the root first, in the order of mounting."""
        return list(self._roots.values())


def check_path(path: str) -> None:
    """ENOENT for the empty path, ENAMETOOLONG from 4096 bytes on (with the final NUL)."""
    if not path:
        fail(errno.ENOENT, path)
    if len(path) >= PATH_MAX // 4 and len(path.encode("utf-8", "surrogateescape")) >= PATH_MAX:
        fail(errno.ENAMETOOLONG, path)


def too_long(name: str) -> bool:
    """Whether a component has more than 255 bytes."""
    return len(name) > NAME_MAX // 4 and len(name.encode("utf-8", "surrogateescape")) > NAME_MAX
