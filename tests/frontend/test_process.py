"""``python -m frontend`` as a process: it says when it is ready, ends in order, and refuses what cannot work."""

from __future__ import annotations

import asyncio
import http.client
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.backends.api.peer import Peer, served

ROOT = Path(__file__).resolve().parents[2]
IDLE_MEGABYTES = 60


@contextmanager
def started(*arguments: str, before: Sequence[str] = ()) -> Iterator[subprocess.Popen[str]]:
    """``before``: a program that runs it."""
    command = [*before, sys.executable, "-m", "frontend", *arguments]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stderr
        process.stderr.close()


def line(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stderr
    found: dict[str, Any] = json.loads(process.stderr.readline())
    return found


def ping(connection: socket.socket) -> bytes:
    client = http.client.HTTPConnection("docker")
    client.sock = connection
    client.request("GET", "/_ping")
    body = client.getresponse().read()
    client.close()
    return body


def unix(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(str(path))
    return connection


def test_ready_on_every_address_small_and_gone_after_sigterm(tmp_path: Path) -> None:
    path = tmp_path / "docker.sock"
    with started(
        *("--listen", f"unix://{path}", "--listen", "tcp://127.0.0.1:0", "--worker", f"memory={tmp_path}/w.sock")
    ) as process:
        ready = line(process)
        assert (ready["message"], ready["listen"][0]) == ("ready", f"unix://{path}")
        assert path.stat().st_mode & 0o777 == 0o660
        assert ping(unix(path)) == b"OK"
        port = int(ready["listen"][1].removeprefix("tcp://127.0.0.1:"))
        assert ping(socket.create_connection(("127.0.0.1", port))) == b"OK"
        status = Path(f"/proc/{process.pid}/status").read_text()
        assert int(status.split("VmRSS:")[1].split()[0]) < IDLE_MEGABYTES * 1024
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert not path.exists()


def test_more_connections_than_a_shell_allows_descriptors(tmp_path: Path) -> None:
    path = tmp_path / "docker.sock"
    few = ("prlimit", "--nofile=64:4096")
    with ExitStack() as stack:
        process = stack.enter_context(
            started("--listen", f"unix://{path}", "--worker", f"memory={tmp_path}/w.sock", before=few)
        )
        line(process)
        idle = [stack.enter_context(unix(path)) for _ in range(100)]
        assert [ping(connection) for connection in idle] == [b"OK"] * 100


def test_an_idle_connection_does_not_keep_the_process(tmp_path: Path) -> None:
    path = tmp_path / "docker.sock"
    with started("--listen", f"unix://{path}", "--worker", f"memory={tmp_path}/w.sock") as process:
        line(process)
        idle = unix(path)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert idle.recv(1) == b""
        idle.close()


async def test_streams_end_at_once_with_the_process(tmp_path: Path) -> None:
    """No grace runs out: the answers that would go on for ever are broken off, as their missing end tells."""
    path = tmp_path / "docker.sock"
    worker = await served(Peer(), tmp_path / "w.sock")
    with started("--listen", f"unix://{path}", "--worker", f"memory={tmp_path}/w.sock") as process:
        await asyncio.to_thread(line, process)
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"GET /events HTTP/1.1\r\nHost: docker\r\n\r\n")
        assert b"chunked" in (await reader.readuntil(b"\r\n\r\n")).lower()
        process.send_signal(signal.SIGTERM)
        assert b"0\r\n\r\n" not in await reader.read()
        assert await asyncio.to_thread(process.wait, 10) == 0
        assert process.stderr
        assert "exceeded" not in process.stderr.read()
        writer.close()
    await worker.close()


def test_a_socket_of_a_killed_process_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "docker.sock"
    arguments = ("--listen", f"unix://{path}", "--worker", f"memory={tmp_path}/w.sock")
    with started(*arguments) as process:
        line(process)
        process.kill()
        process.wait()
    assert path.exists()
    with started(*arguments) as process:
        assert line(process)["message"] == "ready"
        assert ping(unix(path)) == b"OK"


def test_a_socket_in_use_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "docker.sock"
    arguments = ("--listen", f"unix://{path}", "--worker", f"memory={tmp_path}/w.sock")
    with started(*arguments) as first:
        line(first)
        with started(*arguments) as second:
            failure = line(second)
            assert (failure["message"], second.wait(10)) == ("cannot listen", 1)
            assert (failure["address"], "socket already in use" in failure["reason"]) == (f"unix://{path}", True)
        assert ping(unix(path)) == b"OK"


def test_of_several_addresses_all_or_none(tmp_path: Path) -> None:
    path = tmp_path / "docker.sock"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        arguments = ("--listen", f"unix://{path}", "--listen", address, "--worker", f"memory={tmp_path}/w")
        with started(*arguments) as process:
            failure = line(process)
            assert (failure["message"], failure["address"], process.wait(10)) == ("cannot listen", address, 1)
    assert not path.exists()


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("http://x", "'http://x' is neither unix:///PATH nor tcp://HOST:PORT"),
        ("tcp://127.0.0.1", "'tcp://127.0.0.1' is neither unix:///PATH nor tcp://HOST:PORT"),
        (f"unix:///tmp/{'x' * 120}", "[Errno 36] socket path is longer than 107 bytes: "),
        ("unix:///nonexistent/docker.sock", "[Errno 2] No such file or directory: "),
    ],
)
def test_addresses_that_cannot_work(tmp_path: Path, address: str, reason: str) -> None:
    with started("--listen", address, "--worker", f"memory={tmp_path}/w.sock") as process:
        failure = line(process)
        assert (failure["message"], failure["address"], process.wait(10)) == ("cannot listen", address, 1)
        assert failure["reason"].startswith(reason)


def test_a_worker_is_named(tmp_path: Path) -> None:
    with started("--listen", f"unix://{tmp_path}/d.sock", "--worker", "memory") as process:
        assert process.wait(10) == 2
        assert process.stderr
        assert "'memory' is not of the form BACKEND=SOCKET" in process.stderr.read()
