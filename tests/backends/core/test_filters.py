"""Filter values as Go's libraries read them."""

from __future__ import annotations

import pytest

from backends.api.errors import InvalidArgument
from backends.core.filters import path_match


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("*", ["a", "", "a.b:c"], ["a/b"]),
        ("a/*/c", ["a/b/c", "a//c"], ["a/b/b/c"]),
        ("a?c", ["abc"], ["a/c", "ac"]),
        ("[a-c]x", ["ax", "cx"], ["dx", "x"]),
        ("[^a-c]x", ["dx", "^x"], ["ax"]),
        ("[a-ce]", ["b", "e"], ["d", "-"]),
        ("\\*", ["*"], ["a", "\\"]),
        ("[\\]\\-]", ["]", "-"], ["\\", "a"]),
        ("a.c", ["a.c"], ["abc"]),
        ("a]", ["a]"], ["a"]),
        ("", [""], ["a"]),
    ],
)
def test_path_match(pattern: str, matching: list[str], others: list[str]) -> None:
    found = path_match(pattern)
    assert [text for text in matching + others if found.fullmatch(text)] == matching


@pytest.mark.parametrize("pattern", ["[", "a[", "[]", "[]a]", "[a-]", "[-x]", "[z-a]", "a\\", "[a", "[^]"])
def test_malformed_patterns(pattern: str) -> None:
    with pytest.raises(InvalidArgument, match=r"^syntax error in pattern$"):
        path_match(pattern)
