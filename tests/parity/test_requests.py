"""Our answers to the request table are those recorded of a newer engine, or else those that Debian's dockerd gives."""

from __future__ import annotations

import pytest

from tests.clients.engine import Engine
from tests.clients.scripts import empty
from tests.parity import differences, replay

TABLE = replay.table()
OUR_VERSION = "v1.50"
"""The version at which the newer engine was recorded."""
THEIR_VERSION = "v1.41"
"""The newest that dockerd 20.10 speaks."""
Answers = dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def our_answers(ours: Engine) -> Answers:
    return _play(ours, OUR_VERSION)


@pytest.fixture(scope="module")
def their_answers(oracle: Engine) -> Answers:
    return _play(oracle, THEIR_VERSION)


def _play(engine: Engine, version: str) -> Answers:
    empty(engine)
    answers = replay.play(engine.socket, version)
    empty(engine)
    return answers


@pytest.mark.slow
@pytest.mark.parametrize("request_", TABLE, ids=[request.label for request in TABLE])
def test_request(request_: replay.Request, our_answers: Answers, their_answers: Answers) -> None:
    reference = {**their_answers[request_.label], **(request_.recorded or {})}
    problems = differences.undeclared("api", request_.label, our_answers[request_.label], reference)
    assert not problems, "\n" + "\n".join(problems)


@pytest.mark.slow
def test_recordings_differ_from_the_older_engine_only_as_declared(their_answers: Answers) -> None:
    """Proves that the table is sent as it was recorded: what differs is known to have changed between the versions."""
    problems = []
    for request in TABLE:
        recorded = dict(request.recorded or {})
        older = {part: their_answers[request.label][part] for part in recorded}
        problems += differences.undeclared("older", request.label, recorded, older)
    assert not problems, "\n" + "\n".join(problems)


def test_differences_name_requests_that_exist() -> None:
    labels = {request.label for request in TABLE}
    assert {what for group in ("api", "older") for what, _ in differences.load(group)} <= labels
