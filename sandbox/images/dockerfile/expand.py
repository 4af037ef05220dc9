"""Variable expansion and quote removal in a Dockerfile's words, as a POSIX shell does them (and ${x/a/b} as bash).

Source: the Dockerfile reference, "Environment replacement"; POSIX 2.6.2 for the modifiers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from sandbox.images.dockerfile.errors import DockerfileError
from sandbox.images.dockerfile.shellpatterns import ShellPattern

_NAME = re.compile(r"[0-9]+|[@*#?$!-]|[^\W\d]\w*")
_DEEPEST = 50
_MISSING_BRACE = "syntax error: missing '}'"


class Expander:
    """``keep_unset`` leaves references to unknown variables alone; ``raw_quotes`` and ``raw_escapes`` keep those."""

    def __init__(
        self,
        variables: Mapping[str, str],
        escape: str = "\\",
        *,
        raw_quotes: bool = False,
        raw_escapes: bool = False,
        keep_unset: bool = False,
    ) -> None:
        self._variables = variables
        self._escape = escape
        self._raw_quotes = raw_quotes
        self._raw_escapes = raw_escapes
        self._keep_unset = keep_unset
        self._quoting = True
        self._depth = 0

    def word(self, text: str) -> str:
        """The text with variables replaced and quotes and escapes removed; DockerfileError."""
        return self._scan(text).text

    def text(self, text: str) -> str:
        """As ``word`` for the content of a here-document: quotes mean nothing."""
        self._quoting = False
        try:
            return self.word(text)
        finally:
            self._quoting = True

    def words(self, text: str) -> list[str]:
        """The same, split at blanks that are neither quoted nor escaped, also those that a variable brought."""
        return self._scan(text).finish()

    def _scan(self, text: str) -> _Pieces:
        scan = _Scan(text)
        try:
            return self._until(scan, "", self._raw_escapes)
        except DockerfileError as error:
            raise DockerfileError(f"failed to process {json.dumps(text, ensure_ascii=False)}: {error}") from None

    def _until(self, scan: _Scan, stop: str, raw_escapes: bool) -> _Pieces:
        pieces = _Pieces()
        while not scan.ended:
            character = scan.peek()
            if stop and character == stop:
                scan.next()
                return pieces
            if character == "$":
                pieces.add(self._dollar(scan))
            elif character == "'" and self._quoting:
                pieces.add_raw(self._single(scan))
            elif character == '"' and self._quoting:
                pieces.add_raw(self._double(scan, raw_escapes))
            elif scan.next() != self._escape:
                pieces.add(character)
            else:
                if raw_escapes:
                    pieces.add_raw(character)
                if scan.ended:
                    break
                pieces.add_raw(scan.next())
        if stop:
            raise _Unfinished(f"unexpected end of statement while looking for matching {stop}")
        return pieces

    def _single(self, scan: _Scan) -> str:
        scan.next()
        end = scan.text.find("'", scan.position)
        if end < 0:
            raise _Unfinished("unexpected end of statement while looking for matching single-quote")
        inside = scan.text[scan.position : end]
        scan.position = end + 1
        return f"'{inside}'" if self._raw_quotes else inside

    def _double(self, scan: _Scan, raw_escapes: bool) -> str:
        mark = scan.next() if self._raw_quotes else scan.next()[:0]
        result = [mark]
        while not scan.ended:
            character = scan.peek()
            if character == '"':
                scan.next()
                return "".join([*result, mark])
            if character == "$":
                result.append(self._dollar(scan))
                continue
            scan.next()
            if character == self._escape:
                if raw_escapes:
                    result.append(character)
                if scan.ended:
                    continue
                if scan.peek() in ('"', "$", self._escape):
                    character = scan.next()
            result.append(character)
        raise _Unfinished("unexpected end of statement while looking for matching double-quote")

    def _dollar(self, scan: _Scan) -> str:
        scan.next()
        if scan.peek() != "{":
            name = scan.name()
            if not name:
                return "$"
            return f"${name}" if self._kept(name) else self._variables.get(name, "")
        scan.next()
        if scan.ended:
            raise DockerfileError(_MISSING_BRACE)
        if scan.peek() in "{}:":
            raise DockerfileError("syntax error: bad substitution")
        return self._braced(scan, scan.name())

    def _kept(self, name: str) -> bool:
        return self._keep_unset and name not in self._variables

    def _braced(self, scan: _Scan, name: str) -> str:
        if scan.ended:
            raise DockerfileError(_MISSING_BRACE)
        modifier = scan.next()
        if modifier == "}":
            return f"${{{name}}}" if self._kept(name) else self._variables.get(name, "")
        if modifier == "/":
            return self._replace(scan, name)
        colon = modifier == ":"
        if colon:
            modifier = scan.next()
        spelled = f":{modifier}" if colon else modifier
        if not colon and modifier not in ("+", "-", "?", "#", "%"):
            raise DockerfileError(f"unsupported modifier ({spelled}) in substitution")
        argument = self._argument(scan, "}", modifier in ("#", "%"), _MISSING_BRACE)
        if self._kept(name):
            return f"${{{name}{spelled}{argument}}}"
        return self._modified(name, modifier, colon, spelled, argument)

    def _modified(self, name: str, modifier: str, colon: bool, spelled: str, argument: str) -> str:
        value = self._variables.get(name)
        missing = value is None or (colon and not value)
        match modifier:
            case "-":
                return argument if missing else value or ""
            case "+":
                return "" if missing else argument
            case "?":
                if missing:
                    what = "unset" if value is None else "empty"
                    raise DockerfileError(f"{name}: {argument or f'is not allowed to be {what}'}")
                return value or ""
            case "#" | "%":
                return _trim(value or "", modifier, argument)
        raise DockerfileError(f"unsupported modifier ({spelled}) in substitution")

    def _replace(self, scan: _Scan, name: str) -> str:
        everywhere = scan.peek() == "/"
        if everywhere:
            scan.next()
        pattern = self._argument(scan, "/", True, "syntax error: missing '/' in ${}")
        replacement = self._argument(scan, "}", True, _MISSING_BRACE)
        if self._kept(name):
            return f"${{{name}{'//' if everywhere else '/'}{pattern}/{replacement}}}"
        value = self._variables.get(name, "")
        return ShellPattern(pattern).replaced(value, replacement, everywhere)

    def _argument(self, scan: _Scan, stop: str, raw_escapes: bool, unfinished: str) -> str:
        if self._depth == _DEEPEST:
            raise DockerfileError("syntax error: substitutions are nested too deep")
        self._depth += 1
        try:
            return self._until(scan, stop, raw_escapes).text
        except _Unfinished:
            raise DockerfileError(unfinished) from None
        finally:
            self._depth -= 1


class _Unfinished(DockerfileError):
    """The text ended inside something."""


class _Scan:
    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0

    @property
    def ended(self) -> bool:
        return self.position >= len(self.text)

    def peek(self) -> str:
        return self.text[self.position : self.position + 1]

    def next(self) -> str:
        character = self.peek()
        self.position += 1
        return character

    def name(self) -> str:
        """A variable's name: letters, digits and underscores, or digits only, or one special parameter."""
        found = _NAME.match(self.text, self.position)
        if found is None:
            return ""
        self.position = found.end()
        return found[0]


class _Pieces:
    """The text so far, and the same as words."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._words: list[str] = []
        self._word: list[str] = []

    @property
    def text(self) -> str:
        return "".join(self._text)

    def add(self, text: str) -> None:
        """Text whose blanks separate words."""
        self._text.append(text)
        for character in text:
            if not character.isspace():
                self._word.append(character)
            elif self._word:
                self._end_word()

    def add_raw(self, text: str) -> None:
        """Text that belongs to the word whatever it holds."""
        if text:
            self._text.append(text)
            self._word.append(text)

    def finish(self) -> list[str]:
        """All words."""
        if self._word:
            self._end_word()
        return self._words

    def _end_word(self) -> None:
        self._words.append("".join(self._word))
        self._word = []


def _trim(value: str, side: str, argument: str) -> str:
    longest = argument.startswith(side)
    pattern = ShellPattern(argument[1:] if longest else argument)
    return (pattern.without_prefix if side == "#" else pattern.without_suffix)(value, longest)
