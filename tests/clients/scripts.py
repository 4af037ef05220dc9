"""Scripts of docker CLI commands, a step a line, that run on two engines and have to say the same on both."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.clients.engine import Engine
from tests.oracle.tools import tool
from tests.parity.normalise import normalise

FOLDER = Path(__file__).parent / "cli"
STEP_SECONDS = 60
"""A step that takes longer is ended and its exit code is 124."""


@dataclass(frozen=True)
class Step:
    """One line of a script (numbered where it comes again) and what it gave, normalised."""

    line: str
    parts: dict[str, str]


def lines(script: str) -> list[str]:
    text = (FOLDER / f"{script}.sh").read_text()
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def labels(script: str) -> list[str]:
    """The names of a script's steps: its lines, the second and later occurrence of one numbered."""
    every = lines(script)
    counts = [every[: index + 1].count(line) for index, line in enumerate(every)]
    return [line if count == 1 else f"{line} #{count}" for line, count in zip(every, counts, strict=True)]


def play(engine: Engine, script: str) -> list[Step]:
    """Runs every line with `sh -c` in one new folder. The engine is emptied before and after."""
    empty(engine)
    with tempfile.TemporaryDirectory() as folder:
        parts = [_parts(engine, Path(folder), line) for line in lines(script)]
    empty(engine)
    return [Step(label, found) for label, found in zip(labels(script), parts, strict=True)]


def empty(engine: Engine) -> None:
    """Removes all containers, volumes and user networks."""
    for listing, removal in (
        (("ps", "--all", "--quiet"), ("rm", "--force", "--volumes")),
        (("volume", "ls", "--quiet"), ("volume", "rm", "--force")),
        (("network", "ls", "--quiet", "--filter", "type=custom"), ("network", "rm")),
    ):
        found = engine.ok(*listing).split()
        if found:
            engine.ok(*removal, *found)


def _parts(engine: Engine, folder: Path, line: str) -> dict[str, str]:
    bounded = [tool("timeout"), "-k", "1", str(STEP_SECONDS), "sh", "-c", line]
    result = engine.run(bounded, cwd=folder, timeout=2 * STEP_SECONDS)
    parts = {"code": str(result.code), "stdout": result.stdout, "stderr": result.stderr}
    return {part: normalise(text.replace(str(folder), "<folder>")) for part, text in parts.items()}
