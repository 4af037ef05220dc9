"""From a line's words to its instruction: what each one takes, and Docker's words for what it does not."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from sandbox.images.dockerfile.durations import parse_duration
from sandbox.images.dockerfile.errors import DockerfileError
from sandbox.images.dockerfile.flags import Flags
from sandbox.images.dockerfile.instructions import (
    Add,
    Arg,
    Cmd,
    CommandLine,
    Copy,
    Entrypoint,
    Env,
    Expose,
    Healthcheck,
    InlineFile,
    Instruction,
    Label,
    Maintainer,
    OnBuild,
    Pairs,
    Run,
    Shell,
    Stage,
    StopSignal,
    User,
    Volume,
    Workdir,
)
from sandbox.images.dockerfile.lines import Line, parse_heredoc

_STAGE_NAME = re.compile(r"[a-z][a-z0-9-_.]*")
_ONBUILD = re.compile(r"\s*ONBUILD\s*", re.IGNORECASE)
_SHORTEST = 1_000_000


def read_instruction(line: Line) -> Instruction | Stage:
    """Read one line; DockerfileError without the line's number."""
    reader = _READERS.get(line.words.name.lower())
    if reader is None:
        raise DockerfileError(f"unknown instruction: {line.words.name}")
    return reader(line, line.text.strip(), line.number)


def _from(line: Line, code: str, number: int) -> Stage:
    words = line.words.arguments
    name = ""
    if len(words) == 3 and words[1].lower() == "as":
        name = words[2].lower()
        if not _STAGE_NAME.fullmatch(name):
            raise DockerfileError(
                f"invalid name for build stage: {_quote(words[2])}, name can't start with a number or contain symbols"
            )
    elif len(words) != 1:
        raise DockerfileError("FROM requires either one or three arguments")
    flags = Flags(line.words.flags, text="platform")
    return Stage(words[0], name, flags.text("platform"), code, number)


def _arg(line: Line, code: str, number: int) -> Arg:
    _at_least_one(line, "ARG")
    Flags(line.words.flags)
    found: list[tuple[str, str | None]] = []
    for word in line.words.arguments:
        name, equals, value = word.partition("=")
        if not name:
            raise DockerfileError("ARG names can not be blank")
        found.append((name, value if equals else None))
    return Arg(code, number, tuple(found))


def _env(line: Line, code: str, number: int) -> Env:
    Flags(line.words.flags)
    return Env(code, number, _pairs(line, "ENV"))


def _label(line: Line, code: str, number: int) -> Label:
    Flags(line.words.flags)
    return Label(code, number, _pairs(line, "LABEL"))


def _pairs(line: Line, name: str) -> Pairs:
    _at_least_one(line, name)
    words = line.words.arguments
    pairs = tuple(zip(words[::2], words[1::2], strict=True))
    if any(not key for key, _ in pairs):
        raise DockerfileError(f"{name} names can not be blank")
    return pairs


def _maintainer(line: Line, code: str, number: int) -> Maintainer:
    return Maintainer(code, number, _exactly_one(line, "MAINTAINER"))


def _copy(line: Line, code: str, number: int) -> Copy:
    sources, contents, destination = _sources(line, "COPY")
    flags = Flags(line.words.flags, text="from chown chmod", switch="link parents", many="exclude")
    return Copy(
        code,
        number,
        sources,
        contents,
        destination,
        flags.text("chown"),
        flags.text("chmod"),
        flags.switch("link"),
        flags.many("exclude"),
        flags.text("from"),
        flags.switch("parents"),
    )


def _add(line: Line, code: str, number: int) -> Add:
    sources, contents, destination = _sources(line, "ADD")
    flags = Flags(line.words.flags, text="chown chmod checksum", switch="link keep-git-dir unpack", many="exclude")
    return Add(
        code,
        number,
        sources,
        contents,
        destination,
        flags.text("chown"),
        flags.text("chmod"),
        flags.switch("link"),
        flags.many("exclude"),
        flags.text("checksum"),
        flags.switch("keep-git-dir"),
        flags.switch("unpack") if flags.given("unpack") else None,
    )


def _sources(line: Line, name: str) -> tuple[tuple[str, ...], tuple[InlineFile, ...], str]:
    words = line.words.arguments
    if not words:
        raise DockerfileError(f"{name} requires at least two arguments")
    if len(words) < 2:
        raise DockerfileError(
            f"{name} requires at least two arguments, but only one was provided. Destination could not be determined."
        )
    *sources, destination = words
    if line.words.json:
        return tuple(sources), (), destination
    if parse_heredoc(destination):
        raise DockerfileError(f"{name} cannot accept a heredoc as a destination")
    documents = {heredoc.name: heredoc for heredoc in line.heredocs}
    paths: list[str] = []
    contents: list[InlineFile] = []
    for source in sources:
        mark = parse_heredoc(source)
        if mark is None:
            paths.append(source)
        else:
            contents.append(InlineFile(mark.name, documents[mark.name].text, mark.expand))
    return tuple(paths), tuple(contents), destination


def _run(line: Line, code: str, number: int) -> Run:
    flags = Flags(line.words.flags, text="network security", many="mount")
    command = _command(line)
    return Run(code, number, command, flags.many("mount"), flags.text("network"), flags.text("security"))


def _cmd(line: Line, code: str, number: int) -> Cmd:
    Flags(line.words.flags)
    return Cmd(code, number, _command(line))


def _entrypoint(line: Line, code: str, number: int) -> Entrypoint:
    Flags(line.words.flags)
    return Entrypoint(code, number, _command(line))


def _command(line: Line) -> CommandLine:
    files = tuple(InlineFile(document.name, document.text, document.expand) for document in line.heredocs)
    return CommandLine(line.words.arguments, not line.words.json, files)


def _healthcheck(line: Line, code: str, number: int) -> Healthcheck:
    _at_least_one(line, "HEALTHCHECK")
    kind, *words = line.words.arguments
    kind = kind.upper()
    if kind == "NONE":
        if words:
            raise DockerfileError("HEALTHCHECK NONE takes no arguments")
        return Healthcheck(code, number, ("NONE",))
    flags = Flags(line.words.flags, text="interval timeout start-period start-interval retries")
    if kind != "CMD":
        raise DockerfileError(f"Unknown type {_quote(kind)} in HEALTHCHECK (try CMD)")
    if not words:
        raise DockerfileError("Missing command after HEALTHCHECK CMD")
    return Healthcheck(
        code,
        number,
        ("CMD" if line.words.json else "CMD-SHELL", *words),
        interval=_interval(flags, "interval"),
        timeout=_interval(flags, "timeout"),
        start_period=_interval(flags, "start-period"),
        start_interval=_interval(flags, "start-interval"),
        retries=_retries(flags.text("retries")),
    )


def _interval(flags: Flags, name: str) -> int:
    text = flags.text(name)
    found = parse_duration(text) if text else 0
    if found and found < _SHORTEST:
        raise DockerfileError(f'Interval "{name}" cannot be less than 1ms')
    return found


def _retries(text: str) -> int:
    if not text:
        return 0
    if not re.fullmatch(r"[+-]?[0-9]+", text):
        raise DockerfileError(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    if len(text) > 20:
        raise DockerfileError(f'strconv.ParseInt: parsing "{text}": value out of range')
    if int(text) < 0:
        raise DockerfileError(f"--retries cannot be negative ({int(text)})")
    if int(text) >= 1 << 31:
        raise DockerfileError(f'strconv.ParseInt: parsing "{text}": value out of range')
    return int(text)


def _expose(line: Line, code: str, number: int) -> Expose:
    _at_least_one(line, "EXPOSE")
    Flags(line.words.flags)
    return Expose(code, number, tuple(sorted(line.words.arguments)))


def _user(line: Line, code: str, number: int) -> User:
    return User(code, number, _exactly_one(line, "USER"))


def _volume(line: Line, code: str, number: int) -> Volume:
    _at_least_one(line, "VOLUME")
    Flags(line.words.flags)
    paths = tuple(path.strip() for path in line.words.arguments)
    if not all(paths):
        raise DockerfileError("VOLUME specified can not be an empty string")
    return Volume(code, number, paths)


def _workdir(line: Line, code: str, number: int) -> Workdir:
    return Workdir(code, number, _exactly_one(line, "WORKDIR"))


def _stop_signal(line: Line, code: str, number: int) -> StopSignal:
    return StopSignal(code, number, _exactly_one(line, "STOPSIGNAL"))


def _shell(line: Line, code: str, number: int) -> Shell:
    Flags(line.words.flags)
    if not line.words.arguments:
        raise DockerfileError("SHELL requires at least one argument")
    if not line.words.json:
        raise DockerfileError("SHELL requires the arguments to be in JSON form")
    return Shell(code, number, line.words.arguments)


def _onbuild(line: Line, code: str, number: int) -> OnBuild:
    _at_least_one(line, "ONBUILD")
    Flags(line.words.flags)
    trigger = line.words.arguments[0].upper()
    if trigger == "ONBUILD":
        raise DockerfileError("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
    if trigger in ("MAINTAINER", "FROM"):
        raise DockerfileError(f"{trigger} isn't allowed as an ONBUILD trigger")
    text = _ONBUILD.sub("", line.text, count=1)
    for document in line.heredocs:
        text += f"\n{document.content}{document.name}"
    return OnBuild(code, number, text)


def _at_least_one(line: Line, name: str) -> None:
    if not line.words.arguments:
        raise DockerfileError(f"{name} requires at least one argument")


def _exactly_one(line: Line, name: str) -> str:
    Flags(line.words.flags)
    if len(line.words.arguments) != 1:
        raise DockerfileError(f"{name} requires exactly one argument")
    return line.words.arguments[0]


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


_READERS: dict[str, Callable[[Line, str, int], Instruction | Stage]] = {
    "add": _add,
    "arg": _arg,
    "cmd": _cmd,
    "copy": _copy,
    "entrypoint": _entrypoint,
    "env": _env,
    "expose": _expose,
    "from": _from,
    "healthcheck": _healthcheck,
    "label": _label,
    "maintainer": _maintainer,
    "onbuild": _onbuild,
    "run": _run,
    "shell": _shell,
    "stopsignal": _stop_signal,
    "user": _user,
    "volume": _volume,
    "workdir": _workdir,
}
