"""Images, trees and their descriptions for the tests of the file system."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from collections.abc import Iterable
from pathlib import Path

from sandbox.images.layer import LayerIndex
from sandbox.images.tree import LowerTree, merge
from sandbox.wasm.vfs import Directory, File, FileTree, Node, Overlay, Symlink, Tmpfs, read_all, write_all

MTIME = 1_600_000_000


def member(name: str, content: bytes | None = None, **attributes: object) -> tuple[tarfile.TarInfo, bytes]:
    """A directory, or with content a regular file; `attributes` are those of TarInfo."""
    info = tarfile.TarInfo(name)
    info.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
    info.mode = 0o755 if content is None else 0o644
    info.size = len(content or b"")
    info.mtime = MTIME
    for key, value in attributes.items():
        setattr(info, key, value)
    return info, content or b""


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tuple[tarfile.TarInfo, bytes]:
    """A symbolic or hard link."""
    return member(name, b"", type=kind, linkname=target, mode=0o777 if kind == tarfile.SYMTYPE else 0o644)


def tar(members: Iterable[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    """A plain tar of these."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def lower(path: Path, members: Iterable[tuple[tarfile.TarInfo, bytes]] = ()) -> LowerTree:
    """An image of one layer, kept at `path`."""
    path.write_bytes(tar(members))
    return merge([LayerIndex.of_tar(path)])


def overlay_tree(path: Path, members: Iterable[tuple[tarfile.TarInfo, bytes]] = ()) -> FileTree:
    """A container of an image with these members, its state in `path`/state."""
    return FileTree(Overlay.open(path / "state", lower(path / "layer.tar", members)).root)


def memory_tree() -> FileTree:
    """A tree of nothing but an empty tmpfs."""
    return FileTree(Tmpfs(mode=0o755).root)


def put(tree: FileTree, path: str, content: bytes = b"") -> File:
    """Make or replace a file."""
    opened = tree.open(path, os.O_CREAT | os.O_WRONLY, 0o644)
    assert opened.handle is not None
    opened.handle.close()
    assert isinstance(opened.node, File)
    write_all(opened.node, content)
    return opened.node


def get(tree: FileTree, path: str) -> bytes:
    """A file's content."""
    node = tree.resolve(path)
    assert isinstance(node, File)
    return read_all(node)


def directory(tree: FileTree, path: str) -> Directory:
    """The directory at a path."""
    node = tree.resolve(path)
    assert isinstance(node, Directory)
    return node


def names(tree: FileTree, path: str = "/") -> list[str]:
    """The sorted names in a directory."""
    return sorted(name for name, _ino, _kind in directory(tree, path).entries())


def describe(node: Node, times: bool = True) -> dict[str, tuple[object, ...]]:
    """Everything below a directory: path -> mode, owners, links (not of directories), content or target, mtime."""
    found: dict[str, tuple[object, ...]] = {}
    _describe(node, "", found, times)
    return found


def _describe(node: Node, path: str, found: dict[str, tuple[object, ...]], times: bool) -> None:
    known = node.stat()
    content: object = None
    if isinstance(node, File):
        content = read_all(node)
        assert known.size == len(content)
    elif isinstance(node, Symlink):
        content = node.target
    links = None if stat.S_ISDIR(known.mode) else known.nlink
    mtime = known.mtime_ns if times else None
    found[path] = (oct(known.mode), known.uid, known.gid, links, known.rdev, content, mtime)
    if isinstance(node, Directory):
        for name, ino, kind in sorted(node.entries()):
            child = node.lookup(name)
            assert (child.ino, child.mode >> 12) == (ino, kind)
            _describe(child, f"{path}/{name}", found, times)


def describe_host(path: Path) -> dict[str, tuple[object, ...]]:
    """The same of a host directory, without times."""
    found: dict[str, tuple[object, ...]] = {}
    for place in [path, *sorted(path.rglob("*"))]:
        known = place.lstat()
        content: object = None
        if stat.S_ISREG(known.st_mode):
            content = place.read_bytes()
        elif stat.S_ISLNK(known.st_mode):
            content = os.readlink(place)
        links = None if stat.S_ISDIR(known.st_mode) else known.st_nlink
        relative = "" if place == path else "/" + str(place.relative_to(path))
        found[relative] = (oct(known.st_mode), known.st_uid, known.st_gid, links, known.st_rdev, content, None)
    return found
