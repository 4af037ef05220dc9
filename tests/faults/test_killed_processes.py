"""kill -9 at awkward moments, SIGTERM with open streams: after it each thing is entirely there or entirely gone."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from http.client import HTTPException

import pytest

from tests.faults.place import BASE, TAR, Place, open_stream, read_all, read_until
from tests.faults.tars import config, docker_archive, entry, tar
from tests.waiting import eventually

ROUNDS = 4
PATIENCE = 0.04  # seconds over which the kills of a kind are spread


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """An appliance whose worker is killed again and again."""
    place = Place(tmp_path_factory.mktemp("m")).up()
    yield place
    place.appliance.stop()


def tried(place: Place, method: str, path: str, body: object = None) -> int:
    """The status of a request to a worker that may die meanwhile; 503 is the frontend's word for that, 0 silence."""
    with suppress(OSError, HTTPException):
        return place.request(method, path, body, TAR if isinstance(body, bytes) else None).status
    return 0


def interrupted(place: Place, work: Callable[[], object], delay: float) -> None:
    """Kill the worker ``delay`` seconds into ``work``, and wait until it serves again."""
    old = place.pid("memory")
    thread = threading.Thread(target=work)
    timer = threading.Timer(delay, os.kill, (old, signal.SIGKILL))
    thread.start()
    timer.start()
    timer.join()
    thread.join(60)
    eventually(lambda: place.pid("memory") not in (0, old) and place.appliance.ready())


def consistent(place: Place) -> None:
    """Everything that is listed can be looked at, used and removed; nothing unlisted is on the disk."""
    census = place.census()
    for container in census["containers"]:
        found = place.request("GET", f"/containers/{container}/json").json
        assert found["State"]["Status"] in ("created", "exited"), found["State"]
        assert place.request("GET", f"/containers/{container}/archive?path=/etc").status == 200
    on_disk = {path.name for path in (place.data / "memory" / "containers").iterdir()}
    assert on_disk == set(census["containers"])
    assert {path.name for path in (place.data / "memory" / "volumes").iterdir()} == set(census["volumes"])
    for image in census["images"]:
        assert place.request("GET", f"/images/{image}/json").status == 200
    ran = place.docker("run", "--rm", BASE, "echo", "alive")
    assert (ran.code, ran.stdout, ran.stderr) == (0, "alive\n", "")


def delays() -> list[float]:
    return [PATIENCE * number / ROUNDS for number in range(ROUNDS)]


def test_killed_in_creating(mortal: Place) -> None:
    for number, delay in enumerate(delays()):
        names = [f"made-{number}-{n}" for n in range(20)]
        body = {"Image": BASE, "Cmd": ["true"], "HostConfig": {"Binds": [f"v{number}:/bin", "/also"]}}
        status: dict[str, int] = {}

        def work(names: list[str] = names, body: object = body, status: dict[str, int] = status) -> None:
            for name in names:
                status[name] = tried(mortal, "POST", f"/containers/create?name={name}", body)

        interrupted(mortal, work, delay)
        listed = {found["Names"][0][1:] for found in mortal.request("GET", "/containers/json?all=1").json}
        assert {name for name in names if status.get(name) == 201} <= listed
        consistent(mortal)
        for name in listed:
            mortal.remove(name)
    for volume in mortal.census()["volumes"]:
        assert mortal.request("DELETE", f"/volumes/{volume}").status == 204
    assert mortal.census()["volumes"] == []


def test_killed_in_starting(mortal: Place) -> None:
    for number, delay in enumerate(delays()):
        for n in range(6):
            mortal.create(f"begun-{number}-{n}", "sleep", "1000")

        def work(number: int = number) -> None:
            for n in range(6):
                tried(mortal, "POST", f"/containers/begun-{number}-{n}/start")

        interrupted(mortal, work, delay)
        consistent(mortal)
        for n in range(6):
            state = mortal.state(f"begun-{number}-{n}")
            assert (state["Running"], state["Pid"]) == (False, 0)
            mortal.start(f"begun-{number}-{n}")
            mortal.remove(f"begun-{number}-{n}")


def test_killed_in_removing(mortal: Place) -> None:
    for number, delay in enumerate(delays()):
        names = [f"gone-{number}-{n}" for n in range(8)]
        for name in names:
            mortal.started(name, "sh", "-c", "echo x > /file; exec sleep 1000", host={"Binds": ["/anonymous"]})

        def work(names: list[str] = names) -> None:
            for name in names:
                tried(mortal, "DELETE", f"/containers/{name}?force=1&v=1")

        interrupted(mortal, work, delay * 3)
        consistent(mortal)
        for name in names:
            assert tried(mortal, "DELETE", f"/containers/{name}?force=1&v=1") in (204, 404)
    assert mortal.census()["containers"] == []


def test_killed_in_loading(mortal: Place) -> None:
    before = mortal.files()
    for number, delay in enumerate(delays()):
        layers = [tar(entry(f"{number}-{n}", os.urandom(200_000))) for n in range(4)]
        archive = docker_archive(f"loaded:{number}", config(*layers), *layers)
        interrupted(mortal, partial(tried, mortal, "POST", "/images/load", archive), delay)
        consistent(mortal)
        listed = mortal.request("GET", f"/images/loaded:{number}/json").status
        assert listed in (200, 404)
        if listed == 200:
            assert mortal.request("DELETE", f"/images/loaded:{number}").status == 200
    mortal.request("POST", "/images/load", archive, TAR)  # whoever comes next removes what the dead have left
    mortal.request("DELETE", f"/images/loaded:{number}")
    left = [name for name in mortal.files() - before if name.startswith("images/")]
    assert [name for name in left if "scratch" in name] == []


def test_killed_in_copying(mortal: Place) -> None:
    """Of the files of a copy each is whole, or not there."""
    mortal.create("target", "true")
    content = os.urandom(100_000)
    for delay in delays():
        data = tar(*(entry(f"file-{n}", content) for n in range(20)))
        interrupted(mortal, partial(tried, mortal, "PUT", "/containers/target/archive?path=/tmp", data), delay)
        consistent(mortal)
        assert mortal.request("PUT", "/containers/target/archive?path=/tmp", data, TAR).status == 200
        got = mortal.request("GET", "/containers/target/archive?path=/tmp/file-19").body
        assert content in got
    mortal.remove("target")


def test_killed_again_and_again(mortal: Place) -> None:
    mortal.request("POST", "/volumes/create", {"Name": "kept"})
    mortal.request("POST", "/networks/create", {"Name": "kept"})
    mortal.create("kept", "sh", "-c", "echo more >> /data/log; cat /data/log", host={"Binds": ["kept:/data"]})
    before = mortal.census()
    for number in range(ROUNDS):
        mortal.kill("memory", signal.SIGKILL)
        assert mortal.census() == before
        ran = mortal.docker("start", "-a", "kept")
        assert (ran.code, ran.stdout) == (0, "more\n" * (number + 1))
    mortal.remove("kept")


def test_a_killed_worker_ends_the_streams_of_its_containers(own: Place) -> None:
    own.started("talker", "sh", "-c", "while :; do echo line; usleep 1000; done")
    streams = [
        open_stream(own, b"POST /containers/talker/attach?stream=1&stdout=1"),
        open_stream(own, b"GET /containers/talker/logs?stdout=1&follow=1"),
        open_stream(own, b"GET /events?since=1"),
        open_stream(own, b"POST /containers/talker/wait"),
    ]
    for stream in streams:
        read_until(stream, b"\r\n\r\n")
    own.kill("memory", signal.SIGKILL)
    for stream in streams:
        read_all(stream)
        stream.close()
    assert own.state("talker")["ExitCode"] == 137


def test_a_killed_frontend_leaves_containers_alone(own: Place) -> None:
    own.started("talker", "sh", "-c", "i=0; while :; do echo line $i; i=$((i+1)); usleep 1000; done")
    exec_id = own.request("POST", "/containers/talker/exec", {"Cmd": ["sleep", "1000"], "AttachStdout": True}).json[
        "Id"
    ]
    streams = [
        open_stream(own, b"POST /containers/talker/attach?stream=1&stdout=1"),
        open_stream(own, b"GET /containers/talker/logs?stdout=1&follow=1"),
        open_stream(own, b"POST /exec/%s/start" % exec_id.encode(), b"{}"),
        open_stream(own, b"PUT /containers/talker/archive?path=/tmp", b"\0" * 512),
    ]
    worker = own.pid("memory")
    before = own.usage("memory").descriptors
    for _ in range(3):
        own.kill("frontend", signal.SIGKILL)
    for stream in streams:
        read_all(stream)
        stream.close()
    assert own.pid("memory") == worker
    assert own.state("talker")["Running"] is True
    lines = own.docker("logs", "--tail", "2000", "talker").stdout.splitlines()
    numbers = [int(line.removeprefix("line ")) for line in lines]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    eventually(lambda: own.usage("memory").descriptors <= before + 4)


@pytest.mark.parametrize("busy", ["streams", "containers"])
def test_sigterm_ends_everything_quickly(own: Place, busy: str) -> None:
    streams: list[socket.socket] = []
    count = 1 if busy == "streams" else 30
    for number in range(count):
        script = "trap '' TERM; while :; do echo line; usleep 2000; done" if count == 1 else "trap '' TERM; sleep 1000"
        own.started(f"busy-{number}", "sh", "-c", script)
    for _ in range(20):
        for request in (
            b"POST /containers/busy-0/attach?stream=1&stdout=1",
            b"GET /containers/busy-0/logs?stdout=1&follow=1",
            b"GET /events",
            b"POST /containers/busy-0/wait",
        ):
            streams.append(open_stream(own, request))
            read_until(streams[-1], b"\r\n\r\n")
    began = time.monotonic()
    assert own.down() < 12
    for stream in streams:
        read_all(stream)
        stream.close()
    assert time.monotonic() - began < 15
    own.up()
    assert own.state("busy-0")["Running"] is False
    consistent(own)
