"""How recordings are read and made compact, and that the data holds what it is there for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.replay import convert, standing_in, trace
from tests.replay.player import DATA, Player

FRAMES = r"\x01\0\0\0\0\0\0\x03hi\n\x02\0\0\0\0\0\0\0"
SAMPLE = """# a recording
#1 [0.1] POST /v1.41/containers/create?name=x HTTP/1.1
   H> User-Agent: Go-http-client/1.1; Content-Type: application/json
   B> {"Image":"busybox"}
#2 [0.2] HEAD /_ping HTTP/1.1
#1 < HTTP/1.1 201 Created | Api-Version: 1.51; Content-Type: application/json; Content-Length: 88
   B< {"Id":"%s","Warnings":[]}
#2 < HTTP/1.1 200 OK | Content-Type: text/plain; charset=utf-8; Ostype: linux
CLI: docker start x
#3 [0.3] POST /v1.41/containers/%s/attach?stream=1 HTTP/1.1
#3 < HTTP/1.1 101 UPGRADED | Content-Type: application/vnd.docker.raw-stream; Upgrade: tcp (HIJACKED)
#3 hijack c->s closed after 400 bytes; head b'#!/bin/sh\\nset -e'
#4 [0.4] POST /v1.41/containers/%s/wait HTTP/1.1
#3 hijack s->c closed after 19 bytes; head b'%f'
#4 < HTTP/1.1 200 OK | Content-Type: application/json
   B< {"StatusCode":3}
""".replace("%s", "ab" * 32).replace("%f", FRAMES)
RUNNERS = ("gitlab-runner-14.7.1", "gitlab-runner-15.0.0")


def test_a_recording_becomes_events() -> None:
    (events,) = trace.sections(SAMPLE)
    ping = next(event for event in events if event.kind == "answer" and event.number == 2)
    assert [(event.kind, event.number) for event in events[:4]] == [
        ("request", 1), ("request", 2), ("answer", 1), ("answer", 2),
    ]  # fmt: skip
    assert ping.headers == {"Content-Type": "text/plain; charset=utf-8", "Ostype": "linux"}


def test_ids_get_names_and_cut_scripts_a_stand_in() -> None:
    (events,) = trace.sections(SAMPLE)
    head, *lines = convert.convert(events)
    assert head == {"images": {"u1": "busybox"}}
    assert lines[2]["body"] == {"Id": "<c1>", "Warnings": []}
    assert lines[4]["target"] == "/v1.41/containers/<c1>/attach?stream=1"
    typed = next(line for line in lines if line["do"] == "input")
    assert typed["text"] == "printf %s 'hi\n' >&1\nprintf %s '' >&2\nexit 3\n"


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ('{"a":1,"b":"x', {"a": 1}),
        ('{"a":[1,2,{"b":"]"},{"c', {"a": [1, 2, {"b": "]"}]}),
        ('[{"a":"\\",{"},{"b":2,', [{"a": '",{'}, {"b": 2}]),
    ],
)
def test_of_a_cut_body_all_that_is_whole_is_kept(text: str, whole: Any) -> None:
    assert trace.parse(text, cut=True) == whole


def test_frames_end_at_the_first_that_is_not_whole() -> None:
    frame = b"\x02\x00\x00\x00\x00\x00\x00\x02no"
    assert standing_in.frames(frame + frame[:9]) == [(2, "no")]


def test_compact_lines_expand_to_what_they_were(tmp_path: Path) -> None:
    shared = {"long": ["a value that comes again and again", "a value that comes again and again"]}
    lines: list[dict[str, Any]] = [
        {"images": {}},
        *({"do": "input", "n": n, "text": "", "more": shared} for n in range(3)),
    ]
    path = tmp_path / "x.jsonl"
    path.write_text("\n".join(convert.compact(lines)) + "\n")
    assert Player("", path, tmp_path).lines == lines[1:]
    assert path.read_text().count("comes again") == 1


@pytest.mark.parametrize("recording", RUNNERS)
def test_the_runners_recordings_hold_what_makes_them_hard(recording: str, tmp_path: Path) -> None:
    lines = Player("", DATA / f"{recording}.jsonl", tmp_path).lines
    bodies = [json.dumps(line["body"]) for line in lines if line["do"] == "request" and "body" in line]
    targets = [line["target"] for line in lines if line["do"] == "request"]
    starts = [target for target in targets if target.endswith("/start")]
    assert len(set(starts)) < len(starts), "a container is started again after its exit"
    assert any("cache-init" in body for body in bodies), "permission containers"
    assert any('"WAIT_FOR_SERVICE_TCP_ADDR=<c11:12>"' in body for body in bodies), "a service by its short id"
    assert any('"Links": ["<c26>:' in body for body in bodies), "a service by a legacy link"
    assert any(target.endswith("/networks/create") for target in targets), "a network of the build's own"
    assert len([line for line in lines if line["do"] == "input"]) == 19


def test_the_data_stays_small() -> None:
    assert sum(path.stat().st_size for path in DATA.iterdir()) < 300_000
