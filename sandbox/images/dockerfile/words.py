"""From a logical line to an instruction's name, flags and words; nothing is expanded yet."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

from sandbox.images.dockerfile.errors import DockerfileError

_BLANKS = re.compile(r"[\t\v\f\r ]+")


@dataclass(frozen=True, slots=True)
class Words:
    """A line's name as written, its flags (``--x=y``) and arguments; ``json`` if those were a JSON array.

    ``inner`` is the instruction that an ONBUILD holds, ``rest`` the text behind name and flags.
    """

    name: str
    flags: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    json: bool = False
    rest: str = ""
    inner: Words | None = None


def split_line(line: str, escape: str) -> Words:
    """Split one logical line by the rules of its instruction; DockerfileError. An unknown one has no arguments."""
    parts = _BLANKS.split(line.strip(), maxsplit=1)
    flags, rest = split_flags(parts[1]) if len(parts) == 2 else ((), "")
    rest = rest.strip()
    name = parts[0].lower()
    if name == "onbuild":
        if _BLANKS.split(rest, maxsplit=1)[0].lower() == "onbuild":  # an error of its own, and never a recursion
            return Words(parts[0], flags, ("onbuild",), False, rest)
        inner = split_line(rest, escape) if rest else None
        return Words(parts[0], flags, (inner.name, *inner.arguments) if inner else (), False, rest, inner)
    arguments, is_json = _RULES.get(name, _nothing)(rest, escape)
    return Words(parts[0], flags, tuple(arguments), is_json, rest)


def split_flags(text: str) -> tuple[tuple[str, ...], str]:
    """Take the words that begin with ``--`` off the front; quotes and backslashes in them are taken away."""
    flags: list[str] = []
    position = 0
    while True:
        while position < len(text) and text[position].isspace():
            position += 1
        if not text.startswith("--", position):
            return tuple(flags), text[position:]
        word, position = _flag(text, position)
        if word == "--":
            return tuple(flags), text[position:]
        flags.append(word)


def _flag(text: str, position: int) -> tuple[str, int]:
    word, quote = "", ""
    while position < len(text):
        character = text[position]
        if not quote and character.isspace():
            break
        position += 1
        if character == quote:
            quote = ""
        elif not quote and character in "'\"":
            quote = character
        elif character == "\\":
            word += text[position : position + 1]
            position += 1
        else:
            word += character
    return word, position


def split_words(text: str, escape: str) -> list[str]:
    """Split at blanks outside quotes; quotes and escapes stay in the words."""
    words: list[str] = []
    word, quote = "", ""
    position = 0
    while position < len(text):
        character = text[position]
        position += 1
        if not quote and character.isspace():
            if word:
                words.append(word)
            word = ""
            continue
        if character == escape and quote != "'":
            if position == len(text):
                break
            word += character + text[position]
            position += 1
            continue
        if character == quote:
            quote = ""
        elif not quote and character in "'\"":
            quote = character
        word += character
    if word:
        words.append(word)
    return words


def parse_json(text: str) -> list[str] | None:
    """A JSON array of strings; None if it is no JSON array at all. DockerfileError for one of other things."""
    if not text.startswith("["):
        return None
    try:
        found = json.loads(text, strict=True)
    except (ValueError, RecursionError):
        return None
    if not all(isinstance(item, str) for item in found):
        raise DockerfileError("when using JSON array syntax, arrays must be comprised of strings only")
    return [_whole_text(item) for item in found]


def _whole_text(text: str) -> str:
    """Half of a surrogate pair becomes the replacement character, as in Go's decoder."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


Found = tuple[list[str], bool]


def _nothing(rest: str, escape: str) -> Found:
    return [], False


def _whole(rest: str, escape: str) -> Found:
    return ([rest] if rest else []), False


def _blanks(rest: str, escape: str) -> Found:
    return (_BLANKS.split(rest) if rest else []), False


def _json_or_whole(rest: str, escape: str) -> Found:
    found = parse_json(rest)
    return (found, True) if found is not None else _whole(rest, escape)


def _json_or_blanks(rest: str, escape: str) -> Found:
    found = parse_json(rest)
    return (found, True) if found is not None else _blanks(rest, escape)


def _quoted(rest: str, escape: str) -> Found:
    return split_words(rest, escape), False


def _pairs(key: str) -> Callable[[str, str], Found]:
    """``name=value …``, or the old form ``name value`` that takes the rest of the line; flat name, value, name, …"""

    def rule(rest: str, escape: str) -> Found:
        words = split_words(rest, escape)
        if not words:
            return [], False
        if "=" not in words[0]:
            parts = _BLANKS.split(rest, maxsplit=1)
            if len(parts) < 2:
                raise DockerfileError(f"{key} must have two arguments")
            return parts, False
        found: list[str] = []
        for word in words:
            name, equals, value = word.partition("=")
            if not equals:
                quoted = json.dumps(word, ensure_ascii=False)
                raise DockerfileError(f"Syntax error - can't find = in {quoted}. Must be of the form: name=value")
            found += [name, value]
        return found, False

    return rule


def _health(rest: str, escape: str) -> Found:
    parts = rest.split(None, 1)
    if len(parts) < 2:
        return parts, False
    found, is_json = _json_or_whole(parts[1], escape)
    return [parts[0], *found], is_json


_RULES: dict[str, Callable[[str, str], Found]] = {
    "add": _json_or_blanks,
    "arg": _quoted,
    "cmd": _json_or_whole,
    "copy": _json_or_blanks,
    "entrypoint": _json_or_whole,
    "env": _pairs("ENV"),
    "expose": _blanks,
    "from": _blanks,
    "healthcheck": _health,
    "label": _pairs("LABEL"),
    "maintainer": _whole,
    "run": _json_or_whole,
    "shell": _json_or_whole,
    "stopsignal": _whole,
    "user": _whole,
    "volume": _json_or_blanks,
    "workdir": _whole,
}
