"""The life-cycle table: what may happen to a container, and that nothing else does."""

from __future__ import annotations

import pytest

from backends.core.lifecycle import ALIVE, RUNNING, TRANSITIONS, Happening, IllegalTransition, Status, after

LEGAL = {
    ("created", "start", "running"), ("created", "start_failed", "created"), ("created", "remove", "removing"),
    ("running", "pause", "paused"), ("running", "exit", "exited"), ("running", "exit_to_restart", "restarting"),
    ("running", "lost", "exited"), ("paused", "unpause", "running"), ("paused", "exit", "exited"),
    ("paused", "exit_to_restart", "restarting"), ("paused", "lost", "exited"), ("restarting", "start", "running"),
    ("restarting", "start_failed", "restarting"), ("restarting", "give_up", "exited"),
    ("restarting", "lost", "exited"), ("exited", "start", "running"), ("exited", "start_failed", "exited"),
    ("exited", "remove", "removing"), ("removing", "remove_failed", "dead"), ("removing", "remove", "removing"),
    ("dead", "remove", "removing"),
}  # fmt: skip


def test_table_is_exactly_this() -> None:
    found = {(str(s), str(h), str(n)) for s, moves in TRANSITIONS.items() for h, n in moves.items()}
    assert found == LEGAL


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("happening", Happening)
def test_every_pair_moves_or_raises(status: Status, happening: Happening) -> None:
    following = {(s, h): n for s, h, n in LEGAL}.get((str(status), str(happening)))
    if following is None:
        with pytest.raises(IllegalTransition, match=f"^{happening} does not happen to a container that is {status}$"):
            after(status, happening)
    else:
        assert after(status, happening) == following


def test_every_state_is_reached_and_left() -> None:
    assert {n for _, _, n in LEGAL} | {"created"} == {str(status) for status in Status}
    assert set(TRANSITIONS) == set(Status)


def test_docker_calls_paused_and_restarting_running() -> None:
    assert {Status.RUNNING, Status.PAUSED, Status.RESTARTING} == RUNNING
    assert {Status.RUNNING, Status.PAUSED} == ALIVE
