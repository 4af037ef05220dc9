"""One appliance under test: its Docker API raw and by the docker CLI, and what it holds in memory and on disk."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.config import Config
from appliance.supervision import Appliance
from tests.oracle.tools import SEARCH, VENV, tool
from tests.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
BASE = "sockerless/base"
JSON = {"Content-Type": "application/json"}
HOST = b"Host: docker\r\n"
TAR = {"Content-Type": "application/x-tar"}
SLACK = 24  # descriptors and threads that pools keep: connections between frontend and worker, the worker's threads
_CHANGING = ("journal.db", "journal.db-wal", "journal.db-shm")


@dataclass(frozen=True)
class Answer:
    """A whole HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def message(self) -> str:
        """What an error says, also one that a stream of progress ends with."""
        last = self.lines[-1]
        found: str = last["error"] if "error" in last else last["message"]
        return found

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.body.splitlines() if line]


@dataclass(frozen=True)
class Ran:
    """What a finished docker command left."""

    code: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Usage:
    """What a process holds."""

    descriptors: int
    threads: int


class Place:
    """An appliance in a folder of the test's own."""

    def __init__(self, base: Path, *flags: str, data: Path | None = None) -> None:
        self.base, self.run, self.data = base, base / "r", data or base / "d"
        self.flags = ("--run-dir", str(self.run), "--data-dir", str(self.data))
        self._more = flags
        self.socket = self.run / "docker.sock"

    # -- processes

    def sockerless(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        ours = {name: value for name, value in os.environ.items() if name.startswith(("SOCKERLESS_", "XDG_", "HOME"))}
        environment = {"PATH": f"{VENV}/bin:{SEARCH}", "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8", **ours}
        return subprocess.run(
            [sys.executable, "-m", "appliance", *arguments],
            env=environment, capture_output=True, text=True, timeout=90, check=False,
        )  # fmt: skip

    def up(self) -> Place:
        result = self.sockerless("up", *self.flags, *self._more)
        assert result.returncode == 0, result.stderr
        return self

    def down(self) -> float:
        """End it; how many seconds that took."""
        began = time.monotonic()
        result = self.sockerless("down", *self.flags)
        assert result.returncode == 0, result.stderr
        return time.monotonic() - began

    @property
    def appliance(self) -> Appliance:
        return Appliance(Config(run_dir=self.run, data_dir=self.data))

    def pid(self, name: str) -> int:
        return next(process.pid for process in self.appliance.processes() if process.name == name)

    def kill(self, name: str, number: int) -> None:
        """Kill a process and wait until another one serves in its place."""
        old = self.pid(name)
        os.kill(old, number)
        eventually(lambda: self.pid(name) not in (0, old) and self.appliance.ready())

    def usage(self, name: str) -> Usage:
        proc = Path(f"/proc/{self.pid(name)}")
        return Usage(len(list((proc / "fd").iterdir())), len(list((proc / "task").iterdir())))

    def rss_mb(self, name: str) -> float:
        text = Path(f"/proc/{self.pid(name)}/status").read_text()
        return int(text.split("VmRSS:")[1].split()[0]) / 1024

    # -- the API

    def connect(self, timeout: float = 30) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(timeout)
        connection.connect(str(self.socket))
        return connection

    def request(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None, timeout: float = 60
    ) -> Answer:
        """One request; a dict is sent as JSON, bytes as they are."""
        connection = http.client.HTTPConnection("localhost")
        connection.sock = self.connect(timeout)
        try:
            payload = json.dumps(body).encode() if isinstance(body, dict) else body
            connection.request(method, path, payload, headers if headers is not None else JSON if payload else {})
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def sent(self, data: bytes, *, half_close: bool = False) -> bytes:
        """Everything that comes back on a connection that sends ``data`` until the server closes it."""
        with self.connect() as connection:
            connection.sendall(data)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
            return read_all(connection)

    def create(self, name: str, *command: str, host: Mapping[str, Any] | None = None, **config: Any) -> str:
        body = {"Image": BASE, "Cmd": list(command), "HostConfig": dict(host or {}), **config}
        answer = self.request("POST", f"/containers/create?name={name}", body)
        assert answer.status == 201, answer
        found: str = answer.json["Id"]
        return found

    def start(self, name: str) -> None:
        answer = self.request("POST", f"/containers/{name}/start")
        assert answer.status == 204, answer

    def started(self, name: str, *command: str, host: Mapping[str, Any] | None = None, **config: Any) -> str:
        found = self.create(name, *command, host=host, **config)
        self.start(name)
        return found

    def wait(self, name: str) -> int:
        code: int = self.request("POST", f"/containers/{name}/wait", timeout=120).json["StatusCode"]
        return code

    def remove(self, name: str) -> None:
        answer = self.request("DELETE", f"/containers/{name}?force=1&v=1")
        assert answer.status == 204, answer

    def state(self, name: str) -> Any:
        return self.request("GET", f"/containers/{name}/json").json["State"]

    def exec(self, name: str, *command: str) -> tuple[int, bytes]:
        """Exit code and framed output."""
        body = {"Cmd": list(command), "AttachStdout": True, "AttachStderr": True}
        exec_id = self.request("POST", f"/containers/{name}/exec", body).json["Id"]
        output = self.request("POST", f"/exec/{exec_id}/start", {}).body
        return self.request("GET", f"/exec/{exec_id}/json").json["ExitCode"], output

    def docker(self, *arguments: str, input: bytes = b"", timeout: float = 60) -> Ran:
        environment = {
            "PATH": SEARCH, "HOME": str(self.base), "DOCKER_CONFIG": str(self.base / ".docker"),
            "DOCKER_HOST": f"unix://{self.socket}", "LANG": "C.UTF-8",
        }  # fmt: skip
        done = subprocess.run(
            [tool("docker"), *arguments],
            env=environment, cwd=self.base, input=input, capture_output=True, timeout=timeout, check=False,
        )  # fmt: skip
        return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())

    # -- what there is

    def census(self) -> dict[str, list[str]]:
        """Every container, image, volume and network, by id or name."""
        return {
            "containers": sorted(found["Id"] for found in self.request("GET", "/containers/json?all=1").json),
            "images": sorted(found["Id"] for found in self.request("GET", "/images/json?all=1").json),
            "volumes": sorted(found["Name"] for found in self.request("GET", "/volumes").json["Volumes"] or ()),
            "networks": sorted(found["Id"] for found in self.request("GET", "/networks").json),
        }

    def files(self) -> Counter[str]:
        """Every file below the worker's data directory, but for its journal's."""
        root = self.data / "memory"
        found = subprocess.run(["find", ".", "-printf", "%P\\0"], cwd=root, capture_output=True, check=False).stdout
        return Counter(name for name in found.decode().split("\0") if name and Path(name).name not in _CHANGING)


def open_stream(place: Place, request: bytes, body: bytes = b"") -> socket.socket:
    connection = place.connect()
    length = b"" if request.startswith(b"GET") else b"Content-Length: %d\r\n" % len(body)
    connection.sendall(request + b" HTTP/1.1\r\n" + HOST + length + b"Content-Type: application/json\r\n\r\n" + body)
    return connection


def read_all(connection: socket.socket) -> bytes:
    """Everything until the peer closes its side; a reset counts as that."""
    parts = []
    try:
        while data := connection.recv(1 << 16):
            parts.append(data)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def read_until(connection: socket.socket, wanted: bytes) -> bytes:
    """What comes until ``wanted`` was seen."""
    found = b""
    while wanted not in found:
        data = connection.recv(1 << 16)
        assert data, f"closed before {wanted!r}: {found!r}"
        found += data
    return found


class Calm:
    """What an appliance held before a fault; ``check`` tells whether the fault has changed anything."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._census, self._files = place.census(), place.files()
        self._pids = {name: place.pid(name) for name in ("frontend", "memory")}
        self._usage = {name: place.usage(name) for name in self._pids}

    def check(self) -> None:
        assert self._place.request("GET", "/_ping").body == b"OK"
        assert {name: self._place.pid(name) for name in self._pids} == self._pids
        assert self._place.census() == self._census
        self._settled(lambda: not self._new_files(), self._new_files)
        self._settled(lambda: not self._leaks(), self._leaks)

    def _settled(self, condition: Callable[[], bool], found: Callable[[], object]) -> None:
        deadline = time.monotonic() + 15
        while not condition():
            assert time.monotonic() < deadline, found()
            time.sleep(0.02)

    def _new_files(self) -> list[str]:
        return sorted((self._place.files() - self._files) + (self._files - self._place.files()))

    def _leaks(self) -> dict[str, tuple[Usage, Usage]]:
        now = {name: self._place.usage(name) for name in self._usage}
        return {
            name: (before, now[name])
            for name, before in self._usage.items()
            if now[name].descriptors > before.descriptors + SLACK or now[name].threads > before.threads + SLACK
        }
