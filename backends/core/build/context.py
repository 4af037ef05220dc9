"""What a build works on: the build context as a tree, and the text of its Dockerfile.

A context comes as a tar (compressed or not) and stays one: it is indexed, not unpacked. A context that is no tar is a
Dockerfile without any files.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from backends.api.errors import EngineError, InvalidArgument
from backends.core.build import tree as trees
from sandbox.images.compression import MAGIC_LENGTH, decompress, sniff
from sandbox.images.dockerfile import PatternMatcher, read_ignore
from sandbox.images.dockerfile.errors import DockerfileError
from sandbox.images.errors import InvalidImage
from sandbox.images.layer import LayerIndex
from sandbox.images.tree import LowerNode, LowerTree, lower_from_entries, merge

DEFAULT = "Dockerfile"
IGNORE = ".dockerignore"


@dataclass
class BuildContext:
    """``tree`` holds what COPY may take; ``dockerfile`` is the text to build, ``name`` what it is called in errors."""

    tree: LowerTree
    dockerfile: str
    name: str = DEFAULT


async def receive(body: AsyncIterator[bytes], path: Path) -> int:
    """Write an upload to a file; its size."""
    size = 0
    with path.open("wb") as file:
        async for piece in body:
            file.write(piece)
            size += len(piece)
    return size


def open_context(path: Path, dockerfile: str, whole: bool) -> BuildContext:
    """Read a received context; blocks. ``whole``: apply all of .dockerignore, which no client has done.

    InvalidArgument for what is no tar; EngineError if the Dockerfile is missing or empty.
    """
    try:
        tree = merge([LayerIndex.of_tar(_plain(path))])
    except InvalidImage as error:
        raise InvalidArgument(f"Error processing tar file: {error.message}") from None
    name, text = _dockerfile(tree, dockerfile or DEFAULT)
    _ignore(tree, name, whole)
    return BuildContext(tree, text, name)


def _plain(path: Path) -> Path:
    with path.open("rb") as packed:
        if sniff(packed.read(MAGIC_LENGTH)) == "plain":
            return path
        packed.seek(0)
        plain = path.with_suffix(".tar")
        with plain.open("wb") as file:
            for piece in decompress(packed):
                file.write(piece)
    return plain


def bare_context(text: bytes) -> BuildContext:
    """A Dockerfile alone."""
    return BuildContext(lower_from_entries(()), _text(text, DEFAULT))


def is_tar(path: Path) -> bool:
    """Whether a file is a tar, compressed or not: what a remote context may be besides a Dockerfile."""
    from backends.core.build.copying import is_archive_head

    with path.open("rb") as file:
        try:
            return is_archive_head(next(decompress(file), b""))
        except InvalidImage:
            return False


def _dockerfile(tree: LowerTree, name: str) -> tuple[str, str]:
    """A file of that name; "dockerfile" also does for the default one."""
    for candidate in (name, name.lower()) if name == DEFAULT else (name,):
        node = trees.resolve(tree.root, candidate)
        if node is not None and node.kind == "file":
            return candidate, _text(b"".join(trees.content(node)), candidate)
    raise EngineError(f"Cannot locate specified Dockerfile: {name}")


def _text(data: bytes, name: str) -> str:
    if not data:
        raise EngineError(f"the Dockerfile ({name}) cannot be empty")
    return data.decode("utf-8", "replace")


def _ignore(tree: LowerTree, dockerfile: str, whole: bool) -> None:
    """Clients send Dockerfile and .dockerignore even if those are to be ignored; drop them then, as dockerd does."""
    text = trees.read(tree, IGNORE)
    if text is None:
        return
    try:
        matcher = PatternMatcher(read_ignore(text.decode("utf-8", "surrogateescape")))
    except DockerfileError as error:
        raise InvalidArgument(f"Error reading {IGNORE}: {error}") from None
    if whole:
        _drop_ignored(tree.root, matcher)
        return
    for path in (IGNORE, dockerfile):
        if matcher.matches(path):
            parent = trees.resolve(tree.root, path.rpartition("/")[0])
            if parent is not None and parent.children is not None:
                parent.children.pop(path.rpartition("/")[2], None)


def _drop_ignored(root: LowerNode, matcher: PatternMatcher) -> None:
    """Ignored files go, and ignored directories that are empty then."""
    for path, node in reversed(list(trees.walk(root))):
        if path and matcher.matches(path) and not node.children:
            parent = trees.lookup(root, path.rpartition("/")[0])
            if parent is not None and parent.children is not None:
                del parent.children[path.rpartition("/")[2]]
