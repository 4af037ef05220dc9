"""The overlay's tables and its journal: recording one change, reading all of them back, writing them anew in short."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sandbox.wasm.vfs import journal as log
from sandbox.wasm.vfs.content import UnionFile
from sandbox.wasm.vfs.inode import Attributes, Inode
from sandbox.wasm.vfs.journal import Journal
from sandbox.wasm.vfs.union import UnionDirectory, UnionNode

if TYPE_CHECKING:
    from sandbox.wasm.vfs.overlay import Overlay

_BATCH = 1 << 16


class Frame:
    """The operations of one change. A node of the image gets its number when it is first named, and so do the
    directories it was found in; `undo` takes the numbers back when the frame could not be written."""

    __slots__ = ("_bound", "_overlay", "_parts")

    def __init__(self, overlay: Overlay) -> None:
        self._overlay = overlay
        self._parts: list[bytes] = []
        self._bound: list[UnionNode] = []

    def payload(self) -> bytes:
        """What to write."""
        return b"".join(self._parts)

    def undo(self) -> None:
        """Forget the numbers given."""
        for node in self._bound:
            node.id = 0

    def number(self, node: Inode) -> int:
        """The node's number in the journal."""
        found = union(node)
        if not found.id:
            chain = [found]
            while (origin := chain[-1].origin) is not None and not origin[0].id:
                chain.append(origin[0])
            for unbound in reversed(chain):
                self._overlay.last_id += 1
                unbound.id = self._overlay.last_id
                self._bound.append(unbound)
                self._parts.append(log.bind(unbound.id, image_path(unbound)))
            self._name_everywhere(found)
        return found.id

    def _name_everywhere(self, node: UnionNode) -> None:
        """A file that the image has under several names changes under all of them, looked up already or not."""
        if node.lower is not None and node.lower.nlink > 1 and not isinstance(node, UnionDirectory):
            for directory, name in self._overlay.names_of(node):
                self.put(directory, name, node)

    def new(self, node: Inode) -> None:
        """A fresh inode."""
        self._parts.append(new(union(node)))

    def put(self, directory: Inode, name: str, node: Inode) -> None:
        """`name` is `node`."""
        number = self.number(node)
        self._parts.append(log.put(self.number(directory), number, name))

    def gone(self, directory: Inode, name: str) -> None:
        """`name` is nothing."""
        number = self.number(directory)
        self._parts.append(log.gone(number, name))

    def touch(self, directory: Inode, now: int) -> None:
        """The names in it changed."""
        number = self.number(directory)
        self._parts.append(log.touch(number, now))

    def set(self, node: Inode, nlink: int, attributes: Attributes) -> None:
        """Attributes changed."""
        number = self.number(node)
        self._parts.append(log.set_(number, nlink, attributes))

    def xattr(self, node: Inode, name: str, value: bytes | None) -> None:
        """An extended attribute changed."""
        number = self.number(node)
        self._parts.append(log.xattr(number, name, value))


def union(node: Inode) -> UnionNode:
    """The overlay's own class of node."""
    if not isinstance(node, UnionNode):
        raise TypeError(f"{node!r} belongs to no overlay")
    return node


def image_path(node: UnionNode) -> str:
    """Where the image has what this node stands for, without a leading slash."""
    names = []
    while node.origin is not None:
        names.append(node.origin[1])
        node = node.origin[0]
    return "/".join(reversed(names))


def attributes(node: Inode, ctime: int | None = None) -> Attributes:
    """The node's attributes, with another time of change if given."""
    return (node.mode, node.uid, node.gid, node.atime, node.mtime, node.ctime if ctime is None else ctime)


def new(node: UnionNode) -> bytes:
    """The operation that makes a node of the container's own."""
    target = "" if isinstance(node, UnionDirectory | UnionFile) else getattr(node, "target", "")
    return log.new(node.id, attributes(node), node.rdev, target)


class Replay:
    """Applies a journal to an overlay that nobody uses yet. `data` are the numbers that have a data file."""

    def __init__(self, overlay: Overlay, data: set[int]) -> None:
        self._overlay = overlay
        self._data = data
        self._nodes: dict[int, UnionNode] = {overlay.root.id: overlay.root}
        self._places: dict[str, UnionDirectory] = {"": overlay.root}

    def apply(self, payload: bytes) -> None:
        """One frame. ValueError if it does not fit the image."""
        for operation in log.parse(payload):
            try:
                self._apply(operation)
            except KeyError as error:
                raise ValueError(f"the journal does not fit the image: {operation}") from error

    def _apply(self, operation: log.Operation) -> None:
        number, *numbers = operation.numbers
        if operation.op == log.BIND:
            self._bind(number, operation.text())
        elif operation.op == log.NEW:
            self._new(number, numbers, operation.text())
        elif operation.op == log.PUT:
            self._directory(number).put(operation.text(), self._nodes[numbers[0]])
        elif operation.op == log.GONE:
            self._directory(number).drop(operation.text())
        elif operation.op == log.TOUCH:
            self._directory(number).touch(numbers[0])
        elif operation.op == log.SET:
            self._set(self._nodes[number], numbers)
        else:
            value = operation.tails[1] if operation.op == log.XATTR else None
            self._nodes[number].assign_xattr(operation.text(), value)

    def _directory(self, number: int) -> UnionDirectory:
        node = self._nodes[number]
        if not isinstance(node, UnionDirectory):
            raise ValueError(f"the journal has names in node {number}, which is no directory")
        return node

    def _bind(self, number: int, path: str) -> None:
        parent, _, name = path.rpartition("/")
        found = self._places[parent].find(name)
        if found is None:
            raise KeyError(path)
        node = union(found)
        node.id = number
        self._register(number, node)
        if isinstance(node, UnionDirectory):
            self._places[path] = node

    def _new(self, number: int, numbers: list[int], target: str) -> None:
        mode, uid, gid, rdev, atime, mtime, ctime = numbers
        node = self._overlay.inode(self._overlay.ino_of(number), mode, uid, gid, rdev, mtime, target)
        node.id, node.atime, node.ctime = number, atime, ctime
        self._register(number, node)

    def _register(self, number: int, node: UnionNode) -> None:
        self._nodes[number] = node
        self._overlay.last_id = max(self._overlay.last_id, number)

    @staticmethod
    def _set(node: UnionNode, numbers: list[int]) -> None:
        node.nlink, node.mode, node.uid, node.gid, node.atime, node.mtime, node.ctime = numbers

    def finish(self) -> tuple[set[int], int]:
        """Give the files their data; the numbers of data files that are in use, and how many nodes there are."""
        kept: set[int] = set()
        count = 0
        for node in changed(self._overlay.root):
            count += 1
            if isinstance(node, UnionFile) and node.id in self._data:
                node.has_data, node.known_size = True, -1
                kept.add(node.id)
        return kept, count


def changed(root: UnionDirectory) -> Iterator[UnionNode]:
    """Every node with a number that can be reached, once; `root` first."""
    seen: set[int] = {root.id}
    stack = [root]
    yield root
    while stack:
        for _, child in stack.pop().nodes():
            node = union(child)
            if node.id and node.id not in seen:
                seen.add(node.id)
                yield node
                if isinstance(node, UnionDirectory):
                    stack.append(node)


def write_snapshot(root: UnionDirectory, journal: Journal) -> None:
    """Append to a fresh journal what leads from the image to the present state."""
    batch = bytearray()
    for operation in _state(root):
        batch += operation
        if len(batch) > _BATCH:
            journal.append(bytes(batch))
            batch.clear()
    if batch:
        journal.append(bytes(batch))


def _state(root: UnionDirectory) -> Iterator[bytes]:
    """First the numbers of the image's nodes, as long as everything is where the image has it; then what is new."""
    nodes = list(changed(root))
    bound: set[int] = {root.id}
    for node in nodes:
        yield from _bindings(node, bound)
    for node in nodes:
        yield from _attributes(node)
    for node in nodes:
        if isinstance(node, UnionDirectory):
            yield from _names(node)


def _bindings(node: UnionNode, bound: set[int]) -> Iterator[bytes]:
    chain = []
    while node.origin is not None and node.id not in bound:
        chain.append(node)
        bound.add(node.id)
        node = node.origin[0]
    for unbound in reversed(chain):
        yield log.bind(unbound.id, image_path(unbound))


def _attributes(node: UnionNode) -> Iterator[bytes]:
    if node.lower is None:
        yield new(node)
        if node.nlink != 1:
            yield log.set_(node.id, node.nlink, attributes(node))
    else:
        yield log.set_(node.id, node.nlink, attributes(node))
        for name in node.lower.xattrs:
            if name not in node.xattrs:
                yield log.xattr(node.id, name, None)
    for name, value in node.xattrs.items():
        if node.lower is None or node.lower.xattrs.get(name) != value:
            yield log.xattr(node.id, name, value)


def _names(directory: UnionDirectory) -> Iterator[bytes]:
    for name, child in directory.children.items():
        if child is None:
            yield log.gone(directory.id, name)
        else:
            node = union(child)
            if node.id and node.origin != (directory, name):
                yield log.put(directory.id, node.id, name)
