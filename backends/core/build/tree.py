"""Reading trees that COPY and ADD take from: the build context, an image, an unpacked archive."""

from __future__ import annotations

import hashlib
import os
import posixpath
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

import msgspec

from sandbox.images.dockerfile.patterns import BadPattern, deep_glob, glob
from sandbox.images.store import Store
from sandbox.images.tree import LowerNode, LowerTree, merge

MAX_LINKS = 40
PIECE = 1 << 20
_KEPT_TREES = 6
_KEPT_DIGESTS = 200_000


class Trees:
    """Merged trees of images, the last few kept, and digests of files in stored layers. For any thread."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._trees: dict[tuple[str, ...], LowerTree] = {}
        self._digests: dict[tuple[str, int, int], bytes] = {}

    def of(self, layers: Sequence[str]) -> LowerTree:
        """The tree of these layers (diff ids, lowest first); LayerMissing."""
        key = tuple(layers)
        with self._lock:
            tree = self._trees.pop(key, None) or merge([self._store.layer(diff_id) for diff_id in layers])
            self._trees[key] = tree
            while len(self._trees) > _KEPT_TREES:
                del self._trees[next(iter(self._trees))]
        return tree

    def digest(self, node: LowerNode) -> bytes:
        """The sha256 of a file's content."""
        key = (node.layer.diff_id if node.layer else "", node.offset, node.size)
        found = self._digests.get(key) if key[0] else None
        if found is None:
            hasher = hashlib.sha256()
            for piece in content(node):
                hasher.update(piece)
            found = hasher.digest()
            if key[0]:
                if len(self._digests) >= _KEPT_DIGESTS:
                    self._digests.clear()
                self._digests[key] = found
        return found


def content(node: LowerNode) -> Iterator[bytes]:
    """A file's bytes in pieces."""
    done = 0
    while done < node.size:
        assert node.layer is not None
        piece = os.pread(node.layer.fd(), min(PIECE, node.size - done), node.offset + done)
        if not piece:
            raise OSError("a file of the build context is shorter than its header says")
        done += len(piece)
        yield piece


def read(tree: LowerTree, path: str, limit: int = 1 << 20) -> bytes | None:
    """The content of a small file, links followed; None if there is no file."""
    node = resolve(tree.root, path)
    if node is None or node.kind != "file":
        return None
    return b"".join(content(node))[:limit]


class NotADirectory(Exception):
    """A path leads through something that is no directory, or through too many links; the message is the path."""


class Walkable(Protocol):
    """What a path leads through."""

    @property
    def kind(self) -> str: ...
    @property
    def target(self) -> str: ...


W = TypeVar("W", bound=Walkable)


def follow(top: W, path: str, step: Callable[[W, str], W | None]) -> W | None:
    """Where ``path`` leads, None if nothing is there; links are followed, and lead no further up than ``top``.

    ``step`` finds a directory's child. NotADirectory.
    """
    trail = [top]
    todo = path.split("/")[::-1]
    links = 0
    while todo:
        name = todo.pop()
        if name in ("", "."):
            continue
        if name == "..":
            del trail[max(len(trail) - 1, 1) :]
            continue
        if trail[-1].kind != "dir":
            raise NotADirectory(path)
        found = step(trail[-1], name)
        if found is None:
            return None
        if found.kind != "symlink":
            trail.append(found)
            continue
        links += 1
        if links > MAX_LINKS:
            raise NotADirectory(path)
        if found.target.startswith("/"):
            del trail[1:]
        todo += found.target.split("/")[::-1]
    return trail[-1]


def resolve(root: LowerNode, path: str) -> LowerNode | None:
    """What ``path`` leads to, links followed inside the tree; None if nothing is there."""
    try:
        return follow(root, path, lambda node, name: (node.children or {}).get(name))
    except NotADirectory:
        return None


def lookup(root: LowerNode, path: str) -> LowerNode | None:
    """The node at ``path``, links not followed."""
    node: LowerNode | None = root
    for name in path.split("/") if path else ():
        node = (node.children or {}).get(name) if node is not None else None
    return node


def matching(root: LowerNode, pattern: str) -> list[str]:
    """The paths that match a pattern with wildcards, in the order of a sorted walk; a bad pattern matches nothing."""
    found = [("", root)]
    try:
        parts = [glob(part) for part in posixpath.normpath(pattern).split("/")]
    except BadPattern:
        return []
    for part in parts:
        found = [
            (f"{path}/{name}" if path else name, child)
            for path, node in found
            for name, child in sorted((node.children or {}).items())
            if part.fullmatch(name)
        ]
    return [path for path, _ in found]


def matching_deep(root: LowerNode, pattern: str) -> list[str]:
    """The same with ``**`` for any number of directories. What is below a path that matches is not listed again."""
    try:
        matches = deep_glob(posixpath.normpath(pattern))
    except BadPattern:
        return []
    found: list[str] = []
    stack = [("", root)]
    while stack:
        path, node = stack.pop()
        if path and matches(path):
            found.append(path)
            continue
        below = sorted((node.children or {}).items(), reverse=True)
        stack += [(f"{path}/{name}" if path else name, child) for name, child in below]
    return found


def walk(node: LowerNode, path: str = "") -> Iterator[tuple[str, LowerNode]]:
    """A node and all below it in the order of names; ``path`` is its own, "" for none."""
    stack = [(path, node)]
    while stack:
        path, node = stack.pop()
        yield path, node
        if node.children:
            below = sorted(node.children.items(), reverse=True)
            stack += [(f"{path}/{name}" if path else name, child) for name, child in below]


def checksum(top: LowerNode, name: str, digest: Callable[[LowerNode], bytes], skip: Callable[[str], bool]) -> str:
    """What makes a source the same as before: names, kinds, modes, owners, links and contents; not the times."""
    hasher = hashlib.sha256()
    for path, node in walk(top):
        if path and skip(path):
            continue
        described = (
            path or name,
            node.kind,
            node.mode,
            node.uid,
            node.gid,
            node.target,
            node.rdev,
            sorted(node.xattrs.items()),
        )
        hasher.update(msgspec.msgpack.encode([_bytes(part) for part in described]))
        if node.kind == "file":
            hasher.update(digest(node))
    return f"{'dir' if top.kind == 'dir' else 'file'}:{hasher.hexdigest()}"


def _bytes(part: object) -> object:
    return part.encode("utf-8", "surrogateescape") if isinstance(part, str) else part
