"""Taking what a step or a container has changed into the content store as a layer."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from backends.core.context import Context
from sandbox.images.disk import storage_errors
from sandbox.images.store import Store
from sandbox.images.threads import in_thread


def store_layer(images: Store, path: Path) -> str:
    """Move a layer's tar into the store; its diff id. Blocks."""
    return images.layers.put(path).diff_id


async def container_layer(context: Context, container_id: str, without: Collection[str] = ()) -> str:
    """The diff id of what a container has changed, "" if that is nothing."""
    with context.images.disk.scratch() as scratch:
        path = scratch / "layer"
        content = False
        with path.open("wb") as file, storage_errors():
            async for piece in await context.drivers.files.layer(container_id, without):
                content = content or any(piece)
                file.write(piece)
        return await in_thread(store_layer, context.images, path) if content else ""
