"""From a tar stream into a tree, with bounded memory.

Nothing is handed to the host but bytes: every name is resolved in the tree, so no archive reaches out of it.
"""

from __future__ import annotations

import errno
import os
import posixpath
import stat
from collections.abc import Iterable, Iterator

from sandbox.images.compression import decompress
from sandbox.images.errors import InvalidImage
from sandbox.images.tarscan import Header, scan
from sandbox.wasm.vfs.node import Directory, File, Handle, Node
from sandbox.wasm.vfs.tree import FileTree

PIECE = 1 << 18
_ENDLESS = 1 << 62
_KINDS = {ord("3"): stat.S_IFCHR, ord("4"): stat.S_IFBLK, ord("6"): stat.S_IFIFO}


class ArchiveError(ValueError):
    """The archive is damaged or may not be unpacked here; the message says why, in Docker's words where it has some."""


class _Chunks:
    """A stream of chunks as something to read from."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = b""

    def read(self, size: int = -1, /) -> bytes:
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return b""
            self._rest = chunk
        if size < 0 or size >= len(self._rest):
            data, self._rest = self._rest, b""
        else:
            data, self._rest = self._rest[:size], self._rest[size:]
        return data


class _Forward:
    """Reads the plain tar at growing positions only; bytes between are skipped."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._pieces: Iterator[bytes] = decompress(_Chunks(chunks))
        self._piece = memoryview(b"")
        self._position = 0

    def _advance(self, count: int) -> memoryview:
        """At most `count` of the next bytes, none at the end."""
        while not len(self._piece):
            piece = next(self._pieces, None)
            if piece is None:
                return self._piece
            self._piece = memoryview(piece)
        data, self._piece = self._piece[:count], self._piece[count:]
        self._position += len(data)
        return data

    def read(self, count: int, position: int) -> bytes:
        """As os.pread, but never backwards."""
        assert position >= self._position
        while self._position < position and self._advance(position - self._position):
            pass
        if self._position < position:
            return b""
        return b"".join(self.pieces(count))

    def pieces(self, count: int) -> Iterator[memoryview]:
        """The next `count` bytes, fewer at the end."""
        while count > 0:
            data = self._advance(min(count, PIECE))
            if not data:
                return
            yield data
            count -= len(data)

    def drain(self) -> None:
        """Read what follows the archive: the sender wants to be heard to the end."""
        while self._advance(PIECE):
            pass


def unpack(
    tree: FileTree,
    target: Directory,
    chunks: Iterable[bytes],
    no_overwrite_dir_non_dir: bool,
    owner: tuple[int, int] | None,
) -> None:
    """Unpack into `target`; raises ArchiveError, and OSError of the tree (ENOSPC, EROFS, ...).

    What went in before a failure stays, as it does with Docker.
    """
    stream = _Forward(chunks)
    unpacker = _Unpacker(tree, target, stream, no_overwrite_dir_non_dir, owner)
    try:
        for header in scan(stream.read, _ENDLESS):
            unpacker.enter(header)
        stream.drain()
    except InvalidImage as error:
        raise ArchiveError(str(error)) from error
    unpacker.finish()


class _Unpacker:
    def __init__(
        self,
        tree: FileTree,
        target: Directory,
        stream: _Forward,
        no_overwrite_dir_non_dir: bool,
        owner: tuple[int, int] | None,
    ) -> None:
        self._tree = tree
        self._target = target
        self._base = tree.path_of(target)
        self._stream = stream
        self._keep_kind = no_overwrite_dir_non_dir
        self._owner = owner
        self._times: list[tuple[Directory, int]] = []
        self._parent = ("", target)

    def enter(self, header: Header) -> None:
        """Make one member."""
        name = self._clean(header.name)
        if not name:
            if header.kind == ord("5"):
                self._dress(self._target, header)
            return
        parent_path, _, last = name.rpartition("/")
        parent = self._directory(parent_path)
        existing = self._tree.child(parent, last)
        if existing is not None:
            existing = self._make_room(parent, last, existing, header, name)
        if header.kind == ord("5"):
            made: Node = existing or parent.mkdir(last, 0o755, 0, 0)
            self._dress(made, header)
        else:
            self._make(parent, last, header, name)

    def _clean(self, name: str) -> str:
        """The member's path below the target, "" for the target itself."""
        path = posixpath.normpath(name.lstrip("/") or ".")
        if path == ".." or path.startswith("../"):
            raise ArchiveError(f'"{posixpath.join(self._base, path)}" is outside of "{self._base}"')
        return "" if path == "." else path

    def _directory(self, path: str) -> Directory:
        """The directory that a member lies in, made if the archive did not bring it."""
        if not path:
            return self._target
        if self._parent[0] != path:
            self._parent = (path, self._tree.makedirs(posixpath.join(self._base, path)))
        return self._parent[1]

    def _make_room(self, parent: Directory, last: str, existing: Node, header: Header, name: str) -> Node | None:
        """What is there stays only where a directory comes to a directory."""
        is_directory, becomes = isinstance(existing, Directory), header.kind == ord("5")
        if is_directory and becomes:
            return existing
        if self._keep_kind and is_directory != becomes:
            path = posixpath.join(self._base, name)
            words = ("directory", "non-directory") if is_directory else ("non-directory", "directory")
            raise ArchiveError(f'cannot overwrite {words[0]} "{path}" with {words[1]} "{self._base}"')
        if self._is_itself(parent, header, existing):
            return existing
        self._parent = ("", self._target)
        _remove(self._tree, parent, last, existing)
        return None

    def _is_itself(self, parent: Directory, header: Header, existing: Node) -> bool:
        """A hard link that is there already."""
        return header.kind == ord("1") and self._linked(header) == existing

    def _linked(self, header: Header) -> Node | None:
        path = self._clean(header.link)
        try:
            return self._tree.resolve(posixpath.join(self._base, path), follow=False) if path else None
        except FileNotFoundError:
            return None

    def _make(self, parent: Directory, last: str, header: Header, name: str) -> None:
        uid, gid = self._owner or (header.uid, header.gid)
        if header.kind == ord("1"):
            self._link(parent, last, header)
        elif header.kind == ord("2"):
            self._dress(parent.symlink(last, header.link, uid, gid), header, owned=True)
        elif header.kind == ord("0"):
            file = parent.create(last, header.mode, uid, gid)
            self._fill(file, header, name)
            self._dress(file, header, owned=True)
        else:
            mode = _KINDS.get(header.kind)
            if mode is None:
                raise ArchiveError(f"unhandled tar header type {header.kind}")
            self._dress(parent.mknod(last, mode | header.mode, uid, gid, header.device), header, owned=True)

    def _link(self, parent: Directory, last: str, header: Header) -> None:
        source = self._linked(header)
        if source is None:
            raise ArchiveError(f'invalid hardlink "{posixpath.join(self._base, last)}" -> "{header.link}"')
        if self._tree.child(parent, last) != source:
            parent.link(last, source)

    def _fill(self, file: File, header: Header, name: str) -> None:
        handle = file.open(os.O_WRONLY)
        try:
            if header.sparse is not None:
                handle.truncate(header.size)
            for start, length in ((0, header.size),) if header.sparse is None else header.sparse:
                done = start
                for piece in self._stream.pieces(length):
                    _write(handle, piece, done)
                    done += len(piece)
                if done < start + length:
                    raise ArchiveError(f"unexpected EOF in {name!r}")
        finally:
            handle.close()

    def _dress(self, node: Node, header: Header, owned: bool = False) -> None:
        """Owner, mode, extended attributes, time; a directory's time comes last, when nothing changes it any more."""
        if not owned:
            node.chown(*(self._owner or (header.uid, header.gid)))
            node.chmod(header.mode)
        for name, value in header.xattrs.items():
            _set_xattr(node, name, value)
        if isinstance(node, Directory):
            self._times.append((node, header.mtime_ns))
        else:
            node.utime(header.mtime_ns, header.mtime_ns)

    def finish(self) -> None:
        """The times of directories."""
        for directory, mtime_ns in self._times:
            try:
                directory.utime(mtime_ns, mtime_ns)
            except FileNotFoundError:
                continue


def _write(handle: Handle, piece: memoryview, offset: int) -> None:
    done = 0
    while done < len(piece):
        done += handle.write(piece[done:], offset + done)


def _set_xattr(node: Node, name: str, value: bytes) -> None:
    """Docker, too, passes over what the file system has no place for."""
    try:
        node.setxattr(name, value)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EPERM):
            raise


def _remove(tree: FileTree, parent: Directory, name: str, node: Node) -> None:
    """rm -r, however deep; EBUSY for a mount point."""
    pending = [(parent, name, node)]
    while pending:
        above, last, found = pending[-1]
        if tree.is_mount_point(found):
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), last)
        if not isinstance(found, Directory):
            above.unlink(last)
            pending.pop()
        elif below := [(found, entry, child) for entry, child in _children(tree, found)]:
            pending.extend(below)
        else:
            above.rmdir(last)
            pending.pop()


def _children(tree: FileTree, directory: Directory) -> Iterator[tuple[str, Node]]:
    for name, _ino, _kind in directory.entries():
        child = tree.child(directory, name)
        if child is not None:
            yield name, child
