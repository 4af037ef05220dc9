"""Scripts that stand in for what cannot run again: they print and exit as recorded.

What is typed into a stream is stood in for where the record holds its beginning only. Commands are stood in for by
the table CANNOT_RUN.
"""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

from tests.replay import trace

CANNOT_RUN = {
    re.compile(r"\S*node\d*/bin/node "): "node is an ELF program of the runner's machine.",
    re.compile(r"sh -e /__w/_temp/\S+\.sh$"): "The script lay in a folder of the runner's machine.",
    re.compile(r"sh -c cat /etc/\*release"): "It tells the recorded image's distribution.",
}
"""Commands that are stood in for, and why."""
EXEC = re.compile(r"/containers/[0-9a-f]{64}/exec$")
CONTAINER = re.compile(r"/containers/([0-9a-f]{64})/")


class Scripts:
    """What was typed into the streams of a recording."""

    def __init__(self, events: list[trace.Event]) -> None:
        self._events = events
        self._requests = {event.number: event for event in events if event.kind == "request"}

    def input(self, event: trace.Event) -> dict[str, Any]:
        """The recorded text if the record has all of it, else a script with the recorded output and exit code."""
        if not event.cut:
            return {"text": event.data.decode()}
        output = next(e for e in self._events if e.kind == "output" and e.number == event.number)
        return {"text": script(frames(output.data), self._code(event)), "stands_in": True}

    def body(self, request: trace.Event) -> Any:
        """The request's body; a command that cannot run again is replaced by one with its output and exit code."""
        body = json.loads(request.body)
        if EXEC.search(request.target) and any(pattern.match(" ".join(body["Cmd"])) for pattern in CANNOT_RUN):
            identity = json.loads(self._answer(request.number).body)["Id"]
            start = self._find("POST", f"/exec/{identity}/start")
            end = json.loads(self._answer(self._find("GET", f"/exec/{identity}/json").number).body)
            output = next(e for e in self._events if e.kind == "output" and e.number == start.number)
            body["Cmd"] = ["sh", "-c", script(frames(output.data), end["ExitCode"])]
        return body

    def _find(self, method: str, path: str) -> trace.Event:
        return next(r for r in self._requests.values() if r.method == method and r.target.endswith(path))

    def _answer(self, number: int) -> trace.Event:
        return next(event for event in self._events if event.kind == "answer" and event.number == number)

    def _code(self, event: trace.Event) -> int:
        """The exit code that the next wait for the stream's container told."""
        container = _container(self._requests[event.number])
        for later in self._events[self._events.index(event) :]:
            request = self._requests[later.number]
            if later.kind == "answer" and request.target.split("?")[0].endswith(f"{container}/wait"):
                return int(json.loads(later.body)["StatusCode"])
        return 0


def script(output: list[tuple[int, str]], code: int) -> str:
    """A shell script that writes these pieces to its two outputs and exits with the code."""
    lines = [f"printf %s {shlex.quote(text)} >&{stream}" for stream, text in output]
    return "\n".join([*lines, f"exit {code}", ""])


def frames(data: bytes) -> list[tuple[int, str]]:
    """The whole frames of a multiplexed stream: (1 stdout or 2 stderr, text)."""
    found = []
    while len(data) >= 8:
        stream, size = data[0], int.from_bytes(data[4:8], "big")
        if stream not in (1, 2) or len(data) < 8 + size:
            break
        found.append((stream, data[8 : 8 + size].decode(errors="replace")))
        data = data[8 + size :]
    return found


def _container(request: trace.Event) -> str:
    found = CONTAINER.search(request.target)
    assert found, request.target
    return found[1]
