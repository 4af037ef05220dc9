"""A whole Dockerfile: its global arguments and its stages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from sandbox.images.dockerfile.errors import DockerfileError, InstructionFailure
from sandbox.images.dockerfile.instructions import Arg, Instruction, Label, Stage
from sandbox.images.dockerfile.lines import Line, read_lines
from sandbox.images.dockerfile.reading import read_instruction


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """``arguments`` are the ARGs before the first FROM; ``escape`` the escape character; ``warnings`` for the user."""

    arguments: tuple[Arg, ...]
    stages: tuple[Stage, ...]
    escape: str = "\\"
    warnings: tuple[str, ...] = ()
    directives: tuple[tuple[str, str], ...] = ()

    def until(self, target: str) -> Dockerfile:
        """The stages up to the one named or numbered ``target``; DockerfileError."""
        names = [stage.name for stage in self.stages]
        index = names.index(target.lower()) if target.lower() in names else -1
        if index < 0 and target.isascii() and target.isdigit() and len(target) <= 20:
            index = int(target)
        if not 0 <= index < len(self.stages):
            raise DockerfileError(f"failed to reach build target {target} in Dockerfile")
        return replace(self, stages=self.stages[: index + 1])

    def labelled(self, labels: Mapping[str, str]) -> Dockerfile:
        """With one LABEL instruction for each of ``labels`` at the end of the last stage, in the order of names."""
        last = self.stages[-1]
        extra = tuple(
            Label(f"LABEL {name}={value}", last.line, ((name, value),), literal=True)
            for name, value in sorted(labels.items())
        )
        return replace(self, stages=(*self.stages[:-1], replace(last, instructions=last.instructions + extra)))


def parse(text: str) -> Dockerfile:
    """Read a Dockerfile; SyntaxFailure or InstructionFailure, DockerfileError if it has no stage."""
    lines = read_lines(text)
    arguments: list[Arg] = []
    stages: list[Stage] = []
    pending: list[Instruction] = []

    def close() -> None:
        if stages:
            stages[-1] = replace(stages[-1], instructions=tuple(pending))
        pending.clear()

    for line in lines.lines:
        found = _read(line)
        if isinstance(found, Stage):
            close()
            stages.append(found)
        elif stages:
            pending.append(found)
        elif isinstance(found, Arg):
            arguments.append(found)
        else:
            raise DockerfileError("no build stage in current context")
    close()
    if not stages:
        raise DockerfileError("dockerfile contains no stages to build")
    return Dockerfile(
        tuple(arguments), tuple(stages), lines.escape, tuple(lines.warnings), tuple(lines.directives.items())
    )


def parse_changes(lines: list[str], allowed: frozenset[str]) -> tuple[Instruction, ...]:
    """Read the instructions of ``docker commit --change``; DockerfileError names one that is not ``allowed``."""
    if not lines:
        return ()
    found = read_lines("\n".join(lines)).lines
    for line in found:
        if line.words.name.lower() not in allowed:
            raise DockerfileError(f"{line.words.name.lower()} is not a valid change command")
    read = [read_instruction(line) for line in found]
    return tuple(instruction for instruction in read if isinstance(instruction, Instruction))


def parse_trigger(text: str) -> Instruction:
    """Read what an image's ONBUILD holds; DockerfileError."""
    lines = read_lines(text).lines
    if len(lines) != 1:
        raise DockerfileError("onbuild trigger should be a single expression")
    found = read_instruction(lines[0])
    if isinstance(found, Stage):
        raise DockerfileError("FROM isn't allowed as an ONBUILD trigger")
    return found


def _read(line: Line) -> Instruction | Stage:
    try:
        return read_instruction(line)
    except DockerfileError as error:
        raise InstructionFailure(str(error), line.number) from None
