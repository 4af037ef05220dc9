"""Files of a build as files of the host, for what RUN --mount shows.

The driver writes them: how a container sees their owners, also where the worker is not root, is its business.
"""

from __future__ import annotations

import posixpath
from pathlib import Path

from backends.core.build import tree as trees
from backends.core.build.layerdraft import Item, LayerDraft
from backends.core.build.parts import Job
from sandbox.images.threads import in_thread
from sandbox.images.tree import LowerNode, lower_from_entries

_NAME = "content"
_KINDS = ("dir", "file", "symlink")


async def provide(job: Job, item: Item, below: LowerNode | None, directory: Path) -> Path:
    """Write ``item``, and as a directory what is ``below`` a node, into a new directory; its path. OSError.

    Devices and pipes are left out.
    """
    tar = job.place("tar")
    await in_thread(_pack, item, below, tar)
    directory.mkdir()
    await job.parts.context.drivers.files.fill(directory, tar)
    tar.unlink()
    return directory / _NAME


def _pack(item: Item, below: LowerNode | None, tar: Path) -> None:
    draft = LayerDraft(lower_from_entries(()), item.mtime_ns)
    draft.root.put(_NAME, item)
    for path, node in trees.walk(below, _NAME) if below is not None else ():
        if path != _NAME and node.kind in _KINDS:
            draft.directory(posixpath.dirname(path)).put(posixpath.basename(path), Item.of(node, None, None))
    with tar.open("wb") as file:
        draft.write(file)
