"""What people write with testcontainers for Python. Run by pytest in a process of its own, with DOCKER_HOST set."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from testcontainers.core.container import DockerContainer, ExecConfig
from testcontainers.core.image import DockerImage
from testcontainers.core.network import Network
from testcontainers.core.wait_strategies import (
    ContainerStatusWaitStrategy,
    ExecWaitStrategy,
    HealthcheckWaitStrategy,
    HttpWaitStrategy,
    LogMessageWaitStrategy,
    PortWaitStrategy,
)
from testcontainers.core.waiting_utils import wait_for_logs

BASE = "sockerless/base:latest"
SERVE = "mkdir -p /w && hostname > /w/page && exec httpd -f -p 80 -h /w"
HERE = Path(__file__).parent


def shell(command: str) -> DockerContainer:
    return DockerContainer(BASE).with_command(["sh", "-c", command])


def get(container: DockerContainer, page: str = "page") -> str:
    url = f"http://{container.get_container_host_ip()}:{container.get_exposed_port(80)}/{page}"
    with urllib.request.urlopen(url, timeout=30) as answer:
        return str(answer.read().decode())


def output(container: DockerContainer, *command: str) -> str:
    return container.exec(list(command)).output.decode()


def test_an_exposed_port_and_http() -> None:
    late = shell(f"(sleep 0.5; echo up > /w/ready) & {SERVE}").with_exposed_ports(80).with_kwargs(hostname="served")
    with late.waiting_for(HttpWaitStrategy(80, "/ready").for_status_code(200)) as container:
        assert (get(container), get(container, "ready")) == ("served\n", "up\n")


def test_a_given_port() -> None:
    with shell(SERVE).with_bind_ports(80, None).waiting_for(PortWaitStrategy(80)) as container:
        wrapped = container.get_wrapped_container()
        wrapped.reload()
        port = container.get_exposed_port(80)
        assert [binding["HostPort"] for binding in wrapped.ports["80/tcp"]] == [str(port), str(port)]


def test_logs() -> None:
    with shell("for n in 1 2 3; do echo tick $n; done; echo bad >&2; exec sleep 100") as container:
        assert wait_for_logs(container, "tick 3", timeout=30) < 30
        wait_for_logs(container, lambda text: "bad" in text, timeout=30)
        assert container.get_logs() == (b"tick 1\ntick 2\ntick 3\n", b"bad\n")


def test_a_log_message() -> None:
    ticking = shell("for n in 1 2; do echo tick $n; sleep 0.1; done; exec sleep 100")
    with ticking.waiting_for(LogMessageWaitStrategy("tick 2")) as container:
        assert container.get_logs() == (b"tick 1\ntick 2\n", b"")


def test_exec_and_environment() -> None:
    given = shell("sleep 100").with_env("WORD", "one two").with_envs(OTHER="three")
    with given.with_kwargs(user="1000", working_dir="/usr") as container:
        assert output(container, "sh", "-c", 'echo "$WORD $OTHER"; id -u; pwd') == "one two three\n1000\n/usr\n"
        assert container.exec("sh -c 'exit 5'").exit_code == 5
        there = ExecConfig(command=["sh", "-c", "pwd; echo $X"], workdir="/tmp", environment={"X": "y"})
        assert container.exec(there).output == b"/tmp\ny\n"


def test_volumes_and_tmpfs(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("bound")
    mounted = (
        shell("sleep 100").with_volume_mapping(tmp_path, "/bound", "rw").with_volume_mapping("tc-python", "/v", "rw")
    )
    with mounted.with_tmpfs_mount("/scratch", "size=1m") as container:
        assert output(container, "sh", "-c", "cat /bound/file; echo x > /v/x; cp /v/x /bound; ls /scratch") == "bound"
    assert (tmp_path / "x").read_text() == "x\n"
    docker.from_env().volumes.get("tc-python").remove()


def test_files_in_and_out(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/file").write_text("from the host")
    filled = shell("cat /a; exec sleep 100").with_copy_into_container(b"content\n", "/a", 0o600)
    with filled.with_copy_into_container(tmp_path / "folder", "/there") as container:
        wait_for_logs(container, "content", timeout=30)
        assert output(container, "sh", "-c", "stat -c %a /a; cat /there/folder/file") == "600\nfrom the host"
        container.copy_into_container(b"later", "/tmp/later")
        container.copy_from_container("/tmp/later", tmp_path / "later")
    assert (tmp_path / "later").read_bytes() == b"later"


@pytest.fixture
def network() -> Iterator[Network]:
    with Network() as network:
        yield network


def test_a_network_with_aliases(network: Network) -> None:
    server = shell(SERVE).with_network(network).with_network_aliases("web", "www").with_kwargs(hostname="inner")
    with server, shell("sleep 100").with_network(network) as other:
        for name in ("web", "www"):
            fetch = f"until wget -q -O - http://{name}/page 2> /dev/null; do sleep 0.1; done"
            assert output(other, "sh", "-c", fetch) == "inner\n"


def test_a_health_check() -> None:
    check = {"test": ["CMD-SHELL", "test -f /tmp/ready"], "interval": 100_000_000, "retries": 100}
    healing = shell("sleep 0.5; touch /tmp/ready; exec sleep 100").with_kwargs(healthcheck=check)
    with healing.waiting_for(HealthcheckWaitStrategy().with_poll_interval(0.1)) as container:
        assert container.get_wrapped_container().attrs["State"]["Health"]["Status"] == "healthy"


def test_a_command_and_a_status() -> None:
    working = shell("sleep 0.3; touch /tmp/done; exec sleep 100")
    with working.waiting_for(ExecWaitStrategy(["test", "-f", "/tmp/done"])) as container:
        ContainerStatusWaitStrategy().wait_until_ready(container)
        assert container.status == "running"


def test_an_end() -> None:
    with shell("echo last; exit 3") as container:
        assert container.wait() == 3
        assert container.get_logs() == (b"last\n", b"")
    with pytest.raises(docker.errors.NotFound):
        container.get_wrapped_container().reload()


def test_an_image_from_a_dockerfile() -> None:
    with DockerImage(HERE / "image", tag="tc-python:1", buildargs={"GREETING": "hello"}) as image:
        served = DockerContainer(str(image)).with_exposed_ports(80)
        with served.waiting_for(HttpWaitStrategy(80, "/page")) as container:
            assert (get(container), get(container, "extra")) == ("hello from build\nsecond\n", "copied\n")
    with pytest.raises(docker.errors.ImageNotFound):
        docker.from_env().images.get("tc-python:1")


def test_an_address_on_the_default_network() -> None:
    with shell("sleep 100") as container:
        info = container.get_container_info()
        assert info is not None
        client = container.get_docker_client()
        assert client.bridge_ip(container.get_container_id()) in output(container, "cat", "/etc/hosts")
        assert (
            client.gateway_ip(container.get_container_id())
            == client.client.networks.get("bridge").attrs["IPAM"]["Config"][0]["Gateway"]
        )
