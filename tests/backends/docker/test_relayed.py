"""Debian's dockerd behind the docker worker is to its clients what it is without: a differential oracle."""

from __future__ import annotations

import http.client
import json
import re
import socket
from pathlib import Path

import pytest

from tests.clients import scripts
from tests.clients.engine import Engine
from tests.clients.scripts import empty
from tests.oracle.tools import tool
from tests.parity import replay

pytestmark = pytest.mark.slow
SCRIPTS = sorted(path.stem for path in scripts.FOLDER.glob("*.sh"))
VERSION = "v1.41"
DATE = re.compile(rb"\r\nDate: [^\r]*")
CHANGING = re.compile(rb"\"(SystemTime|read|preread)\":\"[^\"]*\"|\"N(Goroutines|Fd|EventsListener)\":\d+")
LENGTHS = re.compile(rb"\r\nContent-Length: \d+|\r\n[0-9a-f]+\r\n")  # of an answer that changes


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_command_line_says_the_same(script: str, oracle: Engine, relayed: Engine) -> None:
    assert scripts.play(relayed, script) == scripts.play(oracle, script)


def test_the_request_table_is_answered_the_same(oracle: Engine, relayed: Engine) -> None:
    answers = []
    for engine in (oracle, relayed):
        empty(engine)
        answers.append(replay.play(engine.socket, VERSION))
        empty(engine)
    assert answers[0] == answers[1]


def raw(engine: Engine, method: str, target: str) -> bytes:
    """An answer to its last byte, the head included, but for what tells the time."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(30)
        connection.connect(engine.socket)
        connection.sendall(f"{method} {target} HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n".encode())
        data = b""
        while piece := connection.recv(65536):
            data += piece
    data = DATE.sub(b"", data)
    same = CHANGING.sub(b"", data)
    return data if same == data else LENGTHS.sub(b"", same)


def test_answers_are_the_same_byte_by_byte(behind: Engine, relayed: Engine) -> None:
    found = behind.ok("create", "--name", "bytes", "sockerless/base", "true")
    targets = [
        ("GET", "/_ping"), ("HEAD", "/_ping"), ("GET", "/version"), ("GET", "/info"), ("GET", "/images/json"),
        ("GET", f"/v1.41/containers/{found}/json?size=1"), ("GET", "/v1.24/containers/json?all=1"),
        ("HEAD", "/containers/bytes/archive?path=/etc/passwd"), ("GET", "/containers/bytes/archive?path=/etc/passwd"),
        ("GET", "/containers/nosuch/json"), ("GET", "/v9.9/info"), ("GET", "/networks/bridge"), ("GET", "/volumes"),
        ("GET", "/nosuch"), ("DELETE", "/containers/a%2Fb"), ("GET", "/images/sockerless/base/history"),
        ("POST", "/containers/bytes/wait?condition=bad"), ("OPTIONS", "/containers/json"), ("GET", "/swarm"),
        ("GET", "/events?until=1"), ("GET", "/images/sockerless/base/get"),
    ]  # fmt: skip
    answers = [(target, raw(behind, *target), raw(relayed, *target)) for target in targets]
    behind.ok("rm", "bytes")
    assert [answer for answer in answers if answer[1] != answer[2]] == []


def test_builds_and_archives(relayed: Engine, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM sockerless/base\nCOPY file /copied\nRUN cat /copied > /run-it\n")
    (tmp_path / "file").write_text("content\n")
    built = relayed.run(
        [tool("docker"), "build", "-q", "-t", "relayed-build", "."], cwd=tmp_path, env={"DOCKER_BUILDKIT": "0"}
    )
    assert built.code == 0, built
    assert relayed.ok("run", "--rm", "relayed-build", "cat", "/run-it") == "content"
    relayed.ok("save", "-o", str(tmp_path / "image.tar"), "relayed-build")
    relayed.ok("rmi", "relayed-build")
    assert relayed.ok("load", "-q", "-i", str(tmp_path / "image.tar")) == "Loaded image: relayed-build:latest"
    relayed.ok("rmi", "relayed-build")


def test_large_streams_both_ways(relayed: Engine) -> None:
    text = "".join(f"{number}\n" for number in range(400_000))
    assert relayed.docker("run", "-i", "--rm", "sockerless/base", "cat", input=text).stdout == text


def test_a_terminal(relayed: Engine) -> None:
    command = "until stty size | grep 33; do true; done; read line; echo got $line"
    script = f"docker run -it --rm sockerless/base sh -c '{command}'"
    done = relayed.run(["script", "-qec", f"stty rows 33 cols 99; {script}", "/dev/null"], input="word\n")
    assert done.code == 0, done
    assert "33 99" in done.stdout
    assert "got word" in done.stdout


def test_events_and_following_logs_end_when_their_client_does(relayed: Engine) -> None:
    relayed.ok("run", "-d", "--name", "talker", "sockerless/base", "sh", "-c", "while sleep 0.1; do echo tick; done")
    logs = relayed.run([tool("timeout"), "-s", "INT", "2", tool("docker"), "logs", "-f", "talker"])
    assert logs.stdout.startswith("tick\ntick\n")
    listeners = _listeners(relayed)
    events = relayed.run([tool("timeout"), "-s", "INT", "1", tool("docker"), "events"])
    assert events.code in (124, 130)
    relayed.ok("rm", "-f", "talker")
    assert _listeners(relayed) == listeners


def _listeners(engine: Engine) -> int:
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(engine.socket)
    connection.request("GET", "/info")
    found: int = json.loads(connection.getresponse().read())["NEventsListener"]
    connection.close()
    return found
