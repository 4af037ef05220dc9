"""From the text of a Dockerfile to logical lines: parser directives, comments, continuations, here-documents.

Source of the rules: the Dockerfile reference, "Parser directives", "Format" and "Here-Documents", and what BuildKit's
parser does where the reference is silent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from sandbox.images.dockerfile.errors import DockerfileError, SyntaxFailure
from sandbox.images.dockerfile.expand import Expander
from sandbox.images.dockerfile.words import Words, split_line

_DIRECTIVE = re.compile(r"#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=(.+)", re.DOTALL)
_DIRECTIVES = {"escape", "syntax", "check"}
_HEREDOC = re.compile(r"(\d*)<<(-?)([^<]*)")
_TAKES_HEREDOC = {"run", "copy", "add"}
_SPACE = " \t\n\v\f\r\x85\xa0"
BOM = "\ufeff"
LONGEST = 65_535
"""Bytes of a line, as many as dockerd's scanner takes."""


@dataclass(frozen=True, slots=True)
class Heredoc:
    """A here-document: ``content`` with its line feeds, ``expand`` if its name was not quoted, ``chomp`` for <<-."""

    name: str
    expand: bool
    chomp: bool
    content: str = ""

    @property
    def text(self) -> str:
        """The content as the instruction gets it: without leading tabs after <<-."""
        if not self.chomp:
            return self.content
        return "".join(line.lstrip("\t") for line in self.content.splitlines(keepends=True))


@dataclass(frozen=True, slots=True)
class Line:
    """One instruction: its first line's number, the joined text, its words, and the here-documents behind it."""

    number: int
    text: str
    words: Words
    heredocs: tuple[Heredoc, ...] = ()


@dataclass
class Lines:
    """All instructions of a file. ``directives`` holds what the parser directives say, keys in lower case."""

    lines: list[Line] = field(default_factory=list)
    escape: str = "\\"
    directives: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def read_lines(text: str) -> Lines:
    """Split a Dockerfile; SyntaxFailure."""
    return _Reader(text).read()


class _Reader:
    def __init__(self, text: str) -> None:
        self._rest = _limited(text.removeprefix(BOM).removesuffix("\n").split("\n") if text else ())
        self._number = 0
        self._result = Lines()
        self._in_directives = True

    def read(self) -> Lines:
        result = self._result
        for raw in self._physical():
            self._directive(raw.lstrip(_SPACE))
            if _is_comment(raw):
                continue
            start = self._number
            text, ended = self._continued(raw.lstrip(_SPACE))
            if ended and not text:
                continue
            text = self._join(text, ended)
            try:
                words = split_line(text, result.escape)
                heredocs = self._heredocs(text, words)
            except SyntaxFailure:
                raise
            except DockerfileError as error:
                raise SyntaxFailure(str(error), start) from None
            result.lines.append(Line(start, text, words, heredocs))
        if result.warnings:
            result.warnings.append("[WARNING]: Empty continuation lines will become errors in a future release.")
        if not result.lines:
            raise SyntaxFailure("file with no instructions", max(self._number, 1))
        return result

    def _physical(self) -> Iterator[str]:
        for raw in self._rest:
            self._number += 1
            yield raw.removesuffix("\r")

    def _directive(self, line: str) -> None:
        """Directives come first; whatever else is there, even an unknown one, ends them."""
        if not self._in_directives:
            return
        found = _DIRECTIVE.fullmatch(line)
        key = found[1].lower() if found else ""
        if found is None or key not in _DIRECTIVES:
            self._in_directives = False
            return
        if key in self._result.directives:
            raise SyntaxFailure(f"only one {key} parser directive can be used", self._number)
        value = self._result.directives[key] = found[2].strip() or found[2][-1]
        if key == "escape":
            if value not in ("\\", "`"):
                raise SyntaxFailure(f"invalid escape token '{value}' does not match ` or \\", self._number)
            self._result.escape = value

    def _continued(self, line: str) -> tuple[str, bool]:
        """The line without its continuation mark, and whether it ends here. A doubled mark is no mark."""
        bare = line.rstrip(" \t")
        escape = self._result.escape
        if bare.endswith(escape) and not bare.endswith(escape * 2):
            return bare[:-1], False
        return line, True

    def _join(self, text: str, ended: bool) -> str:
        empty = False
        pieces = [text]
        while not ended:
            raw = next(self._physical(), None)
            if raw is None:
                break
            if _is_comment(raw):
                continue
            if not raw.strip(_SPACE):
                empty = True
                continue
            more, ended = self._continued(raw)
            pieces.append(more)
        text = "".join(pieces)
        if empty:
            self._result.warnings.append(f"[WARNING]: Empty continuation line found in:\n    {text}")
        return text

    def _heredocs(self, text: str, words: Words) -> tuple[Heredoc, ...]:
        taker = words.inner or words
        if taker.name.lower() not in _TAKES_HEREDOC or taker.json or "<<" not in text:
            return ()
        expander = Expander({}, self._result.escape, raw_quotes=True, raw_escapes=True, keep_unset=True)
        found = [parse_heredoc(word, self._result.escape) for word in expander.words(text)]
        return tuple(self._read_heredoc(heredoc) for heredoc in found if heredoc is not None)

    def _read_heredoc(self, heredoc: Heredoc) -> Heredoc:
        content: list[str] = []
        for raw in self._rest:
            self._number += 1
            mark = raw.removesuffix("\r")
            if (mark.lstrip("\t") if heredoc.chomp else mark) == heredoc.name:
                return Heredoc(heredoc.name, heredoc.expand, heredoc.chomp, "".join(content))
            content.append(raw + "\n")
        raise DockerfileError("unterminated heredoc")


def parse_heredoc(word: str, escape: str = "\\") -> Heredoc | None:
    """A word as the start of a here-document (``<<EOF``, ``<<-EOF``, ``<<"EOF"``, ``3<<EOF``), or None."""
    found = _HEREDOC.fullmatch(word)
    if found is None:
        return None
    try:
        raw = Expander({}, escape, raw_quotes=True, raw_escapes=True, keep_unset=True).words(found[3])
        plain = Expander({}, escape, keep_unset=True).words(found[3])
    except DockerfileError:
        return None
    if len(raw) != 1 or len(plain) != 1:
        return None
    return Heredoc(plain[0], expand=raw == plain, chomp=bool(found[2]))


def _limited(lines: Iterable[str]) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        if len(line) > LONGEST or len(line.encode("utf-8", "surrogateescape")) > LONGEST:
            raise SyntaxFailure(f"dockerfile line greater than max allowed size of {LONGEST}", number)
        yield line


def _is_comment(line: str) -> bool:
    return line.lstrip(_SPACE).startswith("#")
