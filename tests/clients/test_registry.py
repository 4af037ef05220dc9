"""Registries: push, search, distribution, and images that go from one engine to the other and back."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from docker.errors import APIError, NotFound

from tests.clients import images, registry
from tests.clients.engine import Engine

BASE = "sockerless/base:latest"


def digests(engine: Engine, name: str) -> list[str]:
    """The digests an image is known by in the repository of `name`."""
    found: list[str] = json.loads(engine.ok("image", "inspect", "--format", "{{json .RepoDigests}}", name))
    repository = name.rpartition(":")[0]
    return [text.partition("@")[2] for text in found if text.startswith(f"{repository}@")]


def image_id(engine: Engine, name: str) -> str:
    return engine.ok("image", "inspect", "--format", "{{.Id}}", name)


def short_layers(engine: Engine, name: str) -> list[str]:
    """The ids that push shows, topmost first."""
    found = json.loads(engine.ok("image", "inspect", "--format", "{{json .RootFS.Layers}}", name))
    return [diff_id[7:19] for diff_id in reversed(found)]


@pytest.mark.oracle
def test_push(engine: Engine, tmp_path: Path) -> None:
    with registry.serving(engine, tmp_path) as served:
        mine = f"{served.address}/mine/app"
        images.derive(engine, f"{mine}:1", {"Labels": {"pushed": "yes"}}, {"bin/added": "#!/bin/sh\necho added\n"})
        engine.ok("tag", f"{mine}:1", f"{mine}:2")
        top, base = short_layers(engine, f"{mine}:1")
        since = time.time()
        told = engine.ok("push", f"{mine}:1").splitlines()
        assert told[:3] == [f"The push refers to repository [{mine}]", f"{top}: Preparing", f"{base}: Preparing"]
        assert sorted(told[3:5]) == sorted([f"{top}: Pushed", f"{base}: Pushed"])
        (digest,) = digests(engine, f"{mine}:1")
        assert re.fullmatch(rf"1: digest: {digest} size: \d+", told[5])
        again = [f"{top}: Layer already exists", f"{base}: Layer already exists"]
        for tag, lines in (("1", told), ("2", engine.ok("push", "--all-tags", mine).splitlines()[6:])):
            assert lines[-1] == told[5].replace("1:", f"{tag}:", 1)
        assert sorted(engine.ok("push", f"{mine}:2").splitlines()[3:5]) == sorted(again)
        engine.ok("tag", f"{mine}:1", f"{served.address}/mounted:1")
        mounted = engine.ok("push", f"{served.address}/mounted:1").splitlines()
        assert sorted(mounted[3:5]) == sorted([f"{top}: Mounted from mine/app", f"{base}: Mounted from mine/app"])
        assert mounted[5] == told[5]
        events = engine.ok(
            "events", "--since", f"{since:.9f}", "--until", f"{time.time():.9f}", "--filter", "event=push",
            "--format", "{{.Actor.ID}} {{json .Actor.Attributes}}",
        ).splitlines()  # fmt: skip
        assert [event.split(" ")[0] for event in events] == [
            f"{mine}:1", mine, f"{mine}:2", f"{served.address}/mounted:1"
        ]  # fmt: skip
        assert json.loads(events[0].partition(" ")[2]) == {"name": mine, "pushed": "yes"}
        engine.ok("rmi", "--force", f"{mine}:1", f"{mine}:2", f"{served.address}/mounted:1")
        engine.ok("pull", "--quiet", f"{mine}@{digest}")
        assert engine.ok("run", "--rm", f"{mine}@{digest}", "added") == "added"
        engine.ok("rmi", "--force", f"{mine}@{digest}")


@pytest.mark.oracle
def test_push_of_what_is_not_there(engine: Engine, tmp_path: Path) -> None:
    with registry.serving(engine, tmp_path) as served:
        mine = f"{served.address}/mine"
        engine.ok("tag", BASE, f"{mine}:1")
        for name, message in [
            (f"{served.address}/nosuch", f"An image does not exist locally with the tag: {served.address}/nosuch"),
            (f"{mine}:2", f"tag does not exist: {mine}:2"),
        ]:
            refused = engine.docker("push", name)
            repository = name.removesuffix(":2")
            assert (refused.code, refused.stderr) == (1, f"{message}\n")
            assert refused.stdout.splitlines()[-1] == f"The push refers to repository [{repository}]"
    gone = engine.docker("push", f"{mine}:1")
    assert gone.stderr == f'Get "http://{served.address}/v2/": dial tcp {served.address}: connect: connection refused\n'
    engine.ok("rmi", f"{mine}:1")


@pytest.mark.oracle
def test_push_with_credentials(engine: Engine, tmp_path: Path) -> None:
    with registry.serving(engine, tmp_path, secured=True) as served:
        mine = f"{served.address}/mine:1"
        engine.ok("tag", BASE, mine)
        refused = engine.docker("push", mine)
        assert (refused.code, refused.stderr) == (1, "no basic auth credentials\n")
        engine.docker("login", "-u", registry.USER, "--password-stdin", served.address, input=registry.PASSWORD)
        assert re.search(r"\n1: digest: sha256:\w{64} size: \d+$", engine.ok("push", mine))
        engine.ok("logout", served.address)
        engine.ok("rmi", mine)


@pytest.mark.oracle
def test_docker_py(engine: Engine, tmp_path: Path) -> None:
    with registry.serving(engine, tmp_path) as served, connected(engine) as client:
        found = client.images.get_registry_data(served.image)
        assert found.id == served.digest
        assert found.attrs["Descriptor"]["mediaType"] == registry.MANIFEST
        assert found.attrs["Platforms"] == [{"architecture": "amd64", "os": "linux"}]
        assert found.has_platform("linux/amd64")
        with pytest.raises(NotFound) as missing:
            client.images.get_registry_data(f"{served.address}/test/pulled:nosuch")
        assert missing.value.explanation == "manifest unknown: manifest unknown"
        with pytest.raises(APIError) as refused:
            client.images.search(f"{served.address}/x")
        assert refused.value.explanation == "Unexpected status code 404"
        client.images.get(BASE).tag(f"{served.address}/py", "1")
        lines = list(client.api.push(f"{served.address}/py", "1", stream=True, decode=True))
        (aux,) = [line["aux"] for line in lines if "aux" in line]
        assert lines[-2]["status"] == f"1: digest: {aux['Digest']} size: {aux['Size']}"
        assert (aux["Tag"], aux["Digest"]) == ("1", client.images.get_registry_data(f"{served.address}/py:1").id)
        client.images.remove(f"{served.address}/py:1", force=False)


@pytest.mark.slow
def test_round_trip_between_engines(ours: Engine, oracle: Engine, tmp_path: Path) -> None:
    """Each engine's image passes through the other, to a second repository, and is the same to the byte."""
    with registry.serving(ours, tmp_path) as served, registry.also(oracle, tmp_path, served):
        for maker, other in ((ours, oracle), (oracle, ours)):
            made, copy = f"{served.address}/{maker.name}/made:1", f"{served.address}/{maker.name}/copy:1"
            images.derive(maker, made, {"Cmd": ["greet"]}, {"bin/greet": f"#!/bin/sh\necho {maker.name}\n"})
            maker.ok("push", made)
            (digest,) = digests(maker, made)
            assert f"Digest: {digest}" in other.ok("pull", made)
            assert image_id(other, made) == image_id(maker, made)
            other.ok("tag", made, copy)
            assert f"1: digest: {digest} size: " in other.ok("push", copy)
            assert f"Digest: {digest}" in maker.ok("pull", copy)
            for engine in (maker, other):
                engine.ok("rmi", "--force", made, copy)


@pytest.mark.slow
def test_an_image_of_dockerd_in_another_registry(ours: Engine, oracle: Engine, tmp_path: Path) -> None:
    """The blobs and the manifest are ours to give, as they came: no other compression, no other digest."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    with (
        registry.serving(oracle, tmp_path / "one") as first,
        registry.also(ours, tmp_path / "one", first),
        registry.serving(ours, tmp_path / "two") as second,
    ):
        made, copy = f"{first.address}/made:1", f"{second.address}/copy:1"
        oracle.ok("tag", BASE, made)
        oracle.ok("push", made)
        (digest,) = digests(oracle, made)
        ours.ok("pull", "--quiet", made)
        ours.ok("tag", made, copy)
        ours.ok("push", copy)
        assert digests(ours, copy) == [digest]
        ours.ok("rmi", "--force", made, copy)
        assert f"Digest: {digest}" in ours.ok("pull", copy)
        oracle.ok("rmi", made)
        ours.ok("rmi", "--force", copy)


@pytest.mark.oracle
@pytest.mark.parametrize("tty", [False, True])
def test_attach_over_a_websocket(engine: Engine, tty: bool) -> None:
    """docker-py's attach_socket(ws=True), whose websocket-client speaks TCP only."""
    with bridged(engine.socket) as port:
        client = docker.DockerClient(base_url=f"tcp://127.0.0.1:{port}", version="1.41", timeout=60)
        script = "echo out; read word; echo got $word; sleep 0.5; echo err >&2"
        container = client.containers.create(BASE, ["sh", "-c", script], stdin_open=True, tty=tty)
        streams = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
        attached = client.api.attach_socket(container.id, params=streams, ws=True)
        container.start()
        end = "\r\n" if tty else "\n"
        assert received(attached, f"out{end}") == f"out{end}"
        attached.send("it\n")
        expected = f"it\r\ngot it\r\nerr{end}" if tty else "got it\nerr\n"
        assert received(attached, f"err{end}") == expected
        assert container.wait()["StatusCode"] == 0
        attached.close()
        again = client.api.attach_socket(container.id, params={"logs": 1, "stdout": 1, "stderr": 1}, ws=True)
        assert received(again, f"err{end}") == f"out{end}{expected}"
        again.close()
        container.remove()
        client.close()


def received(attached: object, end: str) -> str:
    """What comes up to `end`, whatever the messages."""
    data = b""
    while not data.endswith(end.encode()):
        part = attached.recv()  # type: ignore[attr-defined]
        assert part, data
        data += part
    return data.decode()


@contextlib.contextmanager
def connected(engine: Engine) -> Iterator[docker.DockerClient]:
    client = docker.DockerClient(base_url=engine.host, version="auto", timeout=60)
    try:
        yield client
    finally:
        client.close()


@contextlib.contextmanager
def bridged(path: str) -> Iterator[int]:
    """A TCP port on loopback that leads to a Unix socket."""
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(path)
                for source, target in ((client, server), (server, client)):
                    threading.Thread(target=_copy, args=(source, target), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
