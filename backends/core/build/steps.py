"""The instructions of a stage, carried out: each one ends in an image, found in the cache or made."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from backends.api import types as t
from backends.api.errors import EngineError, InvalidArgument, NotFound
from backends.api.types import Json
from backends.core.build.images import Step, make_child
from backends.core.build.layerdraft import LayerDraft
from backends.core.build.layers import store_layer
from backends.core.build.parts import Job, StageState
from backends.core.build.tree import NotADirectory
from backends.core.images import announce
from sandbox.images.dockerfile.instructions import Arg, Instruction, Workdir
from sandbox.images.image import Image
from sandbox.images.threads import in_thread

NO_LOG: Json = {"LogConfig": {"Type": "none", "Config": {}}}


class Steps:
    """What all kinds of steps need: probing the cache, intermediate containers, committing."""

    def __init__(self, job: Job) -> None:
        self.job = job

    def with_command(self, state: StageState, command: list[str]) -> Json:
        """The config of the container that carries out a step."""
        return {**state.draft.config, "Cmd": command, "Image": state.image_id}

    def comment(self, state: StageState, *words: str) -> list[str]:
        """The command that stands for a step without one."""
        return [*state.draft.shell, *words]

    async def cached(self, state: StageState, config: Json, more: Sequence[str] = ()) -> bool:
        """Take the step's image from the cache, if it is there."""
        image = await asyncio.to_thread(self.job.cache.find, state.image, config, more)
        if image is None:
            return False
        await self.job.output.say(" ---> Using cache\n")
        state.image = image
        return True

    async def create(self, state: StageState, config: Json, host_config: Json) -> str:
        """Make an intermediate container."""
        request = t.CreateContainer(config=config, host_config={**host_config, **NO_LOG})
        created = await self.job.parts.creator.create(request)
        self.job.containers.append(created.id)
        for warning in created.warnings:
            await self.job.output.say(f" ---> [Warning] {warning}\n")
        await self.job.output.say(f" ---> Running in {created.id[:12]}\n")
        return created.id

    async def commit(
        self, state: StageState, config: Json, container: str, layer: str, more: Sequence[str] = ()
    ) -> None:
        """Make the step's image and remember it."""
        step = Step(
            config={**state.draft.config, "Image": state.image_id},
            container_config=config,
            command=" ".join(config["Cmd"] or ()),
            layer=layer,
            container=container,
            author=state.draft.author,
            platform=state.platform,
        )
        parent = state.image
        state.image = await in_thread(self._make, parent, step)
        announce(self.job.parts.context, "create", state.image.id, state.image.id)
        self.job.cache.record(parent, config, state.image, more)

    def _make(self, parent: Image | None, step: Step) -> Image:
        context = self.job.parts.context
        return make_child(context.images, parent, step, context.clock, self.job.parts.version)

    async def draw_layer(self, state: StageState, work: Callable[[LayerDraft], None]) -> str:
        """Let ``work`` put files over the stage's image; the diff id of the layer, "" if nothing is new."""
        return await in_thread(self._draw, state.image, work)

    def _draw(self, image: Image | None, work: Callable[[LayerDraft], None]) -> str:
        draft = LayerDraft(self.job.tree(image), self.job.parts.context.clock())
        work(draft)
        if draft.empty:
            return ""
        path: Path = self.job.place("layer")
        with path.open("wb") as file:
            draft.write(file)
        return store_layer(self.job.parts.context.images, path)

    async def clean(self, failed: bool) -> None:
        """Remove intermediate containers as the request says, and in any case those that could not start again."""
        request, job = self.job.request, self.job
        everything = request.force_remove or (request.remove and not failed)
        await self._remove(list(job.containers if everything else job.fleeting), quietly=False)

    async def remove_containers(self) -> None:
        """Remove every intermediate container and say nothing."""
        await self._remove(list(self.job.containers), quietly=True)

    async def _remove(self, containers: Sequence[str], quietly: bool) -> None:
        parts = self.job.parts
        for container in reversed(containers):
            self.job.containers.remove(container)
            self.job.fleeting.discard(container)
            try:
                await parts.control.remove(parts.registry.find(container), force=True, volumes=True)
            except NotFound:
                continue
            except EngineError as error:
                await self.job.output.say(f"Error removing intermediate container {container[:12]}: {error.message}\n")
                return
            if not quietly:
                await self.job.output.say(f"Removing intermediate container {container[:12]}\n")


async def change_config(steps: Steps, state: StageState, instruction: Instruction) -> None:
    """An instruction that changes the config only."""
    comment = state.draft.change(instruction, state.expander(steps.job))
    for note in state.draft.notes:
        await steps.job.output.say(note)
    state.draft.notes.clear()
    await _commit_comment(steps, state, "#(nop) ", comment)


async def declare_arguments(steps: Steps, state: StageState, instruction: Arg) -> None:
    """ARG."""
    for name, default in instruction.arguments:
        steps.job.arguments.declare(name, default)
    words = (name if default is None else f"{name}={default}" for name, default in instruction.arguments)
    await _commit_comment(steps, state, "#(nop) ", f"ARG {' '.join(words)}")


async def _commit_comment(steps: Steps, state: StageState, *words: str) -> None:
    config = steps.with_command(state, steps.comment(state, *words))
    if await steps.cached(state, config):
        return
    container = await steps.create(state, config, {})
    await steps.commit(state, config, container, "")


async def change_directory(steps: Steps, state: StageState, instruction: Workdir) -> None:
    """WORKDIR: the directory is made if it is missing."""
    path = state.draft.directory(instruction.path)
    state.draft.config["WorkingDir"] = path
    config = steps.with_command(state, steps.comment(state, f"#(nop) WORKDIR {path}"))
    if await steps.cached(state, config):
        return

    def make(draft: LayerDraft) -> None:
        try:
            draft.directory(path)
        except NotADirectory:
            raise InvalidArgument(f"Cannot mkdir: {path} is not a directory") from None

    layer = await steps.draw_layer(state, make)
    container = await steps.create(state, config, {})
    await steps.commit(state, config, container, layer)
