"""Readers of what strangers send: whatever it is, they take it or raise their documented error, and in good time.

Input is made of a good one by a few edits; ``explore.py`` does the same guided by coverage, for as long as one likes.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from tests.fuzz.target import NASTY, Target
from tests.fuzz.targets import TARGETS

Edit = tuple[float, int, bytes]


def edited(start: bytes, edits: list[Edit]) -> bytes:
    """``start`` with each edit done: at a place (a share of the length) so many bytes give way to others."""
    for place, cut, put in edits:
        at = int(place * len(start))
        start = start[:at] + put + start[at + cut :]
    return start


def inputs(target: Target) -> st.SearchStrategy[bytes]:
    put = st.sampled_from((b"", *target.words, *NASTY)) | st.binary(max_size=6)
    edit = st.tuples(st.floats(0, 1), st.sampled_from((0, 0, 1, 2, 5, 30, 100_000)), put)
    return st.builds(edited, st.sampled_from((b"", *target.seeds)), st.lists(edit, max_size=8))


@pytest.mark.parametrize("name", TARGETS)
def test_what_strangers_send(name: str) -> None:
    target = TARGETS[name]

    @seed(1)
    @settings(max_examples=300, deadline=30000, database=None, suppress_health_check=list(HealthCheck))
    @given(inputs(target))
    def feed(data: bytes) -> None:
        target.feed(data)

    feed()


@pytest.mark.parametrize("name", TARGETS)
def test_good_input_is_taken(name: str) -> None:
    """Else nothing but refusals would be tested."""
    target = TARGETS[name]
    assert [data for data in target.seeds if not target.feed(data)] == []
