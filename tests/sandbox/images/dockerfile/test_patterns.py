"""Go's filepath.Match and Docker's .dockerignore patterns. The tables are those of Go's and moby's own tests."""

from __future__ import annotations

import posixpath
import re

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sandbox.images.dockerfile import DockerfileError, PatternMatcher, read_ignore
from sandbox.images.dockerfile.patterns import BadPattern, deep_glob, glob, has_wildcards


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("abc", "abc", True), ("*", "abc", True), ("*c", "abc", True), ("a*", "a", True), ("a*", "ab/c", False),
        ("a*/b", "abc/b", True), ("a*/b", "a/c/b", False), ("a*b*c*d*e*/f", "axbxcxdxe/f", True),
        ("a*b*c*d*e*/f", "axbxcxdxe/xxx/f", False), ("ab[c]", "abc", True), ("ab[b-d]", "abc", True),
        ("ab[e-g]", "abc", False), ("ab[^c]", "abc", False), ("ab[^e-g]", "abc", True), ("a\\*b", "a*b", True),
        ("a\\*b", "ab", False), ("a?b", "a☺b", True), ("a[^a]b", "a☺b", True), ("a???b", "a☺b", False),
        ("[a-ζ]*", "α", True), ("*[a-ζ]", "A", False), ("a?b", "a/b", False), ("a*b", "a/b", False),
        ("[\\]a]", "]", True), ("[\\-]", "-", True), ("[x\\-]", "x", True), ("[x\\-]", "z", False),
        ("*x", "xxx", True), ("[^a]", "/", False), ("a]", "a]", True), ("[^]", "a", None), ("[a", "a", None),
        ("[]a]", "]", None), ("[-]", "-", None), ("[x-]", "x", None), ("[a-b-c]", "a", None), ("a\\", "a", None),
        ("[b-a]", "a", False),
    ],
)  # fmt: skip
def test_globs(pattern: str, path: str, matches: bool | None) -> None:
    if matches is None:
        with pytest.raises(BadPattern, match="syntax error in pattern"):
            glob(pattern)
    else:
        assert (glob(pattern).fullmatch(path) is not None) == matches


@pytest.mark.parametrize(
    ("patterns", "path", "matches"),
    [
        (["**"], "file", True), (["**"], "dir/file", True), (["**/"], "file", True), (["**/**"], "dir/file", True),
        (["dir/**"], "dir/file", True), (["dir/**"], "dir/dir2/file", True), (["dir/**"], "dir", False),
        (["**/dir"], "dir", True), (["**/dir"], "x/dir/f", True), (["**/dir2/*"], "dir/dir2/file", True),
        (["**/dir2/*"], "dir/dir2/dir2/f", True), (["**file"], "dir/file", True), (["**/f*"], "a/b/foo", True),
        (["**/*f*"], "a/b/xfy", True), (["a**"], "abc/d", True),
        (["a[b-d]e"], "ace", True), (["abc.def"], "abcxdef", False), (["a(b)c/def"], "a(b)c/def", True),
        (["dir"], "dir/sub/f", True), (["*"], "d/f", True), (["*", "!d/f"], "d/f", False),
        (["*", "!d"], "d/f", False), (["*", "!d", "d/*.md"], "d/x.md", True), (["!d", "*"], "d", True),
        (["*.md", "!keep.md"], "keep.md", False), (["a.|)$(}+{bc"], "a.|)$(}+{bc", True),
        (["./a/../b"], "b", True), ([" ", "x "], "x", True), (["dist/"], "dist/x", True),
    ],
)  # fmt: skip
def test_ignore_patterns(patterns: list[str], path: str, matches: bool) -> None:
    assert PatternMatcher(patterns).matches(path) == matches


@pytest.mark.parametrize("pattern", ["[", "a\\", "!", "[^]"])
def test_patterns_that_cannot_be_read(pattern: str) -> None:
    with pytest.raises(DockerfileError):
        PatternMatcher([pattern])


def test_ignore_files() -> None:
    text = "\ufeff# no\n\n  /a/b/  \n!/c\n! d \n #e\n/\n..\n./f//g\n"
    assert read_ignore(text) == ["a/b", "!c", "!d", "#e", "/", "..", "f/g"]


@pytest.mark.parametrize(
    ("path", "found"), [("a*", True), ("a\\*", False), ("a\\\\*", True), ("[", True), ("a", False)]
)
def test_wildcards(path: str, found: bool) -> None:
    assert has_wildcards(path) == found


@given(st.text(alphabet="ab*?[]^-\\!/.", max_size=12), st.text(alphabet="ab/.", min_size=1, max_size=8))
def test_any_pattern_matches_or_is_refused(pattern: str, path: str) -> None:
    try:
        matcher = PatternMatcher([pattern])
    except DockerfileError:
        return
    assert matcher.matches(path) in (True, False)


def simple(pattern: str) -> str:
    """The regular expression that Docker makes of a pattern of letters, slashes and stars."""
    wildcards = {"**": "(.*/)?", "*": "[^/]*", "?": "[^/]"}
    deep = re.sub(r"\*\*/?$", "(?:.*)", pattern)
    ended = deep != pattern
    found = re.sub(r"(\*\*)/?|\*|\?", lambda part: wildcards[part[1] or part[0]], deep.removesuffix("(?:.*)"))
    return found + (".*" if ended else "")


@settings(max_examples=500)
@given(st.text(alphabet="ab/**?", min_size=1, max_size=12), st.text(alphabet="ab/", min_size=1, max_size=12))
def test_deep_patterns_match_what_docker_matches(pattern: str, path: str) -> None:
    pattern = posixpath.normpath(pattern)
    assume(not re.search(r"\*{3}", pattern))
    wanted = re.fullmatch(simple(pattern), path) is not None
    assert bool(deep_glob(pattern)(path)) == wanted


HARD = "/".join(["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"] * 60)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "pattern",
    ["*a" * 40 + "b", "**/" * 40 + "b", "**/a*/" * 40 + "b", "*a" * 20 + "**" + "*a" * 20 + "b", "a**" * 40 + "b"],
)
def test_no_pattern_takes_long(pattern: str) -> None:
    assert PatternMatcher([pattern]).matches(HARD) is False
    assert glob("*a" * 80 + "b").fullmatch("a" * 200) is None


@given(st.text(alphabet="ab[]*?\\^-.", min_size=1, max_size=8))
def test_an_escaped_name_matches_itself(name: str) -> None:
    escaped = "".join(f"\\{character}" for character in name)
    assert glob(escaped).fullmatch(name)
