"""Published ports as clients on the host see them: which are given, who reaches them, what a taken one answers."""

from __future__ import annotations

import json
from collections.abc import Iterator

import docker
import pytest
from docker.errors import APIError

from tests.clients.engine import Engine, Result
from tests.clients.hostside import ECONNREFUSED, PORT, fetch, refused

pytestmark = pytest.mark.oracle
BASE = "sockerless/base:latest"
SERVE = "mkdir -p /w && echo page > /w/page && exec httpd -f -p 80 -h /w"
SETUP_FAILED = "failed to set up container networking: "


@pytest.fixture
def client(engine: Engine) -> Iterator[docker.DockerClient]:
    client = docker.DockerClient(base_url=engine.host, version="auto", timeout=60)
    yield client
    client.close()


@pytest.fixture(autouse=True)
def tidy(engine: Engine) -> Iterator[None]:
    yield
    found = engine.ok("ps", "-aq", "--filter", "label=ports").split()
    if found:
        engine.ok("rm", "-f", *found)
    engine.docker("rmi", "ports-image")


def run(engine: Engine, name: str, *options: str, command: str = SERVE) -> Result:
    return engine.docker("run", "-d", "--label", "ports", "--name", name, *options, BASE, "sh", "-c", command)


def serve(engine: Engine, name: str, *options: str, command: str = SERVE) -> list[str]:
    """Runs a server; the lines of `docker port`."""
    result = run(engine, name, *options, command=command)
    assert result.code == 0, result
    return engine.ok("port", name).splitlines()


def inspected(engine: Engine, name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(engine.ok("inspect", "-f", "{{json .NetworkSettings.Ports}}", name))
    return found


def failure(result: Result) -> str:
    """The engine's error of `docker run`: newer engines say before it what they were about."""
    assert result.code == 125
    line = result.stderr.splitlines()[0].removeprefix("docker: Error response from daemon: ")
    return line.removeprefix(SETUP_FAILED)


def test_a_free_port_on_both_families(engine: Engine) -> None:
    lines = serve(engine, "ports-free", "-p", "80")
    port = lines[0].rpartition(":")[2]
    assert lines == [f"80/tcp -> 0.0.0.0:{port}", f"80/tcp -> [::]:{port}"]
    bindings = [{"HostIp": "0.0.0.0", "HostPort": port}, {"HostIp": "::", "HostPort": port}]
    assert inspected(engine, "ports-free") == {"80/tcp": bindings}
    shown = engine.ok("ps", "--filter", "name=ports-free", "--format", "{{.Ports}}")
    assert shown == f"0.0.0.0:{port}->80/tcp, [::]:{port}->80/tcp"
    assert engine.ok("ps", "--filter", f"publish={port}", "--format", "{{.Names}}") == "ports-free"
    assert [fetch(engine, address, port) for address in ("127.0.0.1", "::1")] == ["page", "page"]
    engine.ok("stop", "-t", "0", "ports-free")
    assert refused(engine, "127.0.0.1", port) == ECONNREFUSED
    assert inspected(engine, "ports-free") == {}
    assert engine.ok("port", "ports-free") == ""


def test_a_given_port_comes_back(engine: Engine) -> None:
    assert serve(engine, "ports-given", "-p", f"{PORT}:80") == [f"80/tcp -> 0.0.0.0:{PORT}", f"80/tcp -> [::]:{PORT}"]
    assert fetch(engine, "127.0.0.1", PORT) == "page"
    engine.ok("restart", "-t", "0", "ports-given")
    assert engine.ok("port", "ports-given", "80/tcp").splitlines() == [f"0.0.0.0:{PORT}", f"[::]:{PORT}"]
    assert fetch(engine, "::1", PORT) == "page"
    missing = engine.docker("port", "ports-given", "81")
    assert (missing.code, missing.stderr) == (1, "Error: No public port '81' published for ports-given\n")


def test_one_address_only(engine: Engine) -> None:
    assert serve(engine, "ports-four", "-p", f"127.0.0.1:{PORT}:80") == [f"80/tcp -> 127.0.0.1:{PORT}"]
    command = SERVE.replace("page >", "six >")
    assert serve(engine, "ports-six", "-p", f"[::1]:{PORT}:80", command=command) == [f"80/tcp -> [::1]:{PORT}"]
    assert [fetch(engine, address, PORT) for address in ("127.0.0.1", "::1")] == ["page", "six"]
    assert refused(engine, "127.0.0.2", PORT) == ECONNREFUSED


def test_each_family_by_itself(engine: Engine) -> None:
    assert serve(engine, "ports-any4", "-p", f"0.0.0.0:{PORT}:80") == [f"80/tcp -> 0.0.0.0:{PORT}"]
    command = SERVE.replace("page >", "six >")
    assert serve(engine, "ports-any6", "-p", f"[::]:{PORT}:80", command=command) == [f"80/tcp -> [::]:{PORT}"]
    assert [fetch(engine, address, PORT) for address in ("127.0.0.2", "::1")] == ["page", "six"]


def test_udp_beside_tcp(engine: Engine) -> None:
    assert serve(engine, "ports-both", "-p", f"{PORT}:53/udp", "-p", f"{PORT}:80") == [
        f"53/udp -> 0.0.0.0:{PORT}", f"53/udp -> [::]:{PORT}", f"80/tcp -> 0.0.0.0:{PORT}", f"80/tcp -> [::]:{PORT}",
    ]  # fmt: skip
    assert fetch(engine, "127.0.0.1", PORT) == "page"


def test_a_range_gives_its_first_free_port(engine: Engine) -> None:
    ranged = ("-p", f"{PORT}-{PORT + 1}:80")
    assert [serve(engine, f"ports-r{number}", *ranged)[0] for number in (0, 1)] == [
        f"80/tcp -> 0.0.0.0:{PORT}", f"80/tcp -> 0.0.0.0:{PORT + 1}",
    ]  # fmt: skip
    last = run(engine, "ports-r2", *ranged)
    identity = last.stdout.strip()
    assert failure(last).startswith("driver failed programming external connectivity on endpoint ports-r2 (")
    assert failure(last).endswith("): all ports are allocated")
    assert engine.ok("inspect", "-f", "{{.Id}} {{.State.Status}}", "ports-r2") == f"{identity} created"
    engine.ok("rm", "-f", "ports-r0")
    engine.ok("start", "ports-r2")
    assert fetch(engine, "127.0.0.1", PORT) == "page"


def test_ranges_of_both_sides(engine: Engine) -> None:
    lines = serve(engine, "ports-sides", "-p", f"{PORT}-{PORT + 2}:80-82")
    assert lines[::2] == [f"{80 + number}/tcp -> 0.0.0.0:{PORT + number}" for number in range(3)]


def test_all_exposed_ports(engine: Engine) -> None:
    lines = serve(engine, "ports-all", "-P", "--expose", "80-82", "--expose", "80/udp")
    assert [line.split(" -> ")[0] for line in lines] == [
        key for key in ("80/tcp", "80/udp", "81/tcp", "82/tcp") for _ in range(2)
    ]
    assert len({line.rpartition(":")[2] for line in lines if "/tcp" in line}) == 3
    port = lines[0].rpartition(":")[2]
    assert fetch(engine, "::1", port) == "page"
    assert engine.ok("inspect", "-f", "{{json .HostConfig.PortBindings}}", "ports-all") == "{}"


def test_ports_that_an_image_exposes(engine: Engine) -> None:
    dockerfile = f"FROM {BASE}\nEXPOSE 80-81 90/udp\n"
    engine.ok("build", "-q", "-t", "ports-image", "-", input=dockerfile)
    engine.ok("run", "-d", "--label", "ports", "--name", "ports-exposed", "-P", "ports-image", "sh", "-c", SERVE)
    found = inspected(engine, "ports-exposed")
    assert sorted(found) == ["80/tcp", "81/tcp", "90/udp"]
    port = engine.ok("port", "ports-exposed", "80").splitlines()[0].rpartition(":")[2]
    assert fetch(engine, "127.0.0.1", port) == "page"


def test_a_taken_port(engine: Engine, client: docker.DockerClient) -> None:
    serve(engine, "ports-first", "-p", f"{PORT}:80")
    second = run(engine, "ports-second", "-p", f"{PORT}:80")
    assert failure(second).startswith("driver failed programming external connectivity on endpoint ports-second (")
    assert failure(second).endswith(f"): Bind for 0.0.0.0:{PORT} failed: port is already allocated")
    state = engine.ok("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}} {{.State.Error}}", "ports-second")
    assert state.replace(SETUP_FAILED, "") == f"created 128 {failure(second)}"
    with pytest.raises(APIError) as again:
        client.containers.get("ports-second").start()
    assert again.value.response.status_code == 500
    assert inspected(engine, "ports-second") == {}
    engine.ok("stop", "-t", "0", "ports-first")
    engine.ok("start", "ports-second")
    assert fetch(engine, "127.0.0.1", PORT) == "page"


def test_one_container_twice_on_a_port(engine: Engine) -> None:
    twice = failure(run(engine, "ports-twice", "-p", f"{PORT}:80", "-p", f"{PORT}:81"))
    assert twice.endswith(f"): Bind for 0.0.0.0:{PORT} failed: port is already allocated")
    assert refused(engine, "127.0.0.1", PORT) == ECONNREFUSED


def test_a_taken_port_of_the_other_family_leaves_nothing_open(engine: Engine) -> None:
    serve(engine, "ports-holder", "-p", f"[::]:{PORT}:80")
    assert run(engine, "ports-loser", "-p", f"{PORT}:80").code == 125
    assert refused(engine, "127.0.0.1", PORT) == ECONNREFUSED


@pytest.mark.parametrize("network", ["none", "ports-inner", "host"])
def test_networks_that_publish_nothing(engine: Engine, network: str) -> None:
    if network == "ports-inner":
        engine.ok("network", "create", "--internal", network)
    assert serve(engine, "ports-nothing", "--network", network, "-p", f"{PORT}:80", command="sleep 100") == []
    assert refused(engine, "127.0.0.1", PORT) == ECONNREFUSED
    if network == "ports-inner":
        engine.ok("rm", "-f", "ports-nothing")
        engine.ok("network", "rm", network)


def test_bad_ports_are_refused(client: docker.DockerClient) -> None:
    for port in ("x", "9-8", "70000"):
        body = client.api.create_container_config(BASE, ["true"], ports=[80])
        body["HostConfig"] = {"PortBindings": {"80/tcp": [{"HostPort": port}]}}
        with pytest.raises(APIError) as refusal:
            client.api.create_container_from_config(body)
        assert (refusal.value.response.status_code, refusal.value.explanation) == (
            400, f'invalid port specification: "{port}"',
        )  # fmt: skip


def test_a_port_without_bindings_is_exposed_only(client: docker.DockerClient) -> None:
    body = client.api.create_container_config(BASE, ["sleep", "100"], ports=[80], labels=["ports"])
    body["HostConfig"] = {"PortBindings": {"80/tcp": []}}
    identity = client.api.create_container_from_config(body)["Id"]
    client.api.start(identity)
    assert client.api.inspect_container(identity)["NetworkSettings"]["Ports"] == {"80/tcp": None}
