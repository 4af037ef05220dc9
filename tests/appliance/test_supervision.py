"""The appliance as a user meets it: real processes, real sockets."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.config import Config
from appliance.supervision import Appliance
from tests.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]


def sockerless(*arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "appliance", *arguments],
        cwd=ROOT,
        env={k: v for k, v in os.environ.items() if not k.startswith("SOCKERLESS_") or k == "SOCKERLESS_CACHE"},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


class Place:
    """A run and a data directory of the test's own."""

    def __init__(self, base: Path) -> None:
        self.run, self.data = base / "r", base / "d"
        self.flags = ("--run-dir", str(self.run), "--data-dir", str(self.data))
        self.socket = self.run / "docker.sock"

    @property
    def appliance(self) -> Appliance:
        return Appliance(Config(run_dir=self.run, data_dir=self.data))

    def request(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("localhost", timeout=60)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(self.socket))
        payload = None if body is None else json.dumps(body)
        connection.request(method, path, payload, {"Content-Type": "application/json"} if payload else {})
        response = connection.getresponse()
        text = response.read()
        connection.close()
        return response.status, json.loads(text) if text.startswith((b"{", b"[")) else text

    def pid(self, name: str) -> int:
        return next(p.pid for p in self.appliance.processes() if p.name == name)


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    place = Place(tmp_path_factory.mktemp("a"))
    yield place
    place.appliance.stop()


@pytest.fixture
def up(place: Place) -> Place:
    result = sockerless("up", *place.flags)
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"Ready. Docker clients find it by:\n\n  export DOCKER_HOST=unix://{place.socket}\n\n"
    return place


def test_up_status_logs_down(up: Place) -> None:
    assert up.request("GET", "/_ping") == (200, b"OK")
    assert oct(up.socket.stat().st_mode & 0o777) == "0o660"
    assert all(process.description.startswith(f"pid {process.pid}") for process in up.appliance.processes())
    eventually(lambda: {p.state for p in up.appliance.processes()} == {"RUNNING"})
    status = sockerless("status", *up.flags)
    assert (status.returncode, [line.split()[:2] for line in status.stdout.splitlines()[:2]]) == (
        0,
        [["frontend", "RUNNING"], ["memory", "RUNNING"]],
    )
    assert status.stdout.splitlines()[2].split() == ["docker", "API", "READY", f"unix://{up.socket}"]
    logs = sockerless("logs", *up.flags, "frontend")
    assert logs.returncode == 0
    assert all(isinstance(json.loads(line), dict) for line in logs.stdout.splitlines())
    pids = [up.pid("frontend"), up.pid("memory")]
    assert sockerless("down", *up.flags).stdout == "Ended.\n"
    assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []
    assert not up.socket.exists()
    assert sockerless("down", *up.flags).stdout == "No appliance ran.\n"


def test_status_without_an_appliance(place: Place) -> None:
    result = sockerless("status", *place.flags)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == f"sockerless: no appliance runs in {place.run}; `sockerless up` starts one\n"


def test_a_second_start_is_refused_and_the_first_goes_on(up: Place) -> None:
    result = sockerless("up", *up.flags)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == f"sockerless: an appliance is running in {up.run}; `sockerless down` ends it\n"
    assert up.request("GET", "/_ping") == (200, b"OK")


def test_of_two_starts_at_once_one_wins(place: Place) -> None:
    command = [sys.executable, "-m", "appliance", "up", *place.flags]
    both = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(2)]
    ends = sorted((p.wait(120), p.stderr.read() if p.stderr else b"") for p in both)
    for process in both:
        for pipe in (process.stdout, process.stderr):
            assert pipe
            pipe.close()
    assert [code for code, _ in ends] == [0, 1]
    assert str(place.run) in ends[1][1].decode()
    assert place.request("GET", "/_ping") == (200, b"OK")


def test_a_socket_of_another_server_is_left_alone(place: Place) -> None:
    place.run.mkdir()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(place.socket))
        other.listen()
        result = sockerless("up", *place.flags)
        assert result.returncode == 1
        assert (
            result.stderr == f"sockerless: {place.socket} is in use by another server; choose another with --listen\n"
        )
    assert place.socket.is_socket()


def test_a_socket_left_by_a_killed_server_is_replaced(place: Place) -> None:
    place.run.mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(place.socket))
    assert sockerless("up", *place.flags).returncode == 0
    assert place.request("GET", "/_ping") == (200, b"OK")


def test_a_file_where_the_socket_should_be_is_not_deleted(place: Place) -> None:
    place.run.mkdir()
    place.socket.write_text("precious")
    result = sockerless("up", *place.flags)
    assert result.stderr == (
        f"sockerless: {place.socket} exists and is not a socket; move it away or choose another with --listen\n"
    )
    assert place.socket.read_text() == "precious"


def test_a_port_in_the_way_is_named(place: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"tcp://127.0.0.1:{other.getsockname()[1]}"
        result = sockerless("up", *place.flags, "--listen", address)
    assert result.stderr == (
        f"sockerless: cannot listen on {address}: Address already in use; choose another with --listen\n"
    )
    assert not place.appliance.running()


def test_tcp_and_unix_at_once(place: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    result = sockerless("up", *place.flags, "--listen", f"unix://{place.socket}", "--listen", f"tcp://127.0.0.1:{port}")
    assert result.returncode == 0, result.stderr
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", "/_ping")
    assert connection.getresponse().read() == b"OK"
    connection.close()
    assert place.request("GET", "/_ping") == (200, b"OK")


def test_a_missing_userland_is_named_and_nothing_is_left(place: Place) -> None:
    result = sockerless("up", *place.flags, "--userland", str(place.data / "nowhere"))
    assert result.returncode == 1
    assert str(place.data / "nowhere") in result.stderr
    assert not place.appliance.running()


def test_a_killed_frontend_comes_back_and_containers_go_on(up: Place) -> None:
    up.request("POST", "/containers/create?name=sleeper", {"Image": "sockerless/base", "Cmd": ["sleep", "1000"]})
    assert up.request("POST", "/containers/sleeper/start")[0] == 204
    before = up.request("GET", "/containers/sleeper/json")[1]["State"]
    os.kill(up.pid("frontend"), signal.SIGKILL)
    eventually(up.appliance.ready)
    assert up.request("GET", "/containers/sleeper/json")[1]["State"] == before


def test_a_killed_worker_comes_back_with_everything_it_had(up: Place) -> None:
    script = "echo hello; echo kept > /etc/kept; exec sleep 1000"
    body = {"Image": "sockerless/base", "Cmd": ["sh", "-c", script], "HostConfig": {"Binds": ["things:/things"]}}
    created = up.request("POST", "/containers/create?name=victim", body)[1]["Id"]
    assert up.request("POST", "/networks/create", {"Name": "mine"})[0] == 201
    assert up.request("POST", "/containers/victim/start")[0] == 204
    eventually(lambda: b"hello" in up.request("GET", "/containers/victim/logs?stdout=1")[1])
    eventually(lambda: up.request("GET", "/containers/victim/archive?path=/etc/kept")[0] == 200)
    killed = up.pid("memory")
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: up.appliance.ready() and up.pid("memory") not in (0, killed))
    state = up.request("GET", "/containers/victim/json")[1]
    assert (state["Id"], state["State"]["Status"], state["State"]["ExitCode"]) == (created, "exited", 137)
    assert state["State"]["Error"] != ""
    assert up.request("GET", "/containers/victim/archive?path=/etc/kept")[0] == 200
    assert b"hello" in up.request("GET", "/containers/victim/logs?stdout=1")[1]
    assert up.request("GET", "/networks/mine")[1]["Name"] == "mine"
    assert up.request("GET", "/volumes/things")[1]["Name"] == "things"
    assert up.request("POST", "/containers/victim/start")[0] == 204
    assert up.request("GET", "/containers/victim/json")[1]["State"]["Running"] is True


def test_everything_is_there_after_down_and_up(up: Place) -> None:
    up.request("POST", "/containers/create?name=done", {"Image": "sockerless/base", "Cmd": ["sh", "-c", "exit 7"]})
    up.request("POST", "/containers/done/start")
    assert up.request("POST", "/containers/done/wait") == (200, {"StatusCode": 7})
    assert sockerless("down", *up.flags).returncode == 0
    assert sockerless("up", *up.flags).returncode == 0
    state = up.request("GET", "/containers/done/json")[1]["State"]
    assert (state["Status"], state["ExitCode"]) == ("exited", 7)


@pytest.mark.slow
def test_the_sample_workflow_runs_green(up: Place) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "appliance.sample"],
        cwd=ROOT,
        env={**os.environ, "SOCKERLESS_RUN_DIR": str(up.run)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Hello, version 1.15" in result.stdout
    assert "Servus, version 1.15" in result.stdout
    assert result.stdout.count("Job succeeded") == 3
