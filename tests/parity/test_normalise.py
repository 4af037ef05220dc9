"""What counts as an identity."""

from __future__ import annotations

import pytest

from tests.parity.normalise import normalise


@pytest.mark.parametrize("identity", ["0a1b2c3d4e5f", "016248007384", "abcdefabcdef"])
def test_a_short_id_is_one_whatever_its_digits(identity: str) -> None:
    """One in 280 has no letter, one in 130,000 no digit."""
    assert normalise(f"its referenced image {identity}") == "its referenced image <short id>"


@pytest.mark.parametrize("text", ["01624800738", "0162480073840", "0a1b2c3d4e5g"])
def test_other_numbers_and_words_stay(text: str) -> None:
    assert normalise(text) == text
