"""COPY and ADD: where sources go in the image."""

from __future__ import annotations

import io
import os
import posixpath
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from backends.api.errors import InvalidArgument
from backends.core.build import tree as trees
from backends.core.build.layerdraft import Item, LayerDraft, Place
from backends.core.build.sources import Found, Inline, Rules, left_out
from sandbox.images.compression import MAGIC_LENGTH, decompress, sniff
from sandbox.images.errors import InvalidImage
from sandbox.images.layer import LayerIndex
from sandbox.images.tree import LowerNode, LowerTree, merge

_BLOCK = 512


def copy_sources(
    draft: LayerDraft, sources: Sequence[Found | Inline], destination: str, rules: Rules, now: int
) -> None:
    """Put every source at ``destination`` (absolute; a directory if it ends in a slash); InvalidArgument."""
    for source in sources:
        try:
            if isinstance(source, Inline):
                _copy_inline(draft, source, destination, rules, now)
            else:
                _copy_found(draft, source, destination, rules)
        except trees.NotADirectory as error:
            raise InvalidArgument(f"failed to copy files: {error}: not a directory") from None
        except InvalidImage as error:
            raise InvalidArgument(f"failed to copy files: {error.message}") from None


def _copy_inline(draft: LayerDraft, source: Inline, destination: str, rules: Rules, now: int) -> None:
    uid, gid = rules.owner or (0, 0)
    archive = _archive(io.BytesIO(source.data)) if rules.unpack_remote and source.remote else None
    if archive is not None:
        _unpack(draft, archive, destination, rules)
        return
    place, name = _file_place(draft, destination, source.name, (uid, gid))
    mode = source.mode if rules.mode is None else rules.mode
    time = now if source.mtime_ns is None else source.mtime_ns
    place.put(name, Item("file", mode, uid, gid, time, data=source.data))


def _unpack(draft: LayerDraft, archive: LowerTree, destination: str, rules: Rules) -> None:
    kept = Rules(owner=rules.owner if rules.chown else None, mode=rules.mode)
    _merge(draft.directory(destination, rules.owner or (0, 0)), archive.root, kept, unpacked=draft)


def _copy_found(draft: LayerDraft, source: Found, destination: str, rules: Rules) -> None:
    owner = rules.owner or (0, 0)
    node = source.node
    if source.parents is not None:
        destination = _with_parents(draft, source, destination, rules)
    if node.kind == "dir":
        fresh = draft.find(destination) is None
        place = draft.directory(destination, owner)
        if fresh and rules.mode is not None and place.item is not None:
            place.item = replace(place.item, mode=rules.mode)
        _merge(place, node, rules, source.base)
        return
    archive = _archive(_Reader(node)) if rules.unpack and node.kind == "file" else None
    if archive is not None:
        _unpack(draft, archive, destination, rules)
        return
    place, name = _file_place(draft, destination, posixpath.basename(source.path), owner)
    place.put(name, Item.of(node, rules.owner, rules.mode))


def _file_place(draft: LayerDraft, destination: str, name: str, owner: tuple[int, int]) -> tuple[Place, str]:
    there = draft.find(destination)
    if destination.endswith("/") or (there is not None and there.kind == "dir"):
        return draft.directory(destination, owner), name
    return draft.place(destination, owner)


def _with_parents(draft: LayerDraft, source: Found, destination: str, rules: Rules) -> str:
    """Make the directories that --parents keeps, and the source itself if it is one; where it goes then."""
    owner = rules.owner or (0, 0)
    path = destination = posixpath.join("/", destination)
    nodes = [*(source.parents or ()), *([source.node] if source.node.kind == "dir" else ())]
    for name, node in zip(source.path.split("/"), nodes, strict=False):
        path = posixpath.join(path, name)
        if draft.find(path) is None:
            above, last = draft.place(path, owner)
            above.put(last, Item.of(node, rules.owner, rules.mode))
    return f"{posixpath.join(destination, source.path if source.node.kind == 'dir' else source.directory)}/"


def _merge(top: Place, node: LowerNode, rules: Rules, base: str = "", unpacked: LayerDraft | None = None) -> None:
    """Put what is in a directory into another. A directory that is left out comes for what is not left out in it.

    ``base`` is what --exclude calls the directory. ``unpacked``: it is an archive's; a directory that it has no entry
    for is what the image has there.
    """
    skip = rules.skip()
    stack = [(top, node, base)]
    while stack:
        place, directory, path = stack.pop()
        for name, child in (directory.children or {}).items():
            below = f"{path}/{name}" if path else name
            if left_out(skip, below, child):
                continue
            found = None
            if unpacked is not None and child.kind == "dir" and child.layer is None:
                found = _existing(unpacked, top, place.child(name), below, child)
            mode = child.mode if unpacked is not None and rules.mode is None else rules.mode  # with its set-id bits
            found = found or place.put(name, Item.of(child, rules.owner, mode))
            if child.kind == "dir":
                stack.append((found, child, below))


def _existing(draft: LayerDraft, top: Place, there: Place | None, path: str, implied: LowerNode) -> Place | None:
    """The directory that is at a path below ``top``; links lead where they would with ``top`` as the root."""
    found = draft.find(path, top)
    if (found is None and there is not None) or (found is not None and found.kind != "dir"):
        while implied.layer is None and implied.children:
            name, implied = next(iter(implied.children.items()))
            path = f"{path}/{name}"
        why = "no such file or directory" if found is None else "not a directory"
        raise InvalidImage(f"Error processing tar file(exit status 1): open /{path}: {why}")
    return found


def _archive(file: Readable) -> LowerTree | None:
    """The tree of a tar archive, compressed or not; None for any other file. InvalidImage if it is broken."""
    start = file.read(_BLOCK)
    file.seek(0)
    packed = sniff(start[:MAGIC_LENGTH]) != "plain"
    if not packed and not is_archive_head(start):
        return None
    pieces = decompress(file)
    try:
        head = next(pieces, b"")
    except InvalidImage:
        return None
    if not is_archive_head(head):
        return None
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "archive"
        with path.open("wb") as plain:
            plain.write(head)
            for piece in pieces:
                plain.write(piece)
        return merge([LayerIndex.of_tar(path)])


def is_archive_head(start: bytes) -> bool:
    """Whether the first 512 bytes are a tar header: its checksum is right."""
    block = start[:_BLOCK]
    if len(block) < _BLOCK or not any(block):
        return False
    try:
        said = int(block[148:156].strip(b" \0") or b"x", 8)
    except ValueError:
        return False
    return said == sum(block[:148]) + sum(block[156:]) + 8 * 32


class Readable(Protocol):
    """As much of a binary file as unpacking needs."""

    def read(self, size: int, /) -> bytes: ...

    def seek(self, position: int, /) -> int: ...


class _Reader:
    def __init__(self, node: LowerNode) -> None:
        self._node = node
        self.position = 0

    def seek(self, position: int, /) -> int:
        self.position = position
        return position

    def read(self, size: int, /) -> bytes:
        node = self._node
        assert node.layer is not None
        count = min(size, node.size - self.position)
        data = os.pread(node.layer.fd(), count, node.offset + self.position) if count > 0 else b""
        self.position += len(data)
        return data


def find_owner(image: LowerTree, text: str) -> tuple[int, int]:
    """The numbers of --chown=user[:group], by the image's own files; InvalidArgument in Docker's words."""
    user, colon, group = text.partition(":")
    uid = _number(image, user, "/etc/passwd", "uid", "user")
    gid = _number(image, group if colon and group else user, "/etc/group", "gid", "group")
    return uid, gid


def _number(image: LowerTree, name: str, file: str, what: str, kind: str) -> int:
    if name.isascii() and name.isdigit():
        return int(name)
    for line in (trees.read(image, file) or b"").decode("utf-8", "replace").splitlines():
        fields = line.split(":")
        if fields[0] == name and len(fields) > 2 and fields[2].isdigit():
            return int(fields[2])
    raise InvalidArgument(
        f"unable to convert uid/gid chown string to host mapping: can't find {what} for {kind} {name}: "
        f"no such {kind}: {name}"
    )


def find_mode(text: str) -> int:
    """The permission bits of --chmod; InvalidArgument."""
    try:
        mode = int(text, 8)
    except ValueError:
        mode = -1
    if not 0 <= mode <= 0o7777 or not text.isdigit():
        raise InvalidArgument(f"invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777")
    return mode
