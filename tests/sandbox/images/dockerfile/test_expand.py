"""Variables in a Dockerfile's words; the same words go through a real shell where it must agree."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.images.dockerfile import DockerfileError, Expander

VARIABLES = {"a": "hello.tar.gz", "e": "", "p": "/x/y/z", "two": "b  c"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("$a", "hello.tar.gz"),
        ("${a}b$none.", "hello.tar.gzb."),
        ("${none:-d}${e:-d}${a:-d}", "ddhello.tar.gz"),
        ("${none-d}${e-d}", "d"),
        ("${none:+d}${e:+d}${a:+d}", "d"),
        ("${none+d}${e+d}", "d"),
        ("${a#*.}${a##*.}", "tar.gzgz"),
        ("${a%.*}${a%%.*}", "hello.tarhello"),
        ("${p#/x}${p%/?}", "/y/z/x/y"),
        ("${a/l/L}${a//l/L}", "heLlo.tar.gzheLLo.tar.gz"),
        ("${p//\\//-}", "-x-y-z"),
        ("${a/e*r/}", "h.gz"),
        ("${none:-${a%.*}}", "hello.tar"),
        ("'$a' \"$a\" \\$a", "$a hello.tar.gz $a"),
        ('"a\\"b\\c"', 'a"b\\c'),
        ("a\\ b\\", "a b"),
        ("$", "$"),
        ("$1x $12", "x "),
        ("a$$b", "ab"),
        ("", ""),
    ],
)
def test_words(text: str, found: str) -> None:
    assert Expander(VARIABLES).word(text) == found


def test_splitting() -> None:
    expander = Expander({**VARIABLES, "q": "80 443"})
    assert expander.words('$q "$q" a\\ b c') == ["80", "443", "80 443", "a b", "c"]
    assert expander.words("$none") == []


def test_another_escape() -> None:
    assert Expander(VARIABLES, "`").word("a\\b`$a") == "a\\b$a"


def test_here_documents_keep_quotes() -> None:
    expander = Expander(VARIABLES)
    assert expander.text('it\'s "$a" \\$a') == 'it\'s "hello.tar.gz" $a'
    assert expander.word("'$a'") == "$a"


def test_unset_variables_may_stay() -> None:
    expander = Expander(VARIABLES, keep_unset=True, raw_quotes=True, raw_escapes=True)
    assert (
        expander.word("'x' $none ${none:-d} ${none/a/b} \\y $a") == "'x' $none ${none:-d} ${none/a/b} \\y hello.tar.gz"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("${a", "syntax error: missing '}'"),
        ("${", "syntax error: missing '}'"),
        ("${}", "syntax error: bad substitution"),
        ("${:x}", "syntax error: bad substitution"),
        ("${a:}", "syntax error: missing '}'"),
        ("${a:}}", "unsupported modifier (:}) in substitution"),
        ("${a^x}", "unsupported modifier (^) in substitution"),
        ("${a:-x", "syntax error: missing '}'"),
        ("${a/x", "syntax error: missing '/' in ${}"),
        ("${none?}", "none: is not allowed to be unset"),
        ("${e:?}", "e: is not allowed to be empty"),
        ("${none:?say it}", "none: say it"),
        ("'x", "unexpected end of statement while looking for matching single-quote"),
        ('"x', "unexpected end of statement while looking for matching double-quote"),
        ("${a#\\x}", "invalid pattern (\\x) in substitution: invalid escape '\\x'"),
    ],
)
def test_refusals(text: str, said: str) -> None:
    with pytest.raises(DockerfileError) as failure:
        Expander(VARIABLES).word(text)
    assert str(failure.value).partition('": ')[2] == said


@given(st.text(alphabet="$aep{}:-+?#%/*.'\"\\ xy", max_size=25))
def test_any_text_is_expanded_or_refused(text: str) -> None:
    for read in (Expander(VARIABLES).word, Expander(VARIABLES).words, Expander(VARIABLES).text):
        try:
            read(text)
        except DockerfileError as error:
            assert str(error).startswith("failed to process ")


PIECES = st.sampled_from(
    ["$a", "${e}", "${a:-d}", "${none:-d}", "${e:-d}", "${a:+d}", "${none+d}", "${a#*.}", "${a##*.}", "${a%.*}", "x",
     "${a%%.*}", "${a/l/L}", "${a//l/L}", "'$a'", '"$a"', "\\$a", "${p#/x}", "${p%/*}", "${a/e*r/}", "${none:-${a}}"]
)  # fmt: skip


@settings(max_examples=30, deadline=None)
@given(st.lists(PIECES, max_size=6))
def test_bash_agrees(pieces: list[str]) -> None:
    text = "".join(pieces)
    said = subprocess.run(["bash", "-c", f"IFS=; printf %s {text} end"], env=VARIABLES, capture_output=True, check=True)
    assert said.stdout.decode() == Expander(VARIABLES).word(text) + "end"
