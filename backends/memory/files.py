"""Files of the memory backend's containers: the sandbox's tree, whether anything runs in it or not."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from backends.api.errors import NotFound
from backends.api.types import Change, PathStat
from backends.core.drivers import Credentials
from backends.memory.boxes import Box, Boxes
from backends.memory.bridge import Cancelled, from_thread, in_thread
from sandbox.images import threads
from sandbox.wasm.sandbox import Sandbox
from sandbox.wasm.vfs import File, FileTree, Usage, read_all
from sandbox.wasm.vfs import archive as archives
from sandbox.wasm.vfs.changes import changes
from sandbox.wasm.vfs.layer import pack_layer
from sandbox.wasm.vfs.overlay import Overlay

_PIECE = 1 << 18


class Files:
    """Implements FilesystemDriver; everything that may block runs in threads."""

    def __init__(self, boxes: Boxes) -> None:
        self._boxes = boxes

    @contextmanager
    def _sandbox(self, container_id: str) -> Iterator[Sandbox]:
        box = self._boxes.get(container_id)
        with box.in_use():
            yield self._boxes.sandbox(box)

    @contextmanager
    def _tree(self, container_id: str) -> Iterator[FileTree]:
        with self._sandbox(container_id) as sandbox, sandbox.files() as tree:
            yield tree

    def _pieces(self, container_id: str, pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
        return from_thread(_while_there(self._boxes.get(container_id), pieces))

    async def stat(self, container_id: str, path: str) -> PathStat:
        """The path itself; a link is told with where it leads."""

        def work() -> PathStat:
            with self._tree(container_id) as tree:
                return _stat(archives.stat_path(tree, path))

        return await asyncio.to_thread(work)

    async def read_file(self, container_id: str, path: str, limit: int = 1 << 20) -> bytes:
        """A small file; not in a thread while the container runs, as every exec asks for two."""
        sandbox = self._boxes.get(container_id).sandbox
        if sandbox is not None and sandbox.running:
            return _read(sandbox.tree, path, limit)

        def work() -> bytes:
            with self._tree(container_id) as tree:
                return _read(tree, path, limit)

        return await asyncio.to_thread(work)

    async def get_archive(self, container_id: str, path: str) -> tuple[PathStat, AsyncIterator[bytes]]:
        """Stat and tar of a path."""

        def begin() -> tuple[PathStat, Iterator[bytes]]:
            with self._sandbox(container_id) as sandbox, ExitStack() as stack:
                tree = stack.enter_context(sandbox.files())
                found, pieces = archives.read_archive(tree, path)
                return _stat(found), _within(stack.pop_all(), pieces)

        found, pieces = await asyncio.to_thread(begin)
        return found, self._pieces(container_id, pieces)

    async def put_archive(
        self,
        container_id: str,
        path: str,
        body: AsyncIterator[bytes],
        no_overwrite: bool,
        owner: Credentials | None,
    ) -> None:
        """Unpack a tar into an existing directory."""
        belongs = (owner.uid, owner.gid) if owner is not None else None

        def work(chunks: Iterator[bytes]) -> None:
            with self._tree(container_id) as tree:
                archives.write_archive(tree, path, chunks, no_overwrite, belongs)

        box = self._boxes.get(container_id)
        try:
            await in_thread(work, body, box.released)
        except Cancelled:
            raise NotFound(f"No such container: {container_id}") from None
        except archives.ArchiveError as error:
            raise OSError(errno.EINVAL, str(error)) from error

    async def changes(self, container_id: str) -> list[Change]:
        """What differs from the image."""

        def work() -> list[Change]:
            with self._sandbox(container_id) as sandbox:
                return [Change(path=change.path, kind=change.kind) for change in changes(sandbox.overlay)]

        return await asyncio.to_thread(work)

    async def layer(self, container_id: str, without: Collection[str] = ()) -> AsyncIterator[bytes]:
        """What differs from the image, as a layer."""
        return self._pieces(container_id, pack_layer(await self._overlay(container_id), without))

    async def export(self, container_id: str) -> AsyncIterator[bytes]:
        """The whole root file system as a tar, without mounts."""
        tree = FileTree((await self._overlay(container_id)).root)
        return self._pieces(container_id, archives.export_root(tree))

    async def _overlay(self, container_id: str) -> Overlay:
        def work() -> Overlay:
            with self._sandbox(container_id) as sandbox:
                return sandbox.overlay

        return await asyncio.to_thread(work)

    async def usage(self, container_id: str) -> tuple[int, int]:
        """Writable layer, and image plus writable layer."""
        found = await asyncio.to_thread(self._usage, container_id)
        return found.upper, found.upper + found.lower

    def _usage(self, container_id: str) -> Usage:
        with self._sandbox(container_id) as sandbox:
            return sandbox.overlay.usage()

    async def copy_up(self, container_id: str, path: str, directory: Path) -> None:
        """Fill an empty volume from the image."""

        def work() -> None:
            with self._sandbox(container_id) as sandbox, suppress(FileNotFoundError, NotADirectoryError):
                archives.copy_tree(FileTree(sandbox.overlay.root), path, directory)  # no directory: it stays empty

        await asyncio.to_thread(work)

    async def fill(self, directory: Path, tar: Path) -> None:
        """Fill a host directory from a tar."""

        def work() -> None:
            with tar.open("rb") as file:
                archives.fill_directory(directory, iter(lambda: file.read(_PIECE), b""))

        await threads.in_thread(work)


def _while_there(box: Box, pieces: Iterator[bytes]) -> Iterator[bytes]:
    while True:
        with box.in_use():
            piece = next(pieces, None)
        if piece is None:
            return
        yield piece


def _within(stack: ExitStack, pieces: Iterator[bytes]) -> Iterator[bytes]:
    with stack:
        yield from pieces


def _read(tree: FileTree, path: str, limit: int) -> bytes:
    node = tree.resolve(path)
    if not isinstance(node, File):
        raise FileNotFoundError(errno.ENOENT, "is no file", path)
    return read_all(node, limit)


def _stat(found: archives.PathStat) -> PathStat:
    return PathStat(name=found.name, size=found.size, mode=found.mode, mtime=found.mtime, linkTarget=found.link_target)
