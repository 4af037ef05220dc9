"""docker-py, and podman's service, through the docker worker."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import docker
import pytest
from docker.utils.socket import frames_iter

from tests.clients.engine import Engine
from tests.oracle.tools import tool

pytestmark = pytest.mark.slow
BASE = "sockerless/base:latest"


@pytest.mark.parametrize("which", ["relayed", "relayed_podman"])
def test_docker_py(which: str, request: pytest.FixtureRequest) -> None:
    engine: Engine = request.getfixturevalue(which)
    client = docker.DockerClient(base_url=engine.host, version="auto", timeout=60)
    assert client.containers.run(BASE, ["echo", "hello"], remove=True) == b"hello\n"
    container = client.containers.create(BASE, ["cat"], stdin_open=True, name="relayed-py")
    attached = container.attach_socket(params={"stdin": 1, "stdout": 1, "stream": 1})
    container.start()
    attached._sock.sendall(b"through\n")
    attached._sock.shutdown(1)
    assert b"".join(data for _, data in frames_iter(attached, tty=False)) == b"through\n"
    assert container.wait()["StatusCode"] == 0
    assert container.logs() == b"through\n"
    container.put_archive("/tmp", _tar("put", b"content"))
    stream, stat = container.get_archive("/tmp/put")
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as found:
        member = found.extractfile("put")
        assert (stat["size"], member.read() if member else b"") == (7, b"content")
    container.remove()
    client.close()


def _tar(name: str, data: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        entry = tarfile.TarInfo(name)
        entry.size = len(data)
        tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def test_the_command_line_on_podman(relayed_podman: Engine, tmp_path: Path) -> None:
    engine = relayed_podman
    assert engine.ok("run", "--rm", "sockerless/base", "echo", "hi") == "hi"
    assert engine.ok("run", "-i", "--rm", "sockerless/base", "cat", input="in") == "in"
    engine.ok("network", "create", "pod-net")
    engine.ok("volume", "create", "pod-vol")
    engine.ok(
        "run", "-d", "--name", "pod", "--network", "pod-net", "-v", "pod-vol:/data", "sockerless/base", "sleep", "1000"
    )
    assert engine.ok("exec", "-i", "pod", "sh", "-c", "cat > /data/file; cat /data/file", input="typed") == "typed"
    (tmp_path / "file").write_text("copied\n")
    engine.ok("cp", str(tmp_path / "file"), "pod:/tmp/file")
    assert engine.ok("exec", "pod", "cat", "/tmp/file") == "copied"
    assert engine.ok("ps", "--format", "{{.Names}}") == "pod"
    assert engine.docker("run", "--name", "seven", "sockerless/base", "sh", "-c", "exit 7").code == 7
    engine.ok("rm", "seven")
    (tmp_path / "Dockerfile").write_text("FROM sockerless/base\nCOPY file /copied\n")
    built = engine.run(
        [tool("docker"), "build", "-q", "-t", "pod-build", "."], cwd=tmp_path, env={"DOCKER_BUILDKIT": "0"}
    )
    assert built.code == 0, built
    assert engine.ok("run", "--rm", "pod-build", "cat", "/copied") == "copied"
    engine.ok("rm", "-f", "pod")
    engine.ok("network", "rm", "pod-net")
    engine.ok("volume", "rm", "pod-vol")
