"""Reads a recorded conversation: requests, answers and taken-over streams in the order in which they were seen.

`#n [seconds] METHOD target HTTP/1.1`, `H>` its headers, `B>` its body; `#n < HTTP/1.1 status reason | headers`, `B<`
the body, cut at some length; `#n hijack c->s closed after N bytes; head b'…'` what a stream's one direction carried.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

REQUEST = re.compile(r"#(\d+) \[[\d.]+\] ([A-Z]+) (\S+) HTTP/1\.1$")
ANSWER = re.compile(r"#(\d+) < HTTP/1\.1 (\d+)[^|]*(?:\| (.*))?$")
STREAM = re.compile(r"#(\d+) hijack (c->s|s->c) closed after (\d+) bytes; head (b['\"].*)$")
BINARY = re.compile(r"<\d+ bytes binary (b['\"].*)>$")
CUT = re.compile(r"(?:\.\.\.)?<\d+ bytes>$")
HEADER = re.compile(r"([A-Z][\w-]*): (.*?)(?=; [A-Z][\w-]*: |$)")
OTHER = re.compile(r"CLI: |\(omitted|####|!! |# |$")


@dataclass
class Event:
    """`kind` is request, answer, input (of a stream, client to server) or output. `cut`: a part is all there is."""

    kind: str
    number: int
    method: str = ""
    target: str = ""
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    data: bytes = b""
    cut: bool = False


def sections(text: str) -> list[list[Event]]:
    """The events of each part of a recording; a line of `####` begins a new one."""
    parts = re.split(r"^####.*$", text, flags=re.MULTILINE)
    return [found for part in parts if (found := list(events(part.split("\n"))))]


def events(lines: list[str]) -> Iterator[Event]:
    current: Event | None = None
    for line in lines:
        begun = _begin(line)
        if begun is None and current is not None:
            _continue(current, line)
        elif begun is not None:
            if current is not None:
                yield _finished(current)
            current = begun
    if current is not None:
        yield _finished(current)


def _begin(line: str) -> Event | None:
    if found := REQUEST.match(line):
        return Event("request", int(found[1]), method=found[2], target=found[3])
    if found := ANSWER.match(line):
        return Event("answer", int(found[1]), status=int(found[2]), headers=_headers(found[3] or ""))
    if found := STREAM.match(line):
        data = ast.literal_eval(found[4])
        kind = "input" if found[2] == "c->s" else "output"
        return Event(kind, int(found[1]), data=data, cut=len(data) < int(found[3]))
    return None


def _continue(event: Event, line: str) -> None:
    if line.startswith("   H> "):
        event.headers = _headers(line[6:])
    elif line.startswith(("   B> ", "   B< ")):
        event.body = line[6:]
    elif event.kind == "answer" and event.body and not OTHER.match(line):
        event.body += "\n" + line


def _finished(event: Event) -> Event:
    if found := BINARY.match(event.body):
        event.data, event.body, event.cut = ast.literal_eval(found[1]), "", True
    elif CUT.search(event.body):
        event.body, event.cut = CUT.sub("", event.body), True
    return event


def _headers(text: str) -> dict[str, str]:
    pairs = HEADER.findall(text.removesuffix(" (HIJACKED)"))
    return dict(pairs)


def parse(text: str, cut: bool) -> Any:
    """The JSON value; of a cut text, all of it that is whole."""
    if not cut:
        return json.loads(text)
    closers: list[str] = []
    whole = ("", "")
    quoted = escaped = False
    for index, char in enumerate(text):
        if quoted:
            quoted, escaped = escaped or char != '"', char == "\\" and not escaped
            continue
        if char == '"':
            quoted = True
        elif char in "{[":
            closers.append("}" if char == "{" else "]")
        elif char in "}]":
            closers.pop()
            whole = (text[: index + 1], "".join(reversed(closers)))
        elif char == ",":
            whole = (text[:index], "".join(reversed(closers)))
    return json.loads("".join(whole))
