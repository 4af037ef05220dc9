"""One build from its parsed Dockerfile to its tagged image."""

from __future__ import annotations

from backends.api.errors import EngineError, InvalidArgument
from backends.core.build.arguments import BuildArguments, platform_arguments
from backends.core.build.bases import find_base
from backends.core.build.draft import Draft
from backends.core.build.images import config_of
from backends.core.build.parts import Job, StageState
from backends.core.build.running import run
from backends.core.build.steps import Steps, change_config, change_directory, declare_arguments
from backends.core.build.transferring import copy
from backends.core.environment import PATH
from backends.core.validate import check_platform
from sandbox.images.dockerfile import Dockerfile, DockerfileError, Expander, parse_trigger
from sandbox.images.dockerfile.instructions import Add, Arg, Copy, Instruction, Run, Stage, Workdir
from sandbox.images.image import Image
from sandbox.images.platforms import Platform


def target_platform(wanted: str) -> Platform:
    """What a build is for ("" = this machine); what ``wanted`` leaves out is this machine's. InvalidArgument."""
    here = Platform.local()
    system, architecture, variant = check_platform(wanted)
    return Platform.of(system or here.os, architecture or here.architecture, variant)


def build_arguments(given: dict[str, str | None], wanted: str) -> BuildArguments:
    """The arguments of a build for a platform ("" = this machine's)."""
    return BuildArguments(given, platform_arguments(target_platform(wanted), Platform.local()))


class Builder:
    """Carries out the stages in order; only the last one's image counts in the end."""

    def __init__(self, job: Job, dockerfile: Dockerfile) -> None:
        self._job = job
        self._dockerfile = dockerfile
        self._steps = Steps(job)
        self._number = 0
        stages = dockerfile.stages
        self._total = len(dockerfile.arguments) + sum(1 + len(stage.instructions) for stage in stages)

    async def build(self) -> Image:
        """Build all stages; EngineError, DockerfileError. Intermediate containers are removed as asked for."""
        job = self._job
        if self._dockerfile.warnings:
            text = "\n".join(self._dockerfile.warnings)
            await job.output.say(f"\033[91m{text}\n\033[0m")
        for instruction in self._dockerfile.arguments:
            await self._announce(instruction.code)
            found = instruction.expanded(Expander(job.arguments.globals(), job.escape))
            for name, default in found.arguments:
                job.arguments.declare_global(name, default)
        image: Image | None = None
        for stage in self._dockerfile.stages:
            image = await self._stage(stage)
        unused = job.arguments.unused()
        if unused:
            await job.output.say(f"[Warning] One or more build-args [{' '.join(unused)}] were not consumed\n")
        if image is None:
            raise EngineError("No image was generated. Is your Dockerfile empty?")
        return image

    async def remove_containers(self) -> None:
        """Remove what a cancelled build has left."""
        await self._steps.remove_containers()

    async def _announce(self, code: str) -> None:
        self._number += 1
        await self._job.output.say(f"Step {self._number}/{self._total} : {code}")
        await self._job.output.say("\n")

    async def _stage(self, stage: Stage) -> Image | None:
        job = self._job
        if stage.name and stage.name in (name for name, _ in job.stages):
            raise InvalidArgument(f"{stage.name} stage name already used")
        await self._announce(stage.code)
        job.arguments.begin_stage()
        state = await self._begin(stage)
        await job.output.say(f" ---> {state.short_id}\n")
        for instruction in stage.instructions:
            await self._announce(instruction.code)
            await self._dispatch(state, instruction)
            await job.output.say(f" ---> {state.short_id}\n")
        if state.image is not None:
            await job.output.image(state.image.id)
        job.stages.append((stage.name, state.image))
        return state.image

    async def _begin(self, stage: Stage) -> StageState:
        expander = Expander(self._job.arguments.globals(), self._job.escape)
        base = expander.word(stage.base)
        if not base:
            raise InvalidArgument(f"base name ({stage.base}) should not be blank")
        wanted = expander.word(stage.platform)
        if stage.platform and not wanted:
            raise InvalidArgument(f"empty platform value from expression {stage.platform}")
        wanted = wanted or self._job.request.platform
        names = [name for name, _ in self._job.stages]
        if base.lower() in names:
            image = self._job.stages[names.index(base.lower())][1]
        else:
            image = await find_base(self._job, base, wanted)
        config = config_of(image)
        environment = config.get("Env") or []
        if not any(entry.startswith("PATH=") for entry in environment):
            config["Env"] = [*environment, PATH]
        config["OpenStdin"] = config["StdinOnce"] = False
        state = StageState(image, Draft(config), target_platform(wanted))
        self._job.cache.begin_stage(state.platform)
        triggers, config["OnBuild"] = config.get("OnBuild") or [], None
        await self._trigger(state, triggers)
        return state

    async def _trigger(self, state: StageState, triggers: list[str]) -> None:
        if not triggers:
            return
        plural = "s" if len(triggers) > 1 else ""
        await self._job.output.say(f"# Executing {len(triggers)} build trigger{plural}\n")
        for text in triggers:
            await self._dispatch(state, parse_trigger(text))

    async def _dispatch(self, state: StageState, instruction: Instruction) -> None:
        failed = True
        try:
            expanded = instruction.expanded(state.expander(self._job))
            match expanded:
                case Run():
                    await run(self._steps, state, expanded)
                case Copy() | Add():
                    await copy(self._steps, state, expanded)
                case Workdir():
                    await change_directory(self._steps, state, expanded)
                case Arg():
                    await declare_arguments(self._steps, state, expanded)
                case _:
                    await change_config(self._steps, state, expanded)
            failed = False
        except DockerfileError as error:
            raise InvalidArgument(str(error)) from None
        finally:
            await self._steps.clean(failed)
