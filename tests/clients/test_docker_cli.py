"""The docker CLI says the same on our engine as on Debian's dockerd: exit codes, standard output, standard error."""

from __future__ import annotations

import pytest

from tests.clients import scripts
from tests.clients.engine import Engine
from tests.parity import differences

SCRIPTS = sorted(path.stem for path in scripts.FOLDER.glob("*.sh"))


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS)
def test_script(script: str, ours: Engine, oracle: Engine) -> None:
    theirs = scripts.play(oracle, script)
    mine = scripts.play(ours, script)
    problems = [
        problem
        for my_step, their_step in zip(mine, theirs, strict=True)
        for problem in differences.undeclared("cli", f"{script}: {my_step.line}", my_step.parts, their_step.parts)
    ]
    assert not problems, "\n" + "\n".join(problems)


def test_differences_name_steps_that_exist() -> None:
    steps = {f"{script}: {line}" for script in SCRIPTS for line in scripts.labels(script)}
    assert {what for what, _ in differences.load("cli")} <= steps
