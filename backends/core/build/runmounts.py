"""RUN --mount: what a RUN's container gets mounted, besides what every container has."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from backends.api.errors import InvalidArgument, NotFound, Unsupported
from backends.api.types import Json
from backends.core.build import tree as trees
from backends.core.build.hostfiles import provide
from backends.core.build.layerdraft import Item
from backends.core.build.parts import Job
from sandbox.images.dockerfile.instructions import RunMount
from sandbox.images.image import Image
from sandbox.images.threads import in_thread
from sandbox.images.tree import LowerNode


@dataclass
class RunMounts:
    """``mounts`` go into HostConfig, ``environment`` into the container, ``points`` not into the layer."""

    mounts: list[Json] = field(default_factory=list)
    environment: list[str] = field(default_factory=list)
    points: list[str] = field(default_factory=list)

    def add(self, kind: str, target: str, **more: object) -> None:
        """One mount of Docker's Mounts list."""
        self.mounts.append({"Type": kind, "Target": target, **more})
        self.points.append(target)


async def prepare_mounts(job: Job, wanted: list[RunMount], workdir: str, stack: AsyncExitStack) -> RunMounts:
    """Make what the mounts show; it goes with ``stack``. InvalidArgument, NotFound, Unsupported."""
    found = RunMounts()
    for mount in wanted:
        target = os.path.normpath(os.path.join("/", workdir, mount.target)) if mount.target else ""
        match mount.kind:
            case "bind":
                await _bind(job, found, mount, target)
            case "cache":
                await _cache(job, found, mount, target, stack)
            case "tmpfs":
                options = {"SizeBytes": mount.size} if mount.size else {}
                found.add("tmpfs", target, TmpfsOptions=options)
            case "secret":
                await _secret(job, found, mount, target)
            case _:
                raise Unsupported(f"RUN --mount=type={mount.kind} is not supported: the classic builder has no session")
    return found


async def identify_mounts(job: Job, texts: Sequence[str], wanted: Sequence[RunMount]) -> list[str]:
    """What of the mounts makes the RUN another one: their options, and for binds what they show."""
    found: list[str] = []
    for text, mount in zip(texts, wanted, strict=True):
        found.append(text)
        if mount.kind == "bind":
            node = await _origin(job, mount)
            found.append(await in_thread(trees.checksum, node, "", job.parts.trees.digest, lambda path: False))
    return found


async def _bind(job: Job, found: RunMounts, mount: RunMount, target: str) -> None:
    node = await _origin(job, mount)
    place = await provide(job, Item.of(node, None, None), node, job.place("bind"))
    found.add("bind", target, Source=str(place), ReadOnly=mount.read_only)


async def _cache(job: Job, found: RunMounts, mount: RunMount, target: str, stack: AsyncExitStack) -> None:
    mode = 0o755 if mount.mode is None else mount.mode

    async def make(directory: Path) -> Path:
        below = await _origin(job, mount) if mount.origin else None
        top = Item("dir", mode, mount.uid, mount.gid, job.parts.context.clock())
        return await provide(job, top, below, directory)

    use = job.parts.cache_mounts.use(mount.identity or target, mount.sharing, make)
    place = await stack.enter_async_context(use)
    found.add("bind", target, Source=str(place), ReadOnly=mount.read_only)


async def _origin(job: Job, mount: RunMount) -> LowerNode:
    if mount.origin:
        image = await source_image(job, mount.origin)
        tree = await asyncio.to_thread(job.tree, image)
    else:
        tree = job.context.tree
    node = trees.resolve(tree.root, mount.source)
    if node is None:
        raise InvalidArgument(f"failed to mount {mount.source}: no such file or directory")
    if node.kind not in ("dir", "file"):
        raise InvalidArgument(f"failed to mount {mount.source}: not a directory or a regular file")
    return node


async def source_image(job: Job, name: str) -> Image | None:
    """What --from means: a stage by name or number, or an image, pulled if need be; None is scratch."""
    from backends.core.build.bases import find_base

    names = [stage for stage, _ in job.stages]
    if name.lower() in names:
        return job.stages[names.index(name.lower())][1]
    if name.isascii() and name.isdigit():
        if int(name) == len(job.stages):
            raise InvalidArgument(f"invalid from flag value {name}: refers to current build stage")
        if int(name) > len(job.stages):
            raise InvalidArgument(f"invalid from flag value {name}: index out of bounds")
        return job.stages[int(name)][1]
    return await find_base(job, name, job.request.platform)


async def _secret(job: Job, found: RunMounts, mount: RunMount, target: str) -> None:
    identity = mount.identity or os.path.basename(mount.source or mount.target)
    source = job.request.secrets.get(identity)
    data = trees.read(job.context.tree, source) if source else None
    if data is None:
        if mount.required:
            raise NotFound(f"secret {identity}: not found")
        return
    if mount.variable:
        try:
            found.environment.append(f"{mount.variable}={data.decode()}")
        except UnicodeDecodeError:
            raise InvalidArgument(f"secret {identity} is no UTF-8 text: it cannot be a variable") from None
        if not mount.target:
            return
    mode = 0o400 if mount.mode is None else mount.mode
    file = Item("file", mode, mount.uid, mount.gid, job.parts.context.clock(), data=data)
    place = await provide(job, file, None, job.place("secret"))
    found.add("bind", target or f"/run/secrets/{identity}", Source=str(place), ReadOnly=True)
