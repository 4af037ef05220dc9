"""The patterns of ${x#p} and ${x/p/r}: what a backtracking expression says, without its time."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.images.dockerfile.expand import Expander
from sandbox.images.dockerfile.shellpatterns import ShellPattern

PATTERNS = st.text(alphabet="ab?*", max_size=7)
TEXTS = st.text(alphabet="ab", max_size=9)


def expression(pattern: str) -> re.Pattern[str]:
    return re.compile("".join({"*": ".*", "?": "."}.get(character, character) for character in pattern))


@settings(max_examples=300)
@given(PATTERNS, TEXTS)
def test_prefixes_and_suffixes(pattern: str, text: str) -> None:
    whole, places = expression(pattern), range(len(text) + 1)
    found = ShellPattern(pattern)
    ends = [place for place in places if whole.fullmatch(text, 0, place)] or [0]
    assert (found.without_prefix(text, False), found.without_prefix(text, True)) == (text[ends[0] :], text[ends[-1] :])
    starts = [place for place in places if whole.fullmatch(text, place)] or [len(text)]
    assert found.without_suffix(text, False) == text[: starts[-1]]
    assert found.without_suffix(text, True) == text[: starts[0]]


@settings(max_examples=300)
@given(PATTERNS, TEXTS)
def test_replacements(pattern: str, text: str) -> None:
    whole, found = expression(pattern), ShellPattern(pattern)
    assert found.replaced(text, "-", False) == whole.sub("-", text, count=1)
    if whole.fullmatch("") is None:
        assert found.replaced(text, "-", True) == whole.sub("-", text)


@pytest.mark.parametrize(
    ("text", "pattern", "result"), [("abc", "", "-a-b-c-"), ("abc", "*", "-"), ("", "*", "-"), ("ab", "b*", "a-")]
)
def test_nothing_is_replaced_as_in_go(text: str, pattern: str, result: str) -> None:
    assert ShellPattern(pattern).replaced(text, "-", True) == result


@pytest.mark.timeout(20)
@pytest.mark.parametrize("form", ["${v#P}", "${v##P}", "${v%P}", "${v%%P}", "${v/P/x}", "${v//P/x}"])
@pytest.mark.parametrize("pattern", ["*a" * 1000 + "b", "a*" * 1000 + "b*", "a*?" * 700 + "b"])
def test_no_pattern_takes_long(form: str, pattern: str) -> None:
    value = "a" * 20_000
    assert Expander({"v": value}).word(form.replace("P", pattern)) == value
