"""Plays the data of a recording on an engine: real sockets, the recorded order, streams kept open as recorded.

A request is sent when its line comes and its answer is awaited when that line comes, so that what overlapped overlaps
again. What is typed into a stream is sent as soon as the stream is taken over; its line closes the sending half.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.parity import shapes
from tests.replay import standing_in
from tests.replay.call import Call

DATA = Path(__file__).with_name("data")
STREAMS = {1: "stdout", 2: "stderr"}
NAME = re.compile(r"<([cnei]\d+)(:12)?>")
SHARED = re.compile(r"\$(\d+)")
ID = re.compile(r"\b[0-9a-f]{64}\b|\b[0-9a-f]{12}\b")


@dataclass
class Outcome:
    """One recorded answer or output (`theirs`) and ours, by part."""

    what: str
    ours: dict[str, str]
    theirs: dict[str, str]


class Player:
    """Plays one data file. `host` stands for the folders of the machine that was recorded.

    The ids of ours are learnt from the answers; those of the images (`images`: name in the data to image) are given.
    """

    def __init__(self, path: str, data: Path, host: Path) -> None:
        self._path = path
        self._host = str(host)
        first, *rest = data.read_text().strip().split("\n")
        head = json.loads(first)
        self.images: dict[str, str] = head["images"]
        self._table = head["table"]
        self.lines = [self._expand(json.loads(line)) for line in rest]
        self._typed = {line["n"]: line["text"].encode() for line in self.lines if line["do"] == "input"}
        self._ids: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._labels: dict[int, str] = {}
        self._calls: dict[int, Call] = {}

    def play(self, images: dict[str, str]) -> Iterator[Outcome]:
        """Plays all lines; an outcome for each answer and each output."""
        for name, identity in images.items():
            if NAME.fullmatch(f"<{name}>"):
                self._learn(name, identity)
        with contextlib.ExitStack() as connections:
            for line in self.lines:
                if line["do"] == "request":
                    connections.callback(self._request(line).close)
                elif line["do"] == "answer":
                    yield self._answer(line)
                elif line["do"] == "input":
                    self._calls[line["n"]].close_input()
                else:
                    yield self._output(line)

    def _request(self, line: dict[str, Any]) -> Call:
        path = re.sub(r"^/v[\d.]+", "", line["target"].partition("?")[0])
        self._labels[line["n"]] = f"#{line['n']} {line['method']} {path}"
        call = self._calls[line["n"]] = Call(self._path, self._typed.get(line["n"], b""))
        body = self._ours(json.dumps(line["body"])).encode() if "body" in line else None
        call.start(line["method"], self._ours(line["target"]), body, line["headers"])
        if path.endswith("/wait"):
            call.wait_head()  # as clients do before they start what they wait for
        return call

    def _answer(self, line: dict[str, Any]) -> Outcome:
        call = self._calls[line["n"]]
        call.wait_answer()
        ours = {"status": str(call.status), **{name: call.headers.get(name.lower(), "") for name in line["headers"]}}
        theirs = {"status": str(line["status"]), **line["headers"]}
        if "body" in line:
            value = json.loads(call.body or b"null")
            self._learn_answer(line["body"], value)
            mine = shapes.leaves(shapes.stable(json.loads(self._theirs(json.dumps(value)))))
            mine, recorded = shapes.compare(mine, shapes.leaves(line["body"]))
            kept = [part for part in recorded if not (line.get("cut") and _cut_off(part, recorded[part]))]
            ours |= {part: mine[part] for part in kept}
            theirs |= {part: recorded[part] for part in kept}
        return Outcome(self._labels[line["n"]], ours, theirs)

    def _output(self, line: dict[str, Any]) -> Outcome:
        data = self._calls[line["n"]].wait_end()
        ours, theirs = _by_stream(standing_in.frames(data)), _by_stream(line["frames"])
        return Outcome(f"{self._labels[line['n']]} output", ours, theirs)

    def _learn_answer(self, recorded: Any, value: Any) -> None:
        if isinstance(recorded, dict) and isinstance(value, dict):
            found = NAME.fullmatch(str(recorded.get("Id", "")))
            if found and found[1] not in self._ids and "Id" in value:
                self._learn(found[1], value["Id"])

    def _learn(self, name: str, identity: str) -> None:
        self._ids[name] = identity
        self._names[identity] = f"<{name}>"
        self._names[identity[:12]] = f"<{name}:12>"

    def _ours(self, text: str) -> str:
        text = NAME.sub(lambda found: self._ids[found[1]][: 12 if found[2] else None], text)
        return text.replace("<host>", self._host)

    def _theirs(self, text: str) -> str:
        text = ID.sub(lambda found: self._names.get(found[0], found[0]), text)
        return text.replace(self._host, "<host>")

    def _expand(self, value: Any) -> Any:
        if isinstance(value, str) and (found := SHARED.fullmatch(value)):
            return self._expand(self._table[int(found[1])])
        if isinstance(value, dict):
            return {key: self._expand(item) for key, item in value.items()}
        return [self._expand(item) for item in value] if isinstance(value, list) else value


def _cut_off(part: str, recorded: str) -> bool:
    """Whether the record's end cut it off, or the name of the item that it belongs to."""
    return recorded == shapes.ABSENT or "[]." in part


def _by_stream(frames: list[Any]) -> dict[str, str]:
    return {name: "".join(text for stream, text in frames if stream == number) for number, name in STREAMS.items()}
