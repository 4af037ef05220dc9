"""A container's root: an image's layers, and over them a writable layer that survives its process.

Names and attributes of the writable layer live in memory and in `<state>/journal`, the content of written files in
`<state>/data/<id>`. Nothing exists on disk before the first change. After `kill -9` at any instruction `Overlay.open`
finds the layer as the last completed calls left it (not after a power failure: nothing is synced).
"""

from __future__ import annotations

import os
import stat
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from sandbox.images.tree import LowerNode, LowerTree
from sandbox.wasm.vfs.content import UnionFile
from sandbox.wasm.vfs.inode import Attributes, Inode, InodeDirectory, InodeFileSystem, Move
from sandbox.wasm.vfs.journal import Journal
from sandbox.wasm.vfs.node import StatFs
from sandbox.wasm.vfs.snapshot import Frame, Replay, attributes, write_snapshot
from sandbox.wasm.vfs.union import KINDS, Origin, UnionDirectory, UnionNode, UnionSpecial, UnionSymlink

ROOT_ID = 1
COMPACT_BYTES = 4 << 20
BYTES_PER_NODE = 1024


@dataclass(slots=True)
class Usage:
    """Bytes of file content: in the writable layer, and in the image below it."""

    upper: int
    lower: int


class Overlay(InodeFileSystem):
    """Made by `open`. `content_lock` is held while a file gets data of its own, `append_lock` while one grows."""

    kind = "overlay"

    def __init__(self, state: Path, lower: LowerTree) -> None:
        super().__init__()
        self.state = state
        self.lower = lower
        self.content_lock = threading.RLock()
        self.append_lock = threading.Lock()
        self.journal = Journal(state / "journal")
        self.last_id = ROOT_ID
        self._data = state / "data"
        self._temporaries = 0
        self._compact_at = COMPACT_BYTES
        self._linked: dict[int, UnionNode] = {}
        self._linked_paths: dict[int, list[str]] | None = None
        self._standing: dict[int, UnionDirectory] = {}
        root = self._like(lower.root)
        assert isinstance(root, UnionDirectory)
        root.id = ROOT_ID
        self._standing[lower.root.ino] = root
        self.root = root

    @classmethod
    def open(cls, state_dir: Path | str, lower: LowerTree) -> Overlay:
        """The container's file system as it was left; `lower` must be the same image as ever.

        Raises ValueError if the journal speaks of paths that the image does not have.
        """
        overlay = cls(Path(state_dir), lower)
        overlay._restore()
        return overlay

    def _restore(self) -> None:
        names = os.listdir(self._data) if self._data.is_dir() else []
        replay = Replay(self, {int(name) for name in names if name.isdigit()})
        for payload in self.journal.replay():
            replay.apply(payload)
        kept, count = replay.finish()
        for name in names:
            if not name.isdigit() or int(name) not in kept:
                os.unlink(self._data / name)
        if self.journal.length > max(COMPACT_BYTES, BYTES_PER_NODE * count):
            self.compact()

    def close(self) -> None:
        """Close the journal. Handles must be closed before."""
        with self.lock:
            self.journal.close()

    def now(self) -> int:
        """The time, in nanoseconds."""
        return time.time_ns()

    def usage(self) -> Usage:
        """Walks the image's tree and the data directory."""
        upper = 0
        if self._data.is_dir():
            with os.scandir(self._data) as found:
                upper = sum(_size(entry) for entry in found)
        seen = {node.ino: node.size for _, node in self.lower.walk() if node.kind == "file"}
        return Usage(upper, sum(seen.values()))

    def statfs(self) -> StatFs:
        place = self.state
        while not place.exists():
            place = place.parent
        found = os.statvfs(place)
        return StatFs(self.kind, found.f_frsize, found.f_blocks, found.f_bavail, found.f_files, found.f_favail)

    # Inodes

    def make(self, mode: int, uid: int, gid: int, rdev: int = 0, target: str = "") -> Inode:
        self.last_id += 1
        node = self.inode(self.ino_of(self.last_id), mode, uid, gid, rdev, time.time_ns(), target)
        node.id = self.last_id
        return node

    def ino_of(self, number: int) -> int:
        """The inode number of a node the container made, beyond those of the image."""
        return self.lower.inodes + number

    def inode(self, ino: int, mode: int, uid: int, gid: int, rdev: int, now: int, target: str) -> UnionNode:
        """An inode of the kind that S_IFMT says."""
        kind = stat.S_IFMT(mode)
        if kind == stat.S_IFREG:
            return UnionFile(self, ino, mode, uid, gid, 0, now)
        if kind == stat.S_IFDIR:
            return UnionDirectory(self, ino, mode, uid, gid, 0, now)
        if kind == stat.S_IFLNK:
            return UnionSymlink(self, ino, mode, uid, gid, 0, now, target)
        return UnionSpecial(self, ino, mode, uid, gid, rdev, now)

    def adopt(self, lower: LowerNode, origin: Origin) -> UnionNode:
        """The inode that stands for a node of the image; called under the lock."""
        node = self._linked.get(lower.ino)
        if node is None:
            node = self._like(lower)
            node.origin = origin
            if isinstance(node, UnionDirectory):
                self._standing[lower.ino] = node
            elif lower.nlink > 1:
                self._linked[lower.ino] = node
        return node

    def names_of(self, node: UnionNode) -> list[Origin]:
        """Where the names now are that the image gives a file with several; called under the lock."""
        if node.lower is None:
            return []
        if self._linked_paths is None:
            self._linked_paths = {}
            for path, lower in self.lower.walk():
                if lower.kind != "dir" and lower.nlink > 1:
                    self._linked_paths.setdefault(lower.ino, []).append(path)
        found = [self._image_place(path) for path in self._linked_paths.get(node.lower.ino, [])]
        return [
            (directory, name) for directory, name in found if directory is not None and directory.find(name) is node
        ]

    def _image_place(self, path: str) -> tuple[UnionDirectory | None, str]:
        """What stands for the directory that `path` of the image lies in, wherever it was moved; None if it is gone."""
        *above, name = path.split("/")
        lower, directory = self.lower.root, self.root
        for part in above:
            lower = (lower.children or {})[part]
            standing = self._standing.get(lower.ino) or directory.find(part)
            if not isinstance(standing, UnionDirectory) or standing.lower is not lower or not standing.nlink:
                return (None, name)
            directory = standing
        return (directory, name)

    def _like(self, lower: LowerNode) -> UnionNode:
        mode = KINDS[lower.kind] | lower.mode
        node = self.inode(lower.ino, mode, lower.uid, lower.gid, lower.rdev, lower.mtime_ns, lower.target)
        node.lower = lower
        node.xattrs = lower.xattrs
        if isinstance(node, UnionFile):
            node.known_size = lower.size
        if not isinstance(node, UnionDirectory):
            node.nlink = lower.nlink
        return node

    # Data files

    def data_path(self, number: int) -> str:
        """Where the data of node `number` is."""
        return f"{self._data}/{number}"

    def open_data(self, number: int) -> int:
        """Open existing data."""
        return os.open(self.data_path(number), os.O_RDWR | os.O_CLOEXEC)

    def make_data(self, number: int) -> int:
        """Make empty data; for number 0 (a file without a name) data that nobody can find."""
        if not number:
            fd, temporary = self.make_temporary()
            os.unlink(temporary)
            return fd
        path = self.data_path(number)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            return os.open(path, flags, 0o600)
        except FileNotFoundError:
            self._data.mkdir(parents=True, exist_ok=True)
            return os.open(path, flags, 0o600)

    def make_temporary(self) -> tuple[int, str]:
        """A fresh host file beside the data; one that is left over is removed by the next `open`."""
        self._data.mkdir(parents=True, exist_ok=True)
        with self.lock:
            self._temporaries += 1
            path = f"{self._data}/t{self._temporaries}"
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), path

    # The journal. All of this happens under the lock.

    def bind(self, node: Inode) -> None:
        """Give a node of the image, which is about to get data, its number in the journal."""
        frame = Frame(self)
        frame.number(node)
        self._commit(frame)

    def _commit(self, frame: Frame) -> None:
        payload = frame.payload()
        if not payload:
            return
        try:
            self._write(payload)
        except OSError:
            frame.undo()
            raise

    def _write(self, payload: bytes) -> None:
        if self.journal.length > self._compact_at:
            self.compact()
        try:
            self.journal.append(payload)
        except FileNotFoundError:
            self._data.mkdir(parents=True, exist_ok=True)
            self.journal.append(payload)

    def compact(self) -> None:
        """Rewrite the journal as the shortest that leads to the present state."""
        with self.lock:
            self.journal.replace(lambda fresh: write_snapshot(self.root, fresh))
            self._compact_at = max(COMPACT_BYTES, 4 * self.journal.length)

    def record_new(self, directory: InodeDirectory, name: str, node: Inode, now: int) -> None:
        frame = Frame(self)
        frame.new(node)
        frame.put(directory, name, node)
        frame.touch(directory, now)
        self._commit(frame)

    def record_link(self, directory: InodeDirectory, name: str, node: Inode, now: int) -> None:
        frame = Frame(self)
        frame.set(node, node.nlink + 1, attributes(node, now))
        frame.put(directory, name, node)
        frame.touch(directory, now)
        self._commit(frame)

    def record_gone(self, directory: InodeDirectory, name: str, node: Inode, now: int) -> None:
        frame = Frame(self)
        _one_less(frame, node, now)
        frame.gone(directory, name)
        frame.touch(directory, now)
        self._commit(frame)

    def record_rename(self, move: Move, now: int) -> None:
        frame = Frame(self)
        frame.set(move.node, move.node.nlink, attributes(move.node, now))
        if move.victim is None or not move.exchange:
            if move.victim is not None:
                _one_less(frame, move.victim, now)
            frame.gone(move.directory, move.old)
        else:
            frame.set(move.victim, move.victim.nlink, attributes(move.victim, now))
            frame.put(move.directory, move.old, move.victim)
        frame.put(move.target, move.new, move.node)
        frame.touch(move.directory, now)
        frame.touch(move.target, now)
        self._commit(frame)

    def record_attributes(self, node: Inode, changed: Attributes) -> None:
        if node.nlink:
            frame = Frame(self)
            frame.set(node, node.nlink, changed)
            self._commit(frame)

    def record_xattr(self, node: Inode, name: str, value: bytes | None) -> None:
        if node.nlink:
            frame = Frame(self)
            frame.xattr(node, name, value)
            self._commit(frame)


def _one_less(frame: Frame, node: Inode, now: int) -> None:
    if node.nlink > 1:
        frame.set(node, node.nlink - 1, attributes(node, now))


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat().st_size
    except FileNotFoundError:
        return 0
