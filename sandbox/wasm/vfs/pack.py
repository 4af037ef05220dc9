"""From a tree to a tar stream, with bounded memory."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator

from sandbox.wasm.vfs import tarwriter
from sandbox.wasm.vfs.node import Directory, File, Node, Symlink, fail
from sandbox.wasm.vfs.tarwriter import Member

CHUNK = 1 << 17
_TYPES = {
    stat.S_IFREG: tarwriter.FILE,
    stat.S_IFDIR: tarwriter.DIRECTORY,
    stat.S_IFLNK: tarwriter.SYMLINK,
    stat.S_IFCHR: tarwriter.CHAR,
    stat.S_IFBLK: tarwriter.BLOCK_DEVICE,
    stat.S_IFIFO: tarwriter.FIFO,
}

Child = Callable[[Directory, str], Node | None]
"""How a name is looked up: with what is mounted there, or without."""


def pack(top: Node, name: str, child: Child) -> Iterator[bytes]:
    """The tar of a node and all below it, as chunks of about `CHUNK` bytes.

    `name` is the node's own in the archive ("" leaves it out); what is below comes in the order of names. Sockets are
    left out, and what disappears meanwhile. EIO if a file gets shorter while it is read.
    """
    packer = Packer(child)
    yield from packer.archive(packer.members(top, name))


class Packer:
    """Headers and contents of nodes, gathered into chunks."""

    def __init__(self, child: Child) -> None:
        self._child = child
        self._linked: dict[tuple[int, int], str] = {}
        self._buffer = bytearray(CHUNK)

    def archive(self, parts: Iterable[bytes]) -> Iterator[bytes]:
        """A whole tar of these headers and contents."""
        gathered: list[bytes] = []
        size = 0
        for part in parts:
            gathered.append(part)
            size += len(part)
            if size >= CHUNK:
                yield b"".join(gathered)
                gathered.clear()
                size = 0
        yield b"".join((*gathered, tarwriter.END))

    def members(self, top: Node, name: str) -> Iterator[bytes]:
        """Every header and piece of content, the top first."""
        if name:
            yield from self.member(top, name)
        stack = [self._below(top, name.rstrip("/") + "/" if name else "")]
        while stack:
            found = next(stack[-1], None)
            if found is None:
                stack.pop()
                continue
            node, path = found
            try:
                yield from self.member(node, path)
            except FileNotFoundError:
                continue
            if isinstance(node, Directory):
                stack.append(self._below(node, path + "/"))

    def _below(self, node: Node, prefix: str) -> Iterator[tuple[Node, str]]:
        if isinstance(node, Directory):
            for name in sorted(name for name, _ino, _kind in node.entries()):
                below = self._child(node, name)
                if below is not None:
                    yield (below, prefix + name)

    def member(self, node: Node, path: str) -> Iterator[bytes]:
        """One node without what is below it."""
        found = node.stat()
        kind = _TYPES.get(stat.S_IFMT(found.mode))
        if kind is None:
            return
        xattrs = {name: node.getxattr(name) for name in node.listxattr()}
        member = Member(path, kind, found.mode, found.uid, found.gid, 0, found.mtime_ns, xattrs=xattrs)
        if isinstance(node, Directory):
            member.name = path.rstrip("/") + "/"
        elif found.nlink > 1 and node.key in self._linked:
            member.type, member.link = tarwriter.HARD_LINK, self._linked[node.key]
        elif isinstance(node, File):
            yield from self._file(node, member)
            self._remember(node, path, found.nlink)
            return
        elif isinstance(node, Symlink):
            member.link = node.target
        else:
            member.rdev = found.rdev
        yield tarwriter.header(member)
        if not isinstance(node, Directory):
            self._remember(node, path, found.nlink)

    def _remember(self, node: Node, path: str, nlink: int) -> None:
        if nlink > 1:
            self._linked.setdefault(node.key, path)

    def _file(self, node: File, member: Member) -> Iterator[bytes]:
        handle = node.open(os.O_RDONLY)
        try:
            member.size = handle.node.size
            yield tarwriter.header(member)
            done = 0
            view = memoryview(self._buffer)
            while done < member.size:
                count = handle.readinto(view[: min(CHUNK, member.size - done)], done)
                if not count:
                    fail(errno.EIO, member.name)
                yield bytes(view[:count])
                done += count
            if done % tarwriter.BLOCK:
                yield tarwriter.padding(done)
        finally:
            handle.close()
