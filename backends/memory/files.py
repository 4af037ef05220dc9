"""Files of the memory backend's containers: the sandbox's tree, whether anything runs in it or not."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import ExitStack
from pathlib import Path

from backends.api.types import Change, PathStat
from backends.core.drivers import Credentials
from backends.memory.boxes import Boxes
from backends.memory.bridge import from_thread, in_thread
from sandbox.images import threads
from sandbox.wasm.sandbox import Sandbox
from sandbox.wasm.vfs import File, FileTree, Usage, read_all
from sandbox.wasm.vfs import archive as archives
from sandbox.wasm.vfs.changes import changes
from sandbox.wasm.vfs.layer import pack_layer

_PIECE = 1 << 18


class Files:
    """Implements FilesystemDriver; everything that may block runs in threads."""

    def __init__(self, boxes: Boxes) -> None:
        self._boxes = boxes

    def _sandbox(self, container_id: str) -> Sandbox:
        return self._boxes.sandbox(self._boxes.get(container_id))

    async def stat(self, container_id: str, path: str) -> PathStat:
        """The path itself; a link is told with where it leads."""

        def work() -> PathStat:
            with self._sandbox(container_id).files() as tree:
                return _stat(archives.stat_path(tree, path))

        return await asyncio.to_thread(work)

    async def read_file(self, container_id: str, path: str, limit: int = 1 << 20) -> bytes:
        """A small file; not in a thread while the container runs, as every exec asks for two."""
        sandbox = self._boxes.get(container_id).sandbox
        if sandbox is not None and sandbox.running:
            return _read(sandbox.tree, path)[:limit]

        def work() -> bytes:
            with self._sandbox(container_id).files() as tree:
                return _read(tree, path)[:limit]

        return await asyncio.to_thread(work)

    async def get_archive(self, container_id: str, path: str) -> tuple[PathStat, AsyncIterator[bytes]]:
        """Stat and tar of a path."""

        def begin() -> tuple[PathStat, Iterator[bytes]]:
            with ExitStack() as stack:
                tree = stack.enter_context(self._sandbox(container_id).files())
                found, pieces = archives.read_archive(tree, path)
                return _stat(found), _within(stack.pop_all(), pieces)

        found, pieces = await asyncio.to_thread(begin)
        return found, from_thread(pieces)

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
            with self._sandbox(container_id).files() as tree:
                archives.write_archive(tree, path, chunks, no_overwrite, belongs)

        try:
            await in_thread(work, body)
        except archives.ArchiveError as error:
            raise OSError(errno.EINVAL, str(error)) from error

    async def changes(self, container_id: str) -> list[Change]:
        """What differs from the image."""
        found = await asyncio.to_thread(lambda: changes(self._sandbox(container_id).overlay))
        return [Change(path=change.path, kind=change.kind) for change in found]

    async def layer(self, container_id: str, without: Collection[str] = ()) -> AsyncIterator[bytes]:
        """What differs from the image, as a layer."""
        return from_thread(pack_layer(await asyncio.to_thread(lambda: self._sandbox(container_id).overlay), without))

    async def export(self, container_id: str) -> AsyncIterator[bytes]:
        """The whole root file system as a tar, without mounts."""
        root = await asyncio.to_thread(lambda: FileTree(self._sandbox(container_id).overlay.root))
        return from_thread(archives.export_root(root))

    async def usage(self, container_id: str) -> tuple[int, int]:
        """Writable layer, and image plus writable layer."""
        found = await asyncio.to_thread(self._usage, container_id)
        return found.upper, found.upper + found.lower

    def _usage(self, container_id: str) -> Usage:
        return self._sandbox(container_id).overlay.usage()

    async def copy_up(self, container_id: str, path: str, directory: Path) -> None:
        """Fill an empty volume from the image."""

        def work() -> None:
            tree = FileTree(self._sandbox(container_id).overlay.root)
            try:
                archives.copy_tree(tree, path, directory)
            except (FileNotFoundError, NotADirectoryError):
                return  # the image has no directory there: the volume stays empty

        await asyncio.to_thread(work)

    async def fill(self, directory: Path, tar: Path) -> None:
        """Fill a host directory from a tar."""

        def work() -> None:
            with tar.open("rb") as file:
                archives.fill_directory(directory, iter(lambda: file.read(_PIECE), b""))

        await threads.in_thread(work)


def _within(stack: ExitStack, pieces: Iterator[bytes]) -> Iterator[bytes]:
    with stack:
        yield from pieces


def _read(tree: FileTree, path: str) -> bytes:
    node = tree.resolve(path)
    if not isinstance(node, File):
        raise FileNotFoundError(errno.ENOENT, "is no file", path)
    return read_all(node)


def _stat(found: archives.PathStat) -> PathStat:
    return PathStat(name=found.name, size=found.size, mode=found.mode, mtime=found.mtime, linkTarget=found.link_target)
