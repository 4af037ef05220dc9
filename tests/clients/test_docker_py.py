"""docker-py, the Python client: another HTTP stack, other spellings of filters and booleans, sockets by hand."""

from __future__ import annotations

import io
import tarfile
import time
from collections.abc import Iterator

import docker
import pytest
from docker.errors import APIError, ContainerError, ImageNotFound, NotFound
from docker.utils.socket import frames_iter

from tests.clients.engine import Engine

pytestmark = pytest.mark.oracle
BASE = "sockerless/base:latest"


@pytest.fixture
def client(engine: Engine) -> Iterator[docker.DockerClient]:
    client = docker.DockerClient(base_url=engine.host, version="auto", timeout=60)
    yield client
    client.close()


def test_run(client: docker.DockerClient) -> None:
    assert client.containers.run(BASE, ["echo", "hello"], remove=True) == b"hello\n"
    with pytest.raises(ContainerError) as failed:
        client.containers.run(BASE, ["sh", "-c", "echo bad >&2; exit 3"], remove=True)
    assert (failed.value.exit_status, failed.value.stderr) == (3, b"bad\n")


def test_errors(client: docker.DockerClient) -> None:
    with pytest.raises(NotFound) as missing:
        client.containers.get("nosuch")
    assert missing.value.explanation == "No such container: nosuch"
    with pytest.raises(ImageNotFound):
        client.images.get("nosuch:1")
    with pytest.raises(APIError) as refused:
        client.containers.create(BASE, name="not allowed")
    assert refused.value.response.status_code == 400


def test_life(client: docker.DockerClient) -> None:
    container = client.containers.create(
        BASE, ["sh", "-c", "echo out; echo err >&2; exit 4"], name="py-life", labels={"a": "b"}
    )
    assert (container.status, container.labels, container.attrs["Path"]) == ("created", {"a": "b"}, "sh")
    container.start()
    assert container.wait()["StatusCode"] == 4
    assert container.logs(stderr=False) == b"out\n"
    assert container.logs(stdout=False) == b"err\n"
    container.reload()
    assert (container.status, container.attrs["State"]["ExitCode"]) == ("exited", 4)
    assert [
        found.name for found in client.containers.list(all=True, filters={"label": ["a=b"], "status": "exited"})
    ] == ["py-life"]
    container.remove()
    assert client.containers.list(all=True, filters={"name": "py-life"}) == []


def test_exec(client: docker.DockerClient) -> None:
    container = client.containers.run(BASE, ["sleep", "1000"], detach=True)
    assert container.exec_run(["sh", "-c", "echo $A; exit 5"], environment={"A": "1"}) == (5, b"1\n")
    assert container.exec_run("sh -c 'echo out; echo err >&2'", demux=True).output == (b"out\n", b"err\n")
    streamed = container.exec_run(["seq", "1", "3000"], stream=True).output
    assert b"".join(streamed) == b"".join(b"%d\n" % number for number in range(1, 3001))
    identity = client.api.exec_create(container.id, ["cat"], stdin=True)["Id"]
    raw = client.api.exec_start(identity, socket=True)
    raw._sock.sendall(b"typed\n")
    raw._sock.shutdown(1)
    assert raw.read() == b"\x01\0\0\0\0\0\0\x06typed\n"
    assert client.api.exec_inspect(identity)["ExitCode"] == 0
    container.remove(force=True)


def test_attach_before_start(client: docker.DockerClient) -> None:
    container = client.containers.create(BASE, ["sh", "-c", "echo first; read x; echo $x"], stdin_open=True)
    raw = container.attach_socket(params={"stdin": 1, "stdout": 1, "stream": 1})
    container.start()
    raw._sock.sendall(b"line\n")
    raw._sock.shutdown(1)
    assert b"".join(output for _, output in frames_iter(raw, tty=False)) == b"first\nline\n"
    assert container.wait()["StatusCode"] == 0
    container.remove()


def test_archives(client: docker.DockerClient) -> None:
    container = client.containers.create(BASE, ["cat", "/tmp/dir/file"])
    assert container.put_archive("/tmp", _tar({"dir/file": b"content"})) is True
    chunks, stat = container.get_archive("/tmp/dir/file")
    assert (stat["name"], stat["size"]) == ("file", 7)
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
        extracted = tar.extractfile("file")
        assert extracted is not None
        assert extracted.read() == b"content"
    container.start()
    assert container.wait()["StatusCode"] == 0
    assert container.logs() == b"content"
    assert {"Path": "/tmp/dir", "Kind": 1} in container.diff()
    container.remove()


def test_networks_and_volumes(client: docker.DockerClient) -> None:
    network = client.networks.create("py-net", driver="bridge", labels={"x": "y"})
    volume = client.volumes.create("py-vol", labels={"x": "y"})
    assert [found.name for found in client.networks.list(filters={"label": "x=y"})] == ["py-net"]
    assert [found.name for found in client.volumes.list(filters={"label": "x=y"})] == ["py-vol"]
    server = client.containers.run(
        BASE, ["sh", "-c", "hostname > /v/name; exec httpd -f -p 80 -h /v"], detach=True, network="py-net",
        name="py-server", hostname="served", volumes={"py-vol": {"bind": "/v", "mode": "rw"}},
    )  # fmt: skip
    fetch = "until wget -q -O - http://py-server/name 2> /dev/null; do sleep 0.1; done"
    assert client.containers.run(BASE, ["sh", "-c", fetch], network="py-net", remove=True) == b"served\n"
    network.reload()
    assert [found.name for found in network.containers] == ["py-server"]
    server.remove(force=True)
    network.remove()
    volume.remove()


def test_images(client: docker.DockerClient) -> None:
    image = client.images.get(BASE)
    assert image.tag("py/copy", "1") is True
    assert [found.id for found in client.images.list(name="py/copy")] == [image.id]
    saved = b"".join(client.images.get("py/copy:1").save(named="py/copy:1"))
    client.images.remove("py/copy:1")
    (loaded,) = client.images.load(saved)
    assert (loaded.id, sorted(loaded.tags)) == (image.id, ["py/copy:1", BASE])
    client.images.remove("py/copy:1")


def test_events_and_stats(client: docker.DockerClient) -> None:
    wanted = {"type": "container", "event": ["create", "start", "die", "destroy"], "label": "watched"}
    events = client.events(decode=True, since=int(time.time()), filters=wanted)  # dockerd answers, then subscribes
    container = client.containers.run(BASE, ["true"], detach=True, labels=["watched"])
    container.wait()
    container.remove()
    seen = [next(events) for _ in range(4)]
    assert [event["Action"] for event in seen] == ["create", "start", "die", "destroy"]
    assert {event["Actor"]["ID"] for event in seen} == {container.id}
    events.close()
    running = client.containers.run(BASE, ["sleep", "1000"], detach=True)
    stats = running.stats(stream=False)
    assert stats["id"] == running.id
    assert stats["pids_stats"]["current"] == 1
    assert running.top(ps_args="-o pid,args")["Processes"][0][1] == "sleep 1000"
    running.remove(force=True)


def test_system(client: docker.DockerClient) -> None:
    assert client.ping() is True
    assert client.version()["Os"] == "linux"
    assert client.info()["OSType"] == "linux"
    used = {image["Id"] for image in client.df()["Images"]}
    assert used == {image.id for image in client.images.list()}


def _tar(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
