"""The Dockerfile lines that ``docker commit --change`` and ``docker import --change`` take."""

from __future__ import annotations

import copy

from backends.api.errors import InvalidArgument
from backends.api.types import Json
from backends.core.build.draft import Draft
from sandbox.images.dockerfile import DockerfileError, Expander, parse_changes
from sandbox.images.dockerfile.instructions import Instruction, Workdir

CHANGES = frozenset(
    {"cmd", "entrypoint", "healthcheck", "env", "expose", "label", "onbuild", "user", "volume", "workdir", "stopsignal"}
)


def change_config(config: Json, changes: list[str]) -> Json:
    """A config after the lines of ``--change``; InvalidArgument in Docker's words."""
    draft = Draft(copy.deepcopy(config))
    try:
        for instruction in parse_changes(changes, CHANGES):
            _apply(draft, instruction)
    except DockerfileError as error:
        raise InvalidArgument(str(error)) from None
    return draft.config


def _apply(draft: Draft, instruction: Instruction) -> None:
    environment = dict(entry.partition("=")[::2] for entry in draft.config.get("Env") or ())
    expander = Expander(environment)
    expanded = instruction.expanded(expander)
    if isinstance(expanded, Workdir):
        draft.config["WorkingDir"] = draft.directory(expanded.path)
    else:
        draft.change(expanded, expander)
