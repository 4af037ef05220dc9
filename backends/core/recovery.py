"""A worker comes back: what the journal says is made true again.

Containers come back with their image, writable layer and log. One that the journal calls running has lost its process
with the worker: it is exited with 137 and says why, and its restart policy decides whether it is started again. One
whose creation was not finished is undone, one whose removal was not finished is removed, and so is one whose run was
its only one (AutoRemove).
"""

from __future__ import annotations

import logging

from backends.api.errors import EngineError
from backends.core import restart
from backends.core.container import Container
from backends.core.context import Context
from backends.core.endpoints import Endpoints
from backends.core.lifecycle import ALIVE, Happening, Status
from backends.core.records import ContainerRecord
from backends.core.registry import Registry
from backends.core.specs import container_spec
from backends.core.trees import remove_tree
from backends.core.volumes import Volumes
from sandbox.images.errors import ImageError
from sandbox.images.image import Image

logger = logging.getLogger(__name__)
LOST = "the worker that ran this container ended, and its processes with it"


class Recovery:
    """Runs once, before the worker answers."""

    def __init__(self, context: Context, registry: Registry, endpoints: Endpoints, volumes: Volumes) -> None:
        self._context = context
        self._registry = registry
        self._endpoints = endpoints
        self._volumes = volumes

    async def recover(self) -> tuple[list[Container], list[Container]]:
        """Bring all containers back; returns those to start again, and those that AutoRemove removes."""
        again, over, undone = [], [], []
        known = set()
        for record in sorted(self._context.store.all("container", ContainerRecord), key=lambda found: found.created):
            container = Container(self._context, record, self._image(record.image))
            if not record.ready or record.state.status in (Status.REMOVING, Status.DEAD):
                undone.append(container)
                continue
            known.add(record.id)
            self._registry.reserve(record.name, record.id)
            self._registry.add(container)
            if self._settle(container):
                again.append(container)
            elif container.host.auto_remove and record.has_run:
                over.append(container)
            await self._prepare(container)
        for container in undone:  # now that everyone is known who may share their volumes
            await self._undo(container)
        self._sweep(known)
        return again, over

    def _image(self, image_id: str) -> Image | None:
        try:
            return self._context.images.get(image_id) if image_id else None
        except ImageError:
            logger.warning("image %s of a container is gone", image_id)
            return None

    async def _prepare(self, container: Container) -> None:
        try:
            await self._context.drivers.lifecycle.prepare(container_spec(container, self._volumes, whole=False))
        except (EngineError, OSError) as error:
            logger.error("container %s did not come back whole: %s", container.id, error)
            container.record.state.error = f"its file system did not come back: {error}"
            container.save()

    def _settle(self, container: Container) -> bool:
        """Write what became of a run that the worker did not see the end of; tells whether to start again."""
        record, state = container.record, container.record.state
        was_running = state.status in ALIVE or state.status is Status.RESTARTING
        self._endpoints.forget(container)
        record.ports = []
        if was_running:
            lost = state.status in ALIVE
            container.move(Happening.LOST)
            if lost:
                state.exit_code, state.error, state.finished_at = 137, LOST, self._context.clock()
        elif record.starting:
            state.error = "the worker ended while it was being started"
        changed = was_running or record.starting
        record.starting, state.pid = False, 0
        if changed:
            container.save()
            if was_running:
                container.emit("die", exitCode=str(state.exit_code), execDuration="0")
        return restart.at_worker_start(record, container.host, was_running)

    async def _undo(self, container: Container) -> None:
        await self._context.drivers.lifecycle.release(container.id)
        with self._context.store.transaction():
            self._context.store.delete("container", container.id)
        record = container.record
        if record.ready and not record.volumes_go:
            return
        for mount in record.mounts:
            if mount.anonymous and mount.volume:
                await self._volumes.remove_anonymous(mount.volume)

    def _sweep(self, known: set[str]) -> None:
        """Remove directories of containers that the journal does not know."""
        root = self._context.directory / "containers"
        root.mkdir(parents=True, exist_ok=True)
        for path in root.iterdir():
            if path.name not in known:
                remove_tree(path)
