"""HTTP on an engine's socket without a client between: one request, or a connection that is taken over."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Generator, Mapping
from typing import Any

TIMEOUT = 120


def call(path: str, method: str, target: str, body: bytes = b"", kind: str = "application/json") -> bytes:
    """The body of a successful answer. Raises AssertionError with the answer otherwise."""
    connection = http.client.HTTPConnection("docker", timeout=TIMEOUT)
    connection.sock = _connect(path)
    try:
        connection.request(method, target, body, {"Content-Type": kind})
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    assert answer.status < 300, (method, target, answer.status, content)
    return content


def create(path: str, container: Mapping[str, Any]) -> str:
    """The id of a new container."""
    answer = json.loads(call(path, "POST", "/containers/create", json.dumps(container).encode()))
    return str(answer["Id"])


def start(path: str, container: Mapping[str, Any]) -> str:
    """The id of a new running container."""
    name = create(path, container)
    call(path, "POST", f"/containers/{name}/start")
    return name


def remove(path: str, container: str) -> None:
    """Remove a container, running or not."""
    call(path, "DELETE", f"/containers/{container}?force=1")


def take_over(path: str, target: str) -> socket.socket:
    """A connection that carries a container's streams."""
    connection = _connect(path)
    request = (
        f"POST {target} HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n"
    )
    connection.sendall(request.encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        assert byte, head
        head += byte
    assert head.startswith(b"HTTP/1.1 101 "), head
    return connection


def frames(path: str, target: str) -> Generator[bytes, None, None]:
    """The frames of a container's output as they come, without their heads."""
    connection = http.client.HTTPConnection("docker", timeout=TIMEOUT)
    connection.sock = _connect(path)
    try:
        connection.request("GET", target)
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        while head := answer.read(8):
            yield answer.read(int.from_bytes(head[4:], "big"))
    finally:
        connection.close()


def _connect(path: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(TIMEOUT)
    connection.connect(path)
    return connection
