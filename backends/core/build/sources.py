"""COPY and ADD: which sources their words mean, and what identifies them."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from backends.api.errors import InvalidArgument
from backends.core.build import tree as trees
from backends.core.build.tree import Trees
from sandbox.images.dockerfile.instructions import InlineFile
from sandbox.images.dockerfile.patterns import PatternMatcher, has_wildcards
from sandbox.images.tree import LowerNode, LowerTree

Skip = Callable[[str], bool]


@dataclass(frozen=True)
class Found:
    """One source: ``path`` as it was found, "" for the whole tree; ``checksum`` identifies it.

    ``parents`` are the directories above it that --parents keeps (None without it); ``path`` begins with them then.
    """

    path: str
    node: LowerNode
    checksum: str
    parents: tuple[LowerNode, ...] | None = None

    @property
    def directory(self) -> str:
        """What is before the last name."""
        return posixpath.dirname(self.path)

    @property
    def base(self) -> str:
        """What --exclude calls a directory: patterns speak of what is below it, with --parents of the whole path."""
        return "" if self.parents is None else self.path


@dataclass(frozen=True)
class Inline:
    """A here-document, or a downloaded (``remote``) file, as a source; ``mtime_ns`` None is the present."""

    name: str
    data: bytes
    checksum: str
    mode: int = 0o644
    mtime_ns: int | None = None
    remote: bool = False


@dataclass(frozen=True)
class Rules:
    """How sources are copied. ``owner`` None keeps theirs; ``parents`` keeps directories.

    ``unpack`` archives: local ones, downloaded ones too if ``unpack_remote``.
    """

    owner: tuple[int, int] | None = (0, 0)
    mode: int | None = None
    unpack: bool = False
    unpack_remote: bool = False
    parents: bool = False
    exclude: tuple[str, ...] = ()
    chown: bool = False

    def skip(self) -> Skip:
        """What --exclude leaves out."""
        return PatternMatcher(self.exclude).matches if self.exclude else lambda path: False


class Finder:
    """Finds sources in a tree. ``name`` is COPY or ADD, ``missing`` stands in errors before what is not there."""

    def __init__(self, cache: Trees, source: LowerTree, rules: Rules, name: str, missing: str) -> None:
        self._cache = cache
        self._root = source.root
        self._parents = rules.parents
        self._skip = rules.skip()
        self._name = name
        self._missing = missing

    def find(self, words: Sequence[str]) -> list[Found]:
        """What the words mean, without what --exclude leaves out; InvalidArgument in Docker's words. Reads all."""
        found: list[Found] = []
        count = 0
        for word in words:
            for source in self._kept(word) if self._parents else self._named(word):
                count += 1
                found += [source] if source else []
        if words and not count:
            raise InvalidArgument(f"{self._name} failed: no source files were specified")
        return found

    def _named(self, word: str) -> Iterable[Found | None]:
        """A source that is a file, or found by wildcards, may be left out by its own name."""
        path = self._relative(word)
        wild = has_wildcards(path)
        for place in trees.matching(self._root, path) if wild else [path]:
            node = self._node(self._root, place)
            name = posixpath.basename(place)
            if (wild or node.kind != "dir") and left_out(self._skip, name, node):
                yield None
            else:
                yield Found(place, node, self._checksum(node, name, ""))

    def _kept(self, word: str) -> Iterable[Found | None]:
        """With --parents: ``/./`` in a word is where the directories to keep begin; ``**`` is any number of them."""
        start, pivot, rest = word.partition("/./")
        start, path = (self._relative(start), self._relative(rest)) if pivot else ("", self._relative(word))
        for above in trees.matching(self._root, start) if has_wildcards(start) else [start]:
            top = self._node(self._root, above)
            for place in trees.matching_deep(top, path) if has_wildcards(path) else [path]:
                node = self._node(top, place)
                if place and left_out(self._skip, place, node):
                    yield None
                else:
                    yield Found(place, node, self._checksum(node, posixpath.basename(place), place), _above(top, place))

    def _relative(self, word: str) -> str:
        path = posixpath.normpath(word.lstrip("/").removeprefix("./") or ".")
        if path.startswith("../") or path == "..":
            raise InvalidArgument(f"{self._name} failed: forbidden path outside the build context: {word} ()")
        return "" if path == "." else path

    def _node(self, root: LowerNode, path: str) -> LowerNode:
        node = trees.resolve(root, path)
        if node is None:
            raise InvalidArgument(f"{self._name} failed: {self._missing}stat {path}: file does not exist")
        return node

    def _checksum(self, node: LowerNode, name: str, base: str) -> str:
        return trees.checksum(node, name, self._cache.digest, lambda path: self._skip(f"{base}/{path}".lstrip("/")))


def left_out(skip: Skip, path: str, node: LowerNode) -> bool:
    """Whether --exclude leaves out a path and all below it."""
    return skip(path) and all(skip(f"{path}/{deep}") for deep, _ in trees.walk(node) if deep)


def _above(top: LowerNode, path: str) -> tuple[LowerNode, ...]:
    """The directories on the way to a path that is there."""
    parts = path.split("/")
    nodes = (trees.resolve(top, "/".join(parts[:count])) for count in range(1, len(parts)))
    return tuple(node for node in nodes if node is not None)


def inline(file: InlineFile) -> Inline:
    """A here-document as a source."""
    data = file.content.encode("utf-8", "surrogateescape")
    return Inline(file.name, data, f"file:{hashlib.sha256(file.name.encode() + bytes(1) + data).hexdigest()}")


def identity(sources: Sequence[Found | Inline]) -> str:
    """What stands for all sources in the history and the cache."""
    if len(sources) == 1:
        return sources[0].checksum
    joined = ",".join(source.checksum for source in sources)
    return f"multi:{hashlib.sha256(joined.encode()).hexdigest()}"
