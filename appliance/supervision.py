"""Starting, asking and stopping supervisord, and waiting until the appliance answers."""

from __future__ import annotations

import fcntl
import http.client
import os
import select
import socket
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from supervisor.xmlrpc import SupervisorTransport

from appliance import topology
from appliance.config import Config

POLL_SECONDS = 0.02


class ApplianceError(Exception):
    """The appliance cannot do what was asked; the message says why and what to do."""


@dataclass(frozen=True)
class ProcessStatus:
    """``state`` is supervisord's: RUNNING, STARTING, BACKOFF, FATAL, EXITED, STOPPED …"""

    name: str
    state: str
    pid: int
    description: str


class Appliance:
    """One appliance, named by its configuration; every method works from any process of its user."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def start(self) -> None:
        """Start every process and return when the Docker API and its worker answer.

        Error handling: what is in the way (a running appliance, a taken address, a process that ends at once) is named
        in an ApplianceError and nothing is left running.
        """
        self._make_directories()
        with self._lock():
            if self.running():
                raise ApplianceError(f"an appliance is running in {self.config.run_dir}; `sockerless down` ends it")
            for address in self.config.addresses:
                check_free(address)
            self._launch()
            try:
                self._await_ready()
            except ApplianceError:
                self._shut_down()
                raise

    def stop(self) -> bool:
        """End every process; False when none ran."""
        if not self.config.run_dir.is_dir():
            return False
        with self._lock():
            if not self.running():
                return False
            self._shut_down()
            return True

    def running(self) -> bool:
        """Whether a supervisord answers in the run directory."""
        try:
            self._rpc().supervisor.getState()
        except (OSError, http.client.HTTPException, xmlrpc.client.Error):
            return False
        return True

    def processes(self) -> list[ProcessStatus]:
        """Every process and its state; ApplianceError when no appliance runs."""
        try:
            rows = cast("list[dict[str, Any]]", self._rpc().supervisor.getAllProcessInfo())
        except (OSError, http.client.HTTPException) as error:
            raise ApplianceError(f"no appliance runs in {self.config.run_dir}; `sockerless up` starts one") from error
        return [ProcessStatus(r["name"], r["statename"], r["pid"], _description(r)) for r in rows]

    def ready(self) -> bool:
        """Whether the Docker API answers ``/info``, which only a worker can, and every backend has its worker."""
        workers = [str(self.config.worker_socket(backend)) for backend in self.config.backend]
        return _answers(self.config.addresses[0], "/info") and all(_connects(path) for path in workers)

    def log_file(self, process: str) -> Path:
        """Where a process's output is kept; ApplianceError for a name that is none."""
        names = [program.name for program in topology.processes(self.config)] + ["supervisord"]
        if process not in names:
            raise ApplianceError(f"no process is called {process!r}; there are: {', '.join(names)}")
        return self.config.log_dir / f"{process}.log"

    def _make_directories(self) -> None:
        for directory, mode in (
            (self.config.run_dir, 0o755),
            (self.config.data_dir, 0o711),
            (self.config.log_dir, 0o700),
        ):
            try:
                directory.mkdir(parents=True, exist_ok=True, mode=mode)
            except OSError as error:
                raise ApplianceError(f"cannot make the directory {directory}: {error.strerror}") from error

    @contextmanager
    def _lock(self) -> Iterator[None]:
        path = self.config.run_dir / "lock"
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ApplianceError(f"cannot use the run directory {self.config.run_dir}: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise ApplianceError(
                f"another command is starting or ending the appliance in {self.config.run_dir}"
            ) from None
        try:
            yield
        finally:
            os.close(descriptor)

    def _launch(self) -> None:
        conf = self.config.run_dir / "supervisord.conf"
        conf.write_text(topology.supervisord_conf(self.config, topology.processes(self.config)))
        result = subprocess.run(
            [sys.executable, "-m", "supervisor.supervisord", "-c", str(conf)],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, env=_environment(), check=False,
        )  # fmt: skip
        if result.returncode:
            raise ApplianceError(f"supervisord did not start: {(result.stderr or result.stdout).strip()}")

    def _await_ready(self) -> None:
        deadline = time.monotonic() + self.config.start_timeout
        while not self.ready():
            for process in self.processes() if self.running() else []:
                if process.state in ("FATAL", "BACKOFF", "EXITED"):
                    raise ApplianceError(f"{process.name} does not start. Its last words:\n{self._tail(process.name)}")
            if time.monotonic() > deadline:
                raise ApplianceError(
                    f"not ready after {self.config.start_timeout:g} s; `sockerless logs` has the reason, or raise "
                    f"start_timeout. The frontend's last words:\n{self._tail('frontend')}"
                )
            time.sleep(POLL_SECONDS)

    def _tail(self, process: str, lines: int = 10) -> str:
        file = self.log_file(process)
        if not file.exists():
            return "(nothing)"
        return "\n".join(file.read_text(errors="replace").splitlines()[-lines:])

    def _shut_down(self) -> None:
        try:
            pid = int(self._rpc().supervisor.getPID())  # type: ignore[arg-type]
            self._rpc().supervisor.shutdown()
        except (OSError, http.client.HTTPException, xmlrpc.client.Error):
            return
        for _ in _while_alive(pid):
            self.running()  # being asked, supervisord notices at once that a process has ended, else once a second

    def _rpc(self) -> xmlrpc.client.ServerProxy:
        transport = SupervisorTransport(None, None, f"unix://{self.config.supervisor_socket}")
        return xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport)


def check_free(address: str) -> None:
    """Raise ApplianceError when somebody listens at ``address`` or it cannot be bound."""
    if address.startswith("unix://"):
        path = address.removeprefix("unix://")
        if _connects(path):
            raise ApplianceError(f"{path} is in use by another server; choose another with --listen")
        if os.path.exists(path) and not Path(path).is_socket():
            raise ApplianceError(f"{path} exists and is not a socket; move it away or choose another with --listen")
        return
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    try:
        family, _, _, _, target = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(target)
    except OSError as error:
        raise ApplianceError(f"cannot listen on {address}: {error.strerror}; choose another with --listen") from error


def _connects(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
    return True


def _answers(address: str, path: str) -> bool:
    try:
        connection = _connection(address)
        connection.request("GET", path, headers={"Host": "sockerless"})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False


def _connection(address: str) -> http.client.HTTPConnection:
    if address.startswith("tcp://"):
        host, _, port = address.removeprefix("tcp://").rpartition(":")
        return http.client.HTTPConnection(host.strip("[]"), int(port), timeout=5)
    connection = http.client.HTTPConnection("localhost", timeout=5)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(5)
    connection.sock.connect(address.removeprefix("unix://"))
    return connection


def _description(row: dict[str, Any]) -> str:
    """supervisord's words, and of a process in its first second, of which it says nothing, the number."""
    return str(row["description"]) or (f"pid {row['pid']}" if row["pid"] else "")


def _while_alive(pid: int) -> Iterator[None]:
    """Yield every POLL_SECONDS until the process has ended, whether its parent knows of it or not."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        while not select.select([descriptor], [], [], POLL_SECONDS)[0]:
            yield
    finally:
        os.close(descriptor)


def _environment() -> dict[str, str]:
    # The programs are found from wherever supervisord changes to: by the folder this package was loaded from.
    root = str(Path(__file__).resolve().parent.parent)
    rest = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": f"{root}:{rest}" if rest else root}
