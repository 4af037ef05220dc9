"""Builds of one worker: from the request to the stream of lines, and what they keep."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from backends.api import types as t
from backends.api.errors import EngineError, InvalidArgument
from backends.core.build.builder import Builder, build_arguments
from backends.core.build.cache import Cache, Entry
from backends.core.build.cachemounts import CacheMounts, Kept
from backends.core.build.commit import commit
from backends.core.build.context import BuildContext, bare_context, is_tar, open_context, receive
from backends.core.build.output import Output
from backends.core.build.parts import Job, Parts, StepFailed
from backends.core.build.remote import clone, fetch, is_git, is_url
from backends.core.build.tree import Trees
from backends.core.filters import check_keys, until
from backends.core.images import image_failures
from backends.core.validate import check_platform
from sandbox.images.dockerfile import Dockerfile, DockerfileError, SyntaxFailure, parse
from sandbox.images.errors import ImageError
from sandbox.images.image import Image
from sandbox.images.reference import Reference
from sandbox.images.reference import parse as parse_reference
from sandbox.images.threads import in_thread

if TYPE_CHECKING:
    from backends.core.context import Context
    from backends.core.control import Control
    from backends.core.create import Creator
    from backends.core.images import Images
    from backends.core.launch import Launcher
    from backends.core.registry import Registry
    from backends.core.transfer import Transfer

logger = logging.getLogger(__name__)


class BuildStream(AsyncIterator[t.Progress]):
    """The lines of a build that goes on beside it. Closing it ends the build."""

    def __init__(self, task: asyncio.Task[None], output: Output) -> None:
        self._task = task
        self._lines = output.lines()

    async def __anext__(self) -> t.Progress:
        return await anext(self._lines)

    async def aclose(self) -> None:
        """Cancel the build, unless it has ended, and wait until nothing is left of it."""
        self._task.cancel()
        await asyncio.wait((self._task,))


class Builds:
    """Docker's /build, /commit and /build/prune."""

    def __init__(
        self,
        context: Context,
        registry: Registry,
        creator: Creator,
        launcher: Launcher,
        control: Control,
        transfer: Transfer,
        images: Images,
        version: str,
        *,
        add_urls: bool,
    ) -> None:
        mounts = CacheMounts(context.directory / "build-cache", context.clock)
        trees = Trees(context.images)
        self._context = context
        self._parts = Parts(
            context, registry, creator, launcher, control, transfer, images, trees, mounts, version, add_urls
        )

    async def build(self, body: AsyncIterator[bytes], request: t.BuildImage) -> AsyncIterator[t.Progress]:
        """Read the context and the Dockerfile, then build; what is wrong with those is raised here."""
        check_platform(request.platform)
        references = _references(request.tags)
        stack = ExitStack()
        try:
            scratch = stack.enter_context(self._context.images.disk.scratch())
            with image_failures():
                found = await self._open(body, request, scratch)
            dockerfile = _dockerfile(found, request)
            output = Output(request.quiet)
            job = Job(
                parts=self._parts,
                request=request,
                context=found,
                scratch=scratch,
                output=output,
                cache=Cache(self._context.store, self._context.images, self._sources(request), request.no_cache),
                arguments=build_arguments(request.build_args, request.platform),
                escape=dockerfile.escape,
            )
        except BaseException:
            stack.close()
            raise
        task = self._context.spawn(self._run(job, dockerfile, references, stack), "build")
        return BuildStream(task, output)

    async def _open(self, body: AsyncIterator[bytes], request: t.BuildImage, scratch: Path) -> BuildContext:
        path = scratch / "context"
        remote = request.remote
        if not remote:
            await receive(body, path)
            return await in_thread(open_context, path, request.dockerfile, False)
        if is_git(remote):
            await clone(remote, scratch, path)
        elif is_url(remote):
            await fetch(remote, path)
            if not await in_thread(is_tar, path):
                return bare_context(path.read_bytes())
        else:
            raise InvalidArgument(f"remote ({remote}) could not be recognized as URL")
        return await in_thread(open_context, path, request.dockerfile, True)

    def _sources(self, request: t.BuildImage) -> list[Image] | None:
        if not request.cache_from:
            return None
        found: list[Image] = []
        for name in request.cache_from:
            try:
                found.append(self._context.images.resolve(name))
            except ImageError as error:
                logger.info("a cache source is not usable", extra={"reason": error.message})
        return found

    async def _run(self, job: Job, dockerfile: Dockerfile, references: list[Reference], stack: ExitStack) -> None:
        builder = Builder(job, dockerfile)
        output = job.output
        try:
            with image_failures():
                image = await builder.build()
                await output.say(f"Successfully built {image.id.removeprefix('sha256:')[:12]}\n")
                await self._name(image, references, output)
            quiet = t.Progress(stream=f"{image.id}\n") if job.request.quiet else None
            await output.finish(quiet, failed=False)
        except asyncio.CancelledError:
            await builder.remove_containers()
            raise
        except (EngineError, DockerfileError, OSError) as error:
            await output.finish(_failure(error), failed=True)
        except Exception as error:
            logger.exception("a build failed")
            await output.finish(_failure(EngineError(f"internal error: {error!r}")), failed=True)
        finally:
            await asyncio.to_thread(stack.close)

    async def _name(self, image: Image, references: list[Reference], output: Output) -> None:
        for reference in references:
            await self._parts.images.tag(image.id, reference.familiar_name, reference.tag or "")
            await output.say(f"Successfully tagged {reference.familiar}\n")

    async def commit(self, ref: str, request: t.CommitContainer) -> str:
        """Docker's POST /commit; the image's id."""
        return await self._context.complete(commit(self._parts, self._parts.registry.find(ref), request))

    async def usage(self) -> list[Kept]:
        """What ``docker system df`` calls the build cache."""
        return await in_thread(self._parts.cache_mounts.kept)

    async def prune(self, filters: t.Filters, all: bool, keep: t.KeepCache) -> t.Pruned:
        """Docker's POST /build/prune: cache mounts nobody uses, and what is remembered of images that are gone.

        The steps' images are images: ``docker image prune`` removes them. With ``all`` the steps are forgotten too.
        """
        check_keys(filters, {"id", "type", "until", "unused-for"})
        limit = until({"until": filters.get("until") or filters.get("unused-for") or []}, self._context.clock())
        gone: list[str] = []
        freed = 0
        caches = await self.usage()
        used = sum(kept.size for kept in caches)
        leave = _leave(used, shutil.disk_usage(self._context.directory).free, keep)
        for kept in sorted(caches, key=lambda kept: kept.used):
            wrong = any(value not in _described(kept).get(key, ()) for key in filters for value in filters[key]
                        if key in ("id", "type"))  # fmt: skip
            if kept.in_use or wrong or (limit is not None and kept.used > limit) or used - freed <= leave:
                continue
            await in_thread(self._parts.cache_mounts.remove, kept.id)
            gone.append(kept.id)
            freed += kept.size
        self._forget(all and not filters)
        self._context.events.pruned("builder", freed)
        return t.Pruned(deleted=gone, space_reclaimed=freed)

    def _forget(self, everything: bool) -> None:
        known = set(self._context.images.ids())
        store = self._context.store
        with store.transaction():
            for entry in store.all("build", Entry):
                if everything or entry.image not in known:
                    store.delete("build", entry.key)


def _leave(used: int, free: int, keep: t.KeepCache) -> int:
    """How many bytes may stay, -1 = none at all (BuildKit's calculateKeepBytes)."""
    if keep == t.KeepCache():
        return -1
    leave = keep.max_used_space
    if (missing := keep.min_free_space - free) > 0:
        leave = min(leave, used - missing) if leave else used - missing
    return max(leave, keep.reserved_space)


def _described(kept: Kept) -> dict[str, tuple[str, ...]]:
    return {"id": (kept.id,), "type": ("exec.cachemount",)}


def _references(tags: list[str]) -> list[Reference]:
    with image_failures():
        found = [parse_reference(tag).tagged() for tag in tags if tag]
        if any(reference.digest for reference in found):
            raise InvalidArgument("build tag cannot contain a digest")
    return list(dict.fromkeys(found))


def _dockerfile(context: BuildContext, request: t.BuildImage) -> Dockerfile:
    try:
        found = parse(context.dockerfile)
        if request.target:
            found = found.until(request.target)
    except SyntaxFailure as error:
        raise InvalidArgument(f"failed to parse {context.name}: {error}") from None
    except DockerfileError as error:
        raise InvalidArgument(str(error)) from None
    return found.labelled(request.labels)


def _failure(error: Exception) -> t.Progress:
    message = error.message if isinstance(error, EngineError) else str(error)
    detail: t.Json = {"message": message}
    if isinstance(error, StepFailed):
        detail = {"code": error.code, "message": message}
    return t.Progress(errorDetail=detail, error=message)
