"""Makes the replay data of the recordings: `python -m tests.replay.convert TRACES` (the folder with the recordings).

One file a part of a recording (data/<name>.jsonl). Its first line holds the names of the images and a table of values
that come again (`"$<index>"` stands for one); each other line is an event. What the recorded run called by an id is
`<c1>` (a container), `<e1>` (an exec), `<n1>` (a network), `<i1>` (an image), with `:12` its first 12 digits; images
`u1` were used by their names only. Folders of the machine that was recorded are below `<host>`.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.parity import shapes
from tests.replay import standing_in, trace

DATA = Path(__file__).with_name("data")
RECORDINGS = {
    "gitlab_runner": ("gitlab-runner-14.7.1", "gitlab-runner-14.7.1-exec", "gitlab-runner-15.0.0"),
    "actions_runner_docker": ("actions-runner-2.285.3",),
    "other_clients": (None, "testcontainers-python-4.15.0", None),
}
"""The parts of each recording, in their order. None: the tests run that client itself (tests/clients)."""
LEFT_OUT = {
    re.compile(r"POST /v[\d.]+/images/create\?"): "A pull from a registry of the recorded machine.",
}
"""Requests that cannot be sent again, and why."""
CREATE = re.compile(r"POST (?:/v[\d.]+)?/(containers|networks)/create\b|POST \S*/containers/\S+/(exec)$")
IMAGE = re.compile(r"GET (?:/v[\d.]+)?/images/(.+)/json$")
SHORT_ID = re.compile(r"\b[0-9a-f]{12}\b")
HOST_PATH = re.compile(r"^(?=/(?:srv|tmp|work|root|home)/|/var/run/docker\.sock)")
SENT = ("Content-Type", "Connection", "Upgrade", "X-Registry-Auth", "X-Registry-Config", "Transfer-Encoding")
COMPARED = ("Content-Type", "Connection", "Upgrade")
PREDEFINED = {"bridge", "host", "none"}
WORTH = 24
"""Shorter values than this are not worth a place in the table."""


class Names:
    """Gives every id of a recording its name."""

    def __init__(self, events: list[trace.Event]) -> None:
        self.ids: dict[str, str] = {}
        self.images: dict[str, str] = {}
        self.networks = set(PREDEFINED)
        requests = {event.number: event for event in events if event.kind == "request"}
        for event in events:
            if event.kind == "answer" and event.status in (200, 201) and event.number in requests:
                self._learn(requests[event.number], event)
        for request in requests.values():
            self._name_image(json.loads(request.body or "null"))

    def put(self, value: Any) -> Any:
        """The value with names instead of ids, in keys too."""
        if isinstance(value, dict):
            return {self.text(key): self.put(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.put(item) for item in value]
        return self.text(value) if isinstance(value, str) else value

    def text(self, text: str) -> str:
        for identity, name in self.ids.items():
            text = text.replace(identity, f"<{name}>")
        return SHORT_ID.sub(self._short, text)

    def knows(self, item: dict[str, Any]) -> bool:
        """Whether an item of a list is whole and not a network that others left on the recorded engine."""
        return "Name" not in item or (item["Name"] in self.networks and "IPAM" in item)

    def _learn(self, request: trace.Event, answer: trace.Event) -> None:
        line = f"{request.method} {request.target}"
        if found := CREATE.match(line):
            kind = (found[1] or found[2])[0]
            count = sum(name.startswith(kind) for name in self.ids.values())
            self.ids[json.loads(answer.body)["Id"]] = f"{kind}{count + 1}"
            if kind == "n":
                self.networks.add(json.loads(request.body)["Name"])
        elif found := IMAGE.match(line):
            identity = trace.parse(answer.body, answer.cut)["Id"].removeprefix("sha256:")
            if identity not in self.ids:
                self.ids[identity] = f"i{len(self.images) + 1}"
                self.images[self.ids[identity]] = found[1]

    def _name_image(self, body: Any) -> None:
        """An image that is used by its name only has no id to be known by."""
        name = body.get("Image", "") if isinstance(body, dict) else ""
        if name and name not in self.images.values() and not name.startswith("sha256:"):
            self.images[f"u{len(self.images) + 1}"] = name

    def _short(self, found: re.Match[str]) -> str:
        names = [name for identity, name in self.ids.items() if identity.startswith(found[0])]
        return f"<{names[0]}:12>" if names else found[0]


def convert(events: list[trace.Event]) -> Iterator[dict[str, Any]]:
    """The lines of a data file, the first one without its table."""
    names = Names(events)
    scripts = standing_in.Scripts(events)
    yield {"images": names.images}
    left_out = {event.number for event in events if _left_out(event)}
    for event in events:
        if event.number in left_out:
            continue
        yield {"do": event.kind, "n": event.number, **_details(event, names, scripts)}


def _left_out(event: trace.Event) -> bool:
    return any(pattern.match(f"{event.method} {event.target}") for pattern in LEFT_OUT)


def _details(event: trace.Event, names: Names, scripts: standing_in.Scripts) -> dict[str, Any]:
    if event.kind == "request":
        return _request(event, names, scripts)
    if event.kind == "answer":
        return _answer(event, names)
    if event.kind == "input":
        return scripts.input(event)
    return {"frames": standing_in.frames(event.data), **({"cut": True} if event.cut else {})}


def _request(event: trace.Event, names: Names, scripts: standing_in.Scripts) -> dict[str, Any]:
    headers = {name: value for name, value in event.headers.items() if name in SENT}
    found: dict[str, Any] = {"method": event.method, "target": names.text(event.target), "headers": headers}
    if event.body:
        found["body"] = _on_host(names.put(scripts.body(event)))
    return found


def _on_host(value: Any, key: str = "") -> Any:
    """The value with the folders that it binds below `<host>`."""
    if isinstance(value, dict):
        return {name: _on_host(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_on_host(item, key) for item in value]
    return HOST_PATH.sub("<host>", value) if key in ("Binds", "Source") and isinstance(value, str) else value


def _answer(event: trace.Event, names: Names) -> dict[str, Any]:
    headers = {name: event.headers[name] for name in COMPARED if name in event.headers}
    found: dict[str, Any] = {"status": event.status, "headers": headers}
    if event.body and event.headers.get("Content-Type") == "application/json":
        value = trace.parse(event.body, event.cut)
        if isinstance(value, list):
            value = [item for item in value if names.knows(item)]
        if value or not event.cut:
            found["body"] = _on_host(shapes.stable(names.put(value)))
    if event.cut:
        found["cut"] = True
    return found


def compact(lines: list[dict[str, Any]]) -> list[str]:
    """The lines as JSON, values that come again moved to a table in the first."""
    seen: Counter[str] = Counter()
    for line in lines:
        _count(line, seen)
    table: dict[str, int] = {}
    shared = {text for text, count in seen.items() if count > 1 and len(text) >= WORTH}
    rest = [_dump(_shorten(line, shared, table)) for line in lines[1:]]
    values: list[Any] = []
    while len(values) < len(table):
        values += [_shorten_inside(json.loads(text), shared, table) for text in list(table)[len(values) :]]
    return [_dump({**lines[0], "table": values}), *rest]


def _count(value: Any, seen: Counter[str]) -> None:
    seen[_dump(value)] += 1
    if seen[_dump(value)] > 1:
        return
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _count(item, seen)


def _shorten(value: Any, shared: set[str], table: dict[str, int]) -> Any:
    text = _dump(value)
    if text in shared:
        return f"${table.setdefault(text, len(table))}"
    return _shorten_inside(value, shared, table)


def _shorten_inside(value: Any, shared: set[str], table: dict[str, int]) -> Any:
    if isinstance(value, dict):
        return {key: _shorten(item, shared, table) for key, item in value.items()}
    if isinstance(value, list):
        return [_shorten(item, shared, table) for item in value]
    return value


def _dump(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def main(folder: Path) -> None:
    for recording, parts in RECORDINGS.items():
        sections = trace.sections((folder / f"{recording}.txt").read_text(errors="replace"))
        for name, events in zip(parts, sections, strict=True):
            if name:
                path = DATA / f"{name}.jsonl"
                path.write_text("\n".join(compact(list(convert(events)))) + "\n")
                print(path.name, path.stat().st_size)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
