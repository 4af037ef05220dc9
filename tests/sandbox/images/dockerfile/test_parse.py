"""Dockerfiles as text: lines, words, instructions, and what is said of wrong ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.images.dockerfile import Dockerfile, DockerfileError, Expander, parse, parse_changes, parse_trigger
from sandbox.images.dockerfile.instructions import (
    Add,
    Arg,
    Cmd,
    CommandLine,
    Copy,
    Env,
    Healthcheck,
    InlineFile,
    Instruction,
    Label,
    OnBuild,
    Run,
    Shell,
    Volume,
)

FROM = "FROM a\n"


def steps(text: str) -> tuple[Instruction, ...]:
    return parse(FROM + text).stages[0].instructions


def step(text: str) -> Instruction:
    (found,) = steps(text)
    return found


def refusal(text: str) -> str:
    with pytest.raises(DockerfileError) as failure:
        parse(text)
    return str(failure.value)


def test_stages_and_global_arguments() -> None:
    found = parse("ARG A=1 B\nfrom --platform=linux/arm64 x${A} aS Two\nRUN a\nFROM two\n")
    assert found.arguments == (Arg("ARG A=1 B", 1, (("A", "1"), ("B", None))),)
    first, second = found.stages
    assert (first.base, first.name, first.platform, first.line) == ("x${A}", "two", "linux/arm64", 2)
    assert first.code == "from --platform=linux/arm64 x${A} aS Two"
    assert [type(item) for item in first.instructions] == [Run]
    assert (second.base, second.name, second.instructions) == ("two", "", ())


@pytest.mark.parametrize(("target", "count"), [("one", 1), ("TWO", 2), ("0", 1), ("2", 3)])
def test_targets(target: str, count: int) -> None:
    found = parse("FROM a AS one\nFROM b AS two\nFROM c\n")
    assert len(found.until(target).stages) == count


@pytest.mark.parametrize("target", ["three", "3", "-1"])
def test_targets_that_are_none(target: str) -> None:
    with pytest.raises(DockerfileError, match=f"failed to reach build target {target} in Dockerfile"):
        parse("FROM a AS one\nFROM b AS two\nFROM c\n").until(target)


def test_labels_of_the_command_line_come_last_and_are_literal() -> None:
    found = parse(FROM + "RUN x").labelled({"z": "$A", "a": "1"}).stages[0].instructions[1:]
    assert [(item.code, item.pairs, item.literal) for item in found if isinstance(item, Label)] == [
        ("LABEL a=1", (("a", "1"),), True),
        ("LABEL z=$A", (("z", "$A"),), True),
    ]


def test_continuations_comments_and_blank_lines() -> None:
    text = "RUN a \\\n# comment\n\n  b \\  \n   # indented\n\tc\nRUN d"
    found = parse(FROM + text)
    assert [item.code for item in found.stages[0].instructions] == ["RUN a   b \tc", "RUN d"]
    assert found.warnings == (
        "[WARNING]: Empty continuation line found in:\n    RUN a   b \tc",
        "[WARNING]: Empty continuation lines will become errors in a future release.",
    )


@pytest.mark.parametrize(("end", "warnings"), [("", 0), ("\n", 0), ("\n# c\n", 0), ("\n\n", 2)])
def test_the_end_of_the_file_is_no_empty_continuation(end: str, warnings: int) -> None:
    found = parse(f"{FROM}RUN a \\{end}")
    assert (found.stages[0].instructions[0].code, len(found.warnings)) == ("RUN a", warnings)


def test_a_doubled_escape_continues_nothing() -> None:
    assert [item.code for item in steps("RUN a \\\\\nRUN b")] == ["RUN a \\\\", "RUN b"]


def test_the_escape_directive() -> None:
    found = parse("# escape=`\nFROM a\nRUN x `\n y \\\n")
    assert (found.escape, found.stages[0].instructions[0].code) == ("`", "RUN x  y \\")


def test_directives_come_first_and_once() -> None:
    assert parse("#syntax=x/y:1\n# check = skip=all\nFROM a").directives == (("syntax", "x/y:1"), ("check", "skip=all"))
    assert parse("# nothing\n# escape=`\nFROM a").escape == "\\"
    assert refusal("# escape=`\n# escape=`\nFROM a") == "only one escape parser directive can be used"
    assert refusal("# escape=x\nFROM a") == "invalid escape token 'x' does not match ` or \\"


def test_a_byte_order_mark_and_carriage_returns() -> None:
    assert [item.code for item in parse("\ufeffFROM a\r\nRUN x \\\r\n y\r\n").stages[0].instructions] == ["RUN x  y"]


def test_shell_and_json_form() -> None:
    assert step("CMD a  'b'") == Cmd("CMD a  'b'", 2, CommandLine(("a  'b'",), True))
    assert step('CMD ["a", "b\\u00e9"]') == Cmd('CMD ["a", "b\\u00e9"]', 2, CommandLine(("a", "bé"), False))
    assert step("CMD ['a']") == Cmd("CMD ['a']", 2, CommandLine(("['a']",), True))
    assert step('SHELL ["a"]') == Shell('SHELL ["a"]', 2, ("a",))
    assert step('VOLUME ["/a b"]') == Volume('VOLUME ["/a b"]', 2, ("/a b",))


def test_flags() -> None:
    found = step("COPY --from=b --chown=1:2 --chmod='7 5' --link --exclude=a --exclude=b x y /z")
    assert isinstance(found, Copy)
    assert (found.source, found.chown, found.chmod, found.link) == ("b", "1:2", "7 5", True)
    assert (found.exclude, found.sources, found.destination) == (("a", "b"), ("x", "y"), "/z")
    add = step("ADD --checksum=sha256:1 --unpack=false x /z")
    assert isinstance(add, Add)
    assert (add.checksum, add.unpack) == ("sha256:1", False)
    run = step("RUN --mount=type=cache,target=/a --mount=target=/b --network=none -- --x")
    assert isinstance(run, Run)
    assert (run.mounts, run.network, run.command.words) == (("type=cache,target=/a", "target=/b"), "none", ("--x",))


def test_pairs() -> None:
    assert step("ENV a=b c=\"d e\" f='g h' i=j\\ k l=") == Env(
        "ENV a=b c=\"d e\" f='g h' i=j\\ k l=",
        2,
        (("a", "b"), ("c", '"d e"'), ("f", "'g h'"), ("i", "j\\ k"), ("l", "")),
    )
    assert step("ENV a  b = c") == Env("ENV a  b = c", 2, (("a", "b = c"),))


def test_here_documents() -> None:
    text = 'COPY <<ONE <<-"TWO" f /d/\n a$b\nONE\n\t\tc\n\tTWO\nRUN cat <<X | sort\nb\n\nX\nONBUILD RUN <<Y\nz\nY\n'
    copy, run, trigger = steps(text)
    assert isinstance(copy, Copy)
    assert copy.contents == (InlineFile("ONE", " a$b\n", True), InlineFile("TWO", "c\n", False))
    assert copy.sources == ("f",)
    assert isinstance(run, Run)
    assert run.command == CommandLine(("cat <<X | sort",), True, (InlineFile("X", "b\n\n", True),))
    assert isinstance(trigger, OnBuild)
    assert trigger.trigger == "RUN <<Y\nz\nY"
    assert isinstance(parse_trigger(trigger.trigger), Run)
    assert [item.line for item in (copy, run, trigger)] == [2, 7, 11]


def test_a_json_form_has_no_here_documents() -> None:
    assert isinstance(step('RUN ["a", "<<EOF"]'), Run)
    assert refusal(FROM + "RUN <<EOF\nx") == "unterminated heredoc"


def test_health_checks() -> None:
    found = step(
        "HEALTHCHECK --interval=1m30s --timeout=500ms --start-period=0s --start-interval=2s --retries=3 CMD a b"
    )
    assert isinstance(found, Healthcheck)
    assert (found.test, found.interval, found.timeout) == (("CMD-SHELL", "a b"), 90 * 10**9, 5 * 10**8)
    assert (found.start_period, found.start_interval, found.retries) == (0, 2 * 10**9, 3)
    assert step('HEALTHCHECK CMD ["a"]') == Healthcheck('HEALTHCHECK CMD ["a"]', 2, ("CMD", "a"))
    assert step("HEALTHCHECK none") == Healthcheck("HEALTHCHECK none", 2, ("NONE",))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("FOO x", "unknown instruction: FOO"),
        ("FROM", "FROM requires either one or three arguments"),
        ("FROM a b c d", "FROM requires either one or three arguments"),
        ("FROM a AS 1", 'invalid name for build stage: "1", name can\'t start with a number or contain symbols'),
        ("COPY", "COPY requires at least two arguments"),
        (
            "ADD x",
            "ADD requires at least two arguments, but only one was provided. Destination could not be determined.",
        ),
        ("COPY a <<EOF\nEOF", "COPY cannot accept a heredoc as a destination"),
        ("COPY --x=1 a b", "unknown flag: --x"),
        ("COPY --from a b", "missing a value on flag: --from"),
        ("COPY --link=x a b", "expecting boolean value for flag --link, not: x"),
        ("COPY --from=a --from=b a b", "duplicate flag specified: --from"),
        ("ENV", "ENV requires at least one argument"),
        ("ENV =x", "ENV names can not be blank"),
        ("ARG", "ARG requires at least one argument"),
        ("USER", "USER requires exactly one argument"),
        ("WORKDIR", "WORKDIR requires exactly one argument"),
        ("EXPOSE", "EXPOSE requires at least one argument"),
        ("SHELL x", "SHELL requires the arguments to be in JSON form"),
        ("SHELL []", "SHELL requires at least one argument"),
        ('VOLUME [ "" ]', "VOLUME specified can not be an empty string"),
        ("HEALTHCHECK FOO x", 'Unknown type "FOO" in HEALTHCHECK (try CMD)'),
        ("HEALTHCHECK NONE x", "HEALTHCHECK NONE takes no arguments"),
        ("HEALTHCHECK CMD", "Missing command after HEALTHCHECK CMD"),
        ("HEALTHCHECK --interval=1us CMD x", 'Interval "interval" cannot be less than 1ms'),
        ("HEALTHCHECK --retries=-1 CMD x", "--retries cannot be negative (-1)"),
        ("ONBUILD", "ONBUILD requires at least one argument"),
        ("ONBUILD FROM x", "FROM isn't allowed as an ONBUILD trigger"),
    ],
)
def test_wrong_instructions(text: str, said: str) -> None:
    assert refusal(f"{FROM}\n{text}\n") == f"dockerfile parse error on line 3: {said}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "file with no instructions"),
        ("# only\n\n", "file with no instructions"),
        ("RUN x", "no build stage in current context"),
        ("ARG x", "dockerfile contains no stages to build"),
        (FROM + "ENV x", "ENV must have two arguments"),
        (FROM + "LABEL a=b c", 'Syntax error - can\'t find = in "c". Must be of the form: name=value'),
        (FROM + 'CMD ["a", 1]', "when using JSON array syntax, arrays must be comprised of strings only"),
    ],
)
def test_wrong_files(text: str, said: str) -> None:
    assert refusal(text) == said


@pytest.mark.parametrize("text", ["ENV A={}\n", "# {}", "RUN <<E\n{}\nE\n", "RUN \\\n{}\n"])
def test_lines_are_no_longer_than_docker_takes_them(text: str) -> None:
    assert refusal(FROM + text.format("é" * 32_768)) == "dockerfile line greater than max allowed size of 65535"
    parse(FROM + text.format("é" * 32_700))


def test_changes() -> None:
    found = parse_changes(["ENV a=b", "cmd x\nUSER 1"], frozenset({"env", "cmd", "user"}))
    assert [item.code for item in found] == ["ENV a=b", "cmd x", "USER 1"]
    assert parse_changes([], frozenset()) == ()
    with pytest.raises(DockerfileError, match=r"^run is not a valid change command$"):
        parse_changes(["RUN x"], frozenset({"env"}))
    with pytest.raises(DockerfileError, match=r"^onbuild trigger should be a single expression$"):
        parse_trigger("RUN a\nRUN b")


WORDS = st.sampled_from(
    ["FROM", "RUN", "COPY", "ADD", "ENV", "ARG", "CMD", "ONBUILD", "HEALTHCHECK", "EXPOSE", "LABEL", "a=b", "--from=x",
     "--mount=type=cache", "<<EOF", "EOF", "\\", "\n", "#", "$x", "${", '"', "'", "[", "]", '"a",', "/d", "# escape=`"]
)  # fmt: skip


@given(st.lists(WORDS | st.text(max_size=5), max_size=40).map(" ".join))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = parse(text)
    except DockerfileError as error:
        assert str(error) != ""
    else:
        assert isinstance(found, Dockerfile)
        assert len(found.stages) >= 1


@pytest.mark.timeout(20)
def test_long_files_take_no_longer_than_they_are() -> None:
    many = "y" * 50 + " \\\n"
    assert len(steps(f"RUN a \\\n{many * 100_000}b\n")[0].code) > 5_000_000
    (copy,) = steps(f"COPY <<E /x\n{many * 40_000}E\n")
    assert isinstance(copy, Copy)
    expanded = copy.expanded(Expander({}))
    assert len(expanded.contents[0].content) == len(many.replace("\\\n", "\n")) * 40_000
    assert len(Expander({}).word('"' + "x" * 2_000_000 + '"')) == 2_000_000


@pytest.mark.timeout(20)
def test_no_directive_takes_long() -> None:
    text = "# syntax=a" + " " * 60_000 + "b\nFROM x\n"
    assert dict(parse(text).directives) == {"syntax": "a" + " " * 60_000 + "b"}
