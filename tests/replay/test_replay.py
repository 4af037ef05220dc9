"""Recorded clients replayed: every answer is the recorded one but for what differences.toml declares (`replay`)."""

from __future__ import annotations

import pytest

from tests.clients.engine import Engine
from tests.clients.scripts import empty
from tests.parity import differences
from tests.replay import images
from tests.replay.player import DATA, Player

RECORDINGS = sorted(path.stem for path in DATA.glob("*.jsonl"))


@pytest.fixture(scope="module")
def judge() -> differences.Judge:
    return differences.Judge(differences.kinds("replay"))


@pytest.fixture(scope="module")
def problems(
    ours: Engine, judge: differences.Judge, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[str] | Exception]:
    """What was not as recorded, or what ended the replay, by recording."""
    found: dict[str, list[str] | Exception] = {}
    for recording in RECORDINGS:
        empty(ours)
        player = Player(ours.socket, DATA / f"{recording}.jsonl", tmp_path_factory.mktemp("host"))
        try:
            found[recording] = _play(ours, player, recording, judge)
        except (OSError, ValueError) as error:
            found[recording] = error
    empty(ours)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("recording", RECORDINGS)
def test_recording(recording: str, problems: dict[str, list[str] | Exception]) -> None:
    found = problems[recording]
    if isinstance(found, Exception):
        raise found
    assert not found, "\n" + "\n".join(found)


@pytest.mark.slow
def test_what_is_declared_comes_up(judge: differences.Judge, problems: dict[str, list[str] | Exception]) -> None:
    assert list(problems) == RECORDINGS
    assert not judge.unseen, f"declared, but not so: {judge.unseen}"


def _play(engine: Engine, player: Player, recording: str, judge: differences.Judge) -> list[str]:
    found = []
    for outcome in player.play(images.load(engine, player.images)):
        found += judge.problems(f"{recording} {outcome.what}", outcome.ours, outcome.theirs)
    return found
