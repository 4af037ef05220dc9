"""Operations on existing containers: stop, kill, restart, pause, rename, update, remove, prune, resize."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from backends.api import types as t
from backends.api.errors import Conflict, EngineError, InvalidArgument, NotModified
from backends.core import names, updates, validate
from backends.core.config import view
from backends.core.container import Container
from backends.core.context import Context
from backends.core.endpoints import Endpoints
from backends.core.files import sizes
from backends.core.filters import check_keys, labels_match, until
from backends.core.hostconfig import HostConfig
from backends.core.images import Images
from backends.core.launch import Launcher
from backends.core.lifecycle import Happening, Status
from backends.core.links import parse_link
from backends.core.registry import Registry
from backends.core.signals import KILL, parse_signal
from backends.core.specs import limits
from backends.core.trees import remove_tree
from backends.core.volumes import Volumes

logger = logging.getLogger(__name__)
STOP_TIMEOUT = 10
KILL_LIMIT = 10.0


class Control:
    """Acts on one container at a time; finding it is the engine's business."""

    def __init__(
        self,
        context: Context,
        registry: Registry,
        endpoints: Endpoints,
        volumes: Volumes,
        launcher: Launcher,
        images: Images,
    ) -> None:
        self._context = context
        self._registry = registry
        self._endpoints = endpoints
        self._volumes = volumes
        self._launcher = launcher
        self._images = images

    # -- stop, restart, kill

    async def stop(self, container: Container, timeout: int | None, signal: str) -> None:
        """Signal, wait, kill; NotModified when it does not run."""
        number = parse_signal(signal or container.config.stop_signal or "TERM")
        async with container.lock:
            if container.status is Status.RESTARTING:
                container.record.manually_stopped = True
                self._launcher.give_up(container)
                container.emit("stop")
                return
            if not container.alive:
                raise NotModified()
            container.record.manually_stopped = True
            container.stopping += 1
            container.save()
        try:
            await self._end(container, number, _timeout(container, timeout))
        finally:
            container.stopping -= 1

    async def _end(self, container: Container, number: int, limit: float | None) -> None:
        exited = container.wait("next-exit")
        await self._signal(container, number)
        if await _within(exited, limit):
            return
        await self._signal(container, KILL)
        if not await _within(exited, KILL_LIMIT):
            raise EngineError(f"cannot stop container: {container.name}: it did not end after signal 9")

    async def _signal(self, container: Container, number: int) -> None:
        """Deliver a signal; a paused container is resumed so that it can act on it."""
        process = container.process
        if process is None:
            return
        container.emit("kill", signal=str(number))
        try:
            process.signal(number)
        except ProcessLookupError:
            return
        if container.status is Status.PAUSED and _ends(container, number):
            async with container.lock:
                if container.status is Status.PAUSED:
                    await self._resume(container)

    async def restart(self, container: Container, timeout: int | None, signal: str) -> None:
        """Stop if need be, then start; AutoRemove waits for another end."""
        container.restarting += 1
        try:
            with suppress(NotModified):
                await self.stop(container, timeout, signal)
        finally:
            container.restarting -= 1
        try:
            with suppress(NotModified):
                await self._launcher.start(container)
        except BaseException:
            if container.record.has_run:
                self._launcher.end(container)
            raise
        container.emit("restart")

    async def kill(self, container: Container, signal: str) -> None:
        """Send a signal; a killing one waits for the exit, as Docker does. One that waits to be restarted gives up."""
        number = parse_signal(signal or "KILL")
        async with container.lock:
            if not container.running:
                raise Conflict(f"container {container.id} is not running")
            if _ends(container, number):
                container.record.manually_stopped = True
                if container.status is Status.RESTARTING:
                    self._launcher.give_up(container)
                container.save()
            if not container.alive:
                return
        exited = container.wait("next-exit")
        await self._signal(container, number)
        if number == KILL and not await _within(exited, KILL_LIMIT):
            raise EngineError("it did not end after signal 9")

    # -- pause

    async def pause(self, container: Container) -> None:
        """Stop its clock."""
        async with container.lock:
            if container.status is Status.PAUSED:
                raise Conflict(f"container {container.id} is already paused")
            container.require_alive()
            await self._context.drivers.lifecycle.pause(container.id)
            container.move(Happening.PAUSE)
            container.save()
            container.emit("pause")

    async def unpause(self, container: Container) -> None:
        """Let it go on."""
        async with container.lock:
            if container.status is not Status.PAUSED:
                raise EngineError(f"Container {container.id} is not paused")
            await self._resume(container)

    async def _resume(self, container: Container) -> None:
        await self._context.drivers.lifecycle.unpause(container.id)
        container.move(Happening.UNPAUSE)
        container.save()
        container.emit("unpause")

    # -- rename, update, resize

    async def rename(self, container: Container, name: str) -> None:
        """Give it another name; DNS follows."""
        if not name:
            raise InvalidArgument("Neither old nor new names may be empty")
        async with container.lock:
            container.require_kept()
            old = container.name
            if name.removeprefix("/") == old:
                raise InvalidArgument("Renaming a container with the same name as its current name")
            try:
                bare = names.check_name(f"/{name.removeprefix('/')}")
                self._registry.reserve(bare, container.id)
            except EngineError as error:
                raise type(error)(f"Error when allocating new name: {error.message}") from None
            container.record.name = bare
            try:
                container.save()
            except BaseException:
                container.record.name = old
                self._registry.release(bare)
                raise
            self._registry.release(old)
            await self._endpoints.renamed(container)
            container.emit("rename", oldName=f"/{old}")

    async def update(self, container: Container, changes: t.Json) -> list[str]:
        """Change resources and restart policy; both take effect at once."""
        async with container.lock:
            container.require_kept()
            changed = updates.changed(changes)
            whole = {**container.record.host_config, **changed}
            host = view(whole, HostConfig)
            if "RestartPolicy" in changed:
                updates.check_policy(host)
            validate.check_resources(view(changed, HostConfig), update=True)
            updates.check_conflicts(container.id, container.record.host_config, changed)
            if container.alive:
                await self._context.drivers.lifecycle.update(container.id, limits(host))
            container.record.host_config = whole
            container.save()
            container.emit("update")
        drivers = self._context.drivers
        return validate.warnings(changed, drivers.honours, drivers.name)

    def resize(self, container: Container, height: int, width: int) -> None:
        """Tell its terminal a new size."""
        container.require_alive().resize(height, width)
        container.emit("resize", height=str(height), width=str(width))

    # -- remove

    async def remove(self, container: Container, force: bool, volumes: bool) -> None:
        """Remove it and all that belongs to it; when this returns nothing of it is left."""
        _refuse_twice(container)
        async with container.lock:  # a start that has begun is over now
            _refuse_twice(container)
            if container.running and not force:
                raise _runs(container)
            container.removing = container.record.manually_stopped = True
            if container.status is Status.RESTARTING:
                self._launcher.give_up(container)
        try:
            await self._stop_for_removal(container)
            async with container.lock:
                await self._tear_down(container, volumes)
        except BaseException:
            container.removing = False
            raise

    async def _stop_for_removal(self, container: Container) -> None:
        if container.alive:
            exited = container.wait("next-exit")
            await self._signal(container, KILL)
            if not await _within(exited, KILL_LIMIT):
                raise EngineError(f'cannot remove container "{container.name}": could not kill: it still runs')

    async def _tear_down(self, container: Container, volumes: bool) -> None:
        container.record.volumes_go = volumes or container.host.auto_remove
        container.begin(Happening.REMOVE)
        try:
            container.hub.close()
            await self._context.drivers.lifecycle.release(container.id)
            await asyncio.to_thread(_remove_directory, container)
        except (EngineError, OSError) as error:
            container.move(Happening.REMOVE_FAILED)
            container.record.state.error = str(error)
            container.save()
            container.announce("removed", error=str(error))
            raise EngineError(f'cannot remove container "{container.name}": {error}') from error
        with self._context.store.transaction():
            self._context.store.delete("container", container.id)
            for exec_id in container.execs:
                self._context.store.delete("exec", exec_id)
        self._registry.remove(container)
        container.gone = True
        if container.record.volumes_go:
            for mount in container.record.mounts:
                if mount.volume:
                    await self._volumes.remove_anonymous(mount.volume)
        await self._images.release(container.record.image)
        container.emit("destroy")
        container.announce("removed", "not-running", "next-exit")

    @staticmethod
    def remove_link(container: Container, alias: str) -> None:
        """Docker's DELETE with link=1: forget a legacy link of a container."""
        if not alias:
            raise EngineError("Conflict, cannot remove the default link name of the container")
        container.require_kept(what="unlinked")
        kept = [link for link in container.host.links or () if parse_link(link)[1] != alias]
        container.record.host_config = {**container.record.host_config, "Links": kept}
        container.save()

    async def auto_remove(self, container: Container) -> None:
        """AutoRemove at exit: anonymous volumes go too. Someone else may be removing it already."""
        try:
            await self.remove(container, force=False, volumes=True)
        except Conflict:
            pass

    async def prune(self, filters: t.Filters) -> t.Pruned:
        """Remove every container that does not run."""
        check_keys(filters, {"label", "label!", "until"})
        limit = until(filters, self._context.clock())
        gone, freed = [], 0
        for container in self._registry:
            labels = container.record.config.get("Labels")
            if container.running or container.removing or (limit is not None and container.record.created > limit):
                continue
            if not labels_match(filters.get("label", ()), labels):
                continue
            if filters.get("label!") and labels_match(filters["label!"], labels):
                continue
            size, _ = (await sizes(self._context.drivers.files, [container])).get(container.id, (0, 0))
            try:
                await self.remove(container, force=False, volumes=False)
            except Conflict:
                continue  # someone starts or removes it
            except EngineError as error:
                logger.error("container %s is not pruned: %s", container.id, error.message)
                continue
            freed += size
            gone.append(container.id)
        self._context.events.pruned("container", freed)
        return t.Pruned(deleted=gone, space_reclaimed=freed)


def _refuse_twice(container: Container) -> None:
    if container.removing:
        raise Conflict(f"removal of container {container.id} is already in progress")


def _runs(container: Container) -> Conflict:
    how = "stop the container before removing or force remove"
    if container.status is Status.PAUSED:
        how = f"unpause and {how}"
    return Conflict(f'cannot remove container "{container.name}": container is {container.status}: {how}')


def _ends(container: Container, number: int) -> bool:
    """Whether a signal means the end: its next exit is no failure, and it is resumed. As in Docker any that may."""
    stop = container.config.stop_signal
    return number == KILL or not stop or number == parse_signal(stop)


def _timeout(container: Container, asked: int | None) -> float | None:
    """Seconds to wait before killing; None = for ever."""
    seconds = asked if asked is not None else container.config.stop_timeout
    seconds = STOP_TIMEOUT if seconds is None else seconds
    return None if seconds < 0 else float(seconds)


async def _within(future: asyncio.Future[t.ExitResult], limit: float | None) -> bool:
    done, _ = await asyncio.wait([future], timeout=limit)
    return bool(done)


def _remove_directory(container: Container) -> None:
    try:
        remove_tree(container.directory)
    except FileNotFoundError:
        if container.directory.exists():
            raise
