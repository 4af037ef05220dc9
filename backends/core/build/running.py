"""RUN: a command carried out in a container of the stage's image, and what it changed as the next layer."""

from __future__ import annotations

import os
from contextlib import AsyncExitStack

from backends.api.errors import InvalidArgument, Unsupported
from backends.api.framing import Deframer
from backends.api.types import Json
from backends.core.build.layers import container_layer
from backends.core.build.output import ProcessOutput
from backends.core.build.parts import Job, StageState, StepFailed
from backends.core.build.runmounts import RunMounts, identify_mounts, prepare_mounts
from backends.core.build.steps import Steps
from sandbox.images.dockerfile.instructions import CommandLine, InlineFile, Run
from sandbox.images.dockerfile.mounts import parse_mount

_SCRIPTS = "/run/heredoc"
_NETWORKS = ("", "default", "none", "host")


async def run(steps: Steps, state: StageState, instruction: Run) -> None:
    """Carry out a RUN; StepFailed if its command fails."""
    job = steps.job
    _check(instruction)
    mounts = [parse_mount(text) for text in instruction.mounts]
    command, script = _command(state, instruction.command)
    arguments = job.arguments.allowed(state.draft.config.get("Env") or ())
    config = steps.with_command(state, _identity(job, command, arguments))
    config["Entrypoint"] = None
    more = await identify_mounts(job, instruction.mounts, mounts)
    more += [f"network={instruction.network}"] if instruction.network not in ("", "default") else []
    if await steps.cached(state, config, more):
        return
    async with AsyncExitStack() as stack:
        found = await prepare_mounts(job, mounts, state.draft.config.get("WorkingDir") or "/", stack)
        if script is not None:
            _mount_script(job, found, script)
        environment = [f"{name}={value}" for name, value in arguments.items()]
        running: Json = {
            **config,
            "Cmd": command,
            "Entrypoint": [""] if command else None,  # RUN [] runs what the image would
            "Env": [*(state.draft.config.get("Env") or ()), *environment, *found.environment],
            "Healthcheck": {"Test": ["NONE"]},
        }
        container = await steps.create(state, running, _host_config(job, instruction, found))
        if any(mount["Type"] == "bind" for mount in found.mounts):
            job.fleeting.add(container)
        code = await _execute(job, container)
        if code:
            raise StepFailed(f"The command '{' '.join(command)}' returned a non-zero code: {code}", code)
        layer = await container_layer(job.parts.context, container, found.points)
    await steps.commit(state, config, container, layer, more)


def _check(instruction: Run) -> None:
    if instruction.network not in _NETWORKS:
        raise InvalidArgument(f'unsupported network mode "{instruction.network}"')
    if instruction.security not in ("", "sandbox"):
        raise Unsupported(f"RUN --security={instruction.security} is not supported")


def _command(state: StageState, line: CommandLine) -> tuple[list[str], InlineFile | None]:
    """The words to run. A single here-document without a command is a script: the shell's, or its #! line's own."""
    if not line.files:
        return state.draft.command(line), None
    text = line.words[0]
    only = line.files[0]
    if len(line.files) == 1 and text.lstrip("0123456789").startswith("<<") and len(text.split()) == 1:
        if only.content.startswith("#!"):
            return [f"{_SCRIPTS}/{only.name}"], only
        return [*state.draft.shell, only.content], None
    documents = "".join(f"{file.content}{file.name}\n" for file in line.files)
    return [*state.draft.shell, f"{text}\n{documents}"], None


def _mount_script(job: Job, found: RunMounts, script: InlineFile) -> None:
    place = job.place("script")
    place.write_text(script.content, encoding="utf-8", errors="surrogateescape")
    os.chmod(place, 0o755)
    found.add("bind", f"{_SCRIPTS}/{script.name}", Source=str(place), ReadOnly=True)


def _identity(job: Job, command: list[str], arguments: dict[str, str]) -> list[str]:
    """The command as the history and the cache know it: the build arguments it runs with come first."""
    if not arguments:
        return command
    shown = sorted(f"{name}={value}" for name, value in arguments.items() if job.arguments.shown(name))
    return [f"|{len(shown)}", *shown, *command]


def _host_config(job: Job, instruction: Run, found: RunMounts) -> Json:
    request = job.request
    host: Json = {**request.host_config}
    if request.network_mode:
        host["NetworkMode"] = request.network_mode
    if instruction.network in ("none", "host"):
        host["NetworkMode"] = instruction.network
    if request.extra_hosts:
        host["ExtraHosts"] = list(request.extra_hosts)
    if found.mounts:
        host["Mounts"] = found.mounts
    return host


async def _execute(job: Job, container_id: str) -> int:
    parts = job.parts
    container = parts.registry.find(container_id)
    stream = container.hub.attach(stdin=False, stdout=True, stderr=True, logs=False, stream=True, detach_keys=b"")
    finished = container.wait("next-exit")
    try:
        await parts.launcher.start(container)
        text, deframer = ProcessOutput(job.output), Deframer()
        while data := await stream.read():
            for number, piece in deframer.feed(data):
                await text.write(number, piece)
        await text.end()
        return (await finished).status_code
    finally:
        finished.cancel()
        await stream.close()
