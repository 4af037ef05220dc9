"""Turn a tar's headers into the entries of a layer index: names made safe, duplicates and links settled.

What dockerd (20.10, overlay2: it unpacks inside a chroot) does, and what is done here:

- ``/abs`` and ``a/../b`` are cleaned: accepted by both. A name that climbs out by ``..``: dockerd's own check refuses
  it, though inside its chroot it lands at the root; refused here.
- A hard link's target is a path from the layer's root (a leading slash means nothing): as dockerd. Climbing out, a
  missing target and a directory as target are refused: so does dockerd (link fails).
- Symlinks may say anything; they are resolved inside the container's root: as dockerd.
- A name given twice: the last one wins; a directory given twice keeps what is in it: as dockerd.
- An entry below a symlink of the same layer goes where the symlink leads, inside the layer's root: as dockerd, which
  also fails when that is no directory. Below a regular file: refused by both.
- Parents that are not in the archive are not entries: they do not change the directory of a lower layer (dockerd's
  overlay2 makes them 0755 root).
- ``.wh.name``, ``.wh..wh..opq``: whiteouts of lower layers. Other ``.wh..wh.*`` (aufs's own) are ignored: as dockerd.
  ``.wh.`` with nothing, ``.`` or ``..`` behind it is refused.
- Devices and fifos are kept as what they are; who opens them decides.
- A component of more than 255 bytes, a path or link target of 4096 or more: refused (dockerd: ENAMETOOLONG).
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from sandbox.images.errors import InvalidImage
from sandbox.images.layer import Entry, Kind
from sandbox.images.sparse import Content
from sandbox.images.tarscan import Header, scan

MAX_ENTRIES = 2_000_000
"""Bounds the memory that an archive of empty entries can cost (roughly 400 bytes each, while it is indexed)."""

_OPAQUE = ".wh..wh..opq"
_WHITEOUT = ".wh."
_META = ".wh..wh."
_MAX_HOPS = 40
_MAX_DEPTH = 2048
_PATH_MAX = 4096
_KINDS: dict[int, Kind] = {
    ord("0"): "file",
    ord("2"): "symlink",
    ord("3"): "char",
    ord("4"): "block",
    ord("5"): "dir",
    ord("6"): "fifo",
}


class _Node:
    """A directory (``children``), or a leaf; ``header`` is None for a parent that the archive only implies."""

    __slots__ = ("children", "emitted", "header")

    def __init__(self, header: Header | None, *, is_dir: bool) -> None:
        self.header = header
        self.children: dict[str, _Node] | None = {} if is_dir else None
        self.emitted: str | None = None


def index_tar(fd: int, content: Content) -> Iterator[Entry]:
    """Index the uncompressed tar open at ``fd``: whiteouts, then a walk of its tree. Raises InvalidImage.

    The entries' offsets are those of ``content.fd``, once all are known.
    """
    builder = LayerBuilder()
    for header in scan(lambda count, offset: os.pread(fd, count, offset), os.fstat(fd).st_size):
        if header.sparse is not None:
            header.offset = content.place(header.sparse, header.offset, header.size)
        builder.add(header)
    return builder.entries()


class LayerBuilder:
    """Collects headers into the tree of one layer."""

    def __init__(self) -> None:
        self._root = _Node(None, is_dir=True)
        self._whiteouts: dict[tuple[str, Kind], Entry] = {}
        self._count = 0
        self._parent: tuple[str, dict[str, _Node]] = ("", self._children(self._root))

    def add(self, header: Header) -> None:
        """Take one member; raises InvalidImage if it must not be."""
        self._count += 1
        if self._count > MAX_ENTRIES:
            raise InvalidImage(f"layer has more than {MAX_ENTRIES} entries")
        path = clean(header.name)
        if len(path) >= _PATH_MAX or len(header.link) >= _PATH_MAX:
            raise InvalidImage(f"invalid path {path[:64]!r}...: path too long")
        if not path:
            if header.kind == ord("5"):
                self._root.header = header
            return
        parent, _, name = path.rpartition("/")
        if name.startswith(_WHITEOUT):
            self._white_out(parent, name)
        else:
            self._insert(self._directory(parent), name, header)

    def entries(self) -> Iterator[Entry]:
        """Whiteouts, then every entry, directories before their content and link targets before links."""
        yield from self._whiteouts.values()
        if self._root.header is not None:
            yield _entry("", "dir", self._root.header)
        stack = [("", iter(self._children(self._root).items()))]
        while stack:
            prefix, items = stack[-1]
            for name, node in items:
                path = prefix + name
                if node.header is not None:
                    yield _emit(node, path)
                if node.children is not None:
                    stack.append((path + "/", iter(node.children.items())))
                    break
            else:
                stack.pop()

    def _white_out(self, parent: str, name: str) -> None:
        kind: Kind = "opaque" if name == _OPAQUE else "whiteout"
        if name != _OPAQUE and name.startswith(_META):
            return
        hidden = name[len(_WHITEOUT) :]
        if kind == "whiteout" and hidden in ("", ".", ".."):
            raise InvalidImage(f"invalid whiteout {name!r} in {parent!r}")
        path = parent if kind == "opaque" else f"{parent}/{hidden}".lstrip("/")
        self._whiteouts[path, kind] = Entry(path, kind)

    def _insert(self, siblings: dict[str, _Node], name: str, header: Header) -> None:
        if header.kind == ord("1"):
            siblings[name] = self._link_target(header)
            return
        is_dir = header.kind == ord("5")
        old = siblings.get(name)
        if is_dir and old is not None and old.children is not None:
            old.header = header
            return
        if old is not None and old.children is not None:
            self._forget_parent()
        siblings[name] = _Node(header, is_dir=is_dir)

    def _link_target(self, header: Header) -> _Node:
        target = clean(header.link)
        parent, _, name = target.rpartition("/")
        node = self._find(parent).get(name) if target else None
        if node is None or node.children is not None:
            raise InvalidImage(f"invalid hard link {header.name!r} -> {header.link!r}")
        return node

    def _forget_parent(self) -> None:
        self._parent = ("", self._children(self._root))

    def _directory(self, path: str) -> dict[str, _Node]:
        """The children of directory ``path``, made if missing; consecutive members mostly share it."""
        if self._parent[0] != path:
            self._parent = (path, self._walk(path, make=True))
        return self._parent[1]

    def _find(self, path: str) -> dict[str, _Node]:
        return self._parent[1] if self._parent[0] == path else self._walk(path, make=False)

    def _walk(self, path: str, *, make: bool) -> dict[str, _Node]:
        trail = [self._children(self._root)]
        parts = path.split("/")[::-1] if path else []
        hops = 0
        link_left = len(parts) + 1
        while parts:
            name = parts.pop()
            if len(trail) > _MAX_DEPTH:
                raise InvalidImage(f"invalid path {path!r}: too deep")
            if name in ("", "."):
                continue
            if name == "..":
                del trail[max(len(trail) - 1, 1) :]
                continue
            node = trail[-1].get(name)
            if node is None:
                if not make or len(parts) >= link_left:
                    raise InvalidImage(f"invalid path {path!r}: no such directory")
                node = trail[-1][name] = _Node(None, is_dir=True)
            if node.children is not None:
                trail.append(node.children)
                continue
            header = node.header
            hops += 1
            if header is None or header.kind != ord("2") or hops > _MAX_HOPS:
                raise InvalidImage(f"invalid path {path!r}: {name!r} is not a directory")
            link_left = min(link_left, len(parts))
            parts.extend(header.link.split("/")[::-1])
            if header.link.startswith("/"):
                del trail[1:]
        return trail[-1]

    @staticmethod
    def _children(node: _Node) -> dict[str, _Node]:
        assert node.children is not None
        return node.children


def clean(name: str) -> str:
    """A member's name as a path from the root, without leading slash; raises InvalidImage if it climbs out."""
    parts: list[str] = []
    for part in name.split("/"):
        if part in ("", "."):
            continue
        if part == "..":
            if not parts:
                raise InvalidImage(f"invalid path {name!r}: outside of the root directory")
            parts.pop()
            continue
        if len(part) > 63 and len(os.fsencode(part)) > 255:
            raise InvalidImage(f"invalid path {name!r}: file name too long")
        parts.append(part)
    return "/".join(parts)


def _emit(node: _Node, path: str) -> Entry:
    assert node.header is not None
    if node.emitted is not None:
        return Entry(path, "hardlink", link=node.emitted)
    node.emitted = path
    return _entry(path, _KINDS[node.header.kind], node.header)


def _entry(path: str, kind: Kind, header: Header) -> Entry:
    link = header.link if kind == "symlink" else ""
    return Entry(
        path,
        kind,
        header.mode,
        header.uid,
        header.gid,
        header.size,
        header.mtime_ns,
        header.offset,
        link,
        header.device,
        header.xattrs or None,
    )
