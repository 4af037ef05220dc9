"""Our answers are those recorded of Debian's dockerd 28.5, value by value, but for what differences.toml declares."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.clients.engine import appliance
from tests.parity import differences, record, replay, shapes

VERSION = "28.5"
OUR_API = "v1.51"
Answers = dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def socket() -> Iterator[str]:
    """An appliance that has nothing but its bundled image."""
    with appliance() as host:
        yield host.removeprefix("unix://")


@pytest.mark.slow
def test_shapes(socket: str) -> None:
    ours = replay.play(socket, OUR_API, record.SHAPES)
    judge = differences.Judge(differences.kinds("shapes"))
    problems = []
    for label, theirs in record.recording(VERSION, "shapes").items():
        problems += judge.problems(label, *shapes.compare(_parts(ours[label]), _parts(theirs)))
    assert not problems, "\n" + "\n".join(problems)
    assert not judge.unseen, f"declared, but not so: {judge.unseen}"


@pytest.mark.slow
def test_requests(socket: str) -> None:
    ours = replay.play(socket, OUR_API)
    recorded = record.recording(VERSION, "requests")
    problems = [
        line for label in recorded for line in differences.undeclared("newer", label, ours[label], recorded[label])
    ]
    assert not problems, "\n" + "\n".join(problems)


@pytest.mark.parametrize("name", record.TABLES)
def test_recordings_are_of_the_tables(name: str) -> None:
    labels = [request.label for request in replay.table(record.TABLES[name])]
    assert list(record.recording(VERSION, name)) == labels


def _parts(answer: dict[str, str]) -> dict[str, str]:
    """The answer's leaves, and its status and headers beside them."""
    return {**shapes.take_apart(answer["body"]), "status": answer["status"], "headers": answer["headers"]}
