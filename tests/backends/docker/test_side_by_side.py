"""Memory and docker behind one endpoint, as real clients meet them; each alone in its death."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest

from appliance.config import Config
from appliance.supervision import Appliance
from tests.clients.engine import Engine
from tests.oracle.daemon import Oracle
from tests.waiting import eventually

pytestmark = pytest.mark.slow
BASE = "sockerless/base"


@dataclass
class Both:
    """The appliance with both backends, memory the default, and its engine for clients."""

    appliance: Appliance
    engine: Engine

    def ok(self, *arguments: str, input: str = "") -> str:
        return self.engine.ok(*arguments, input=input)

    def pid(self, name: str) -> int:
        return next(process.pid for process in self.appliance.processes() if process.name == name)


@pytest.fixture(scope="module")
def both(behind: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    home = tmp_path_factory.mktemp("both")
    config = Config(
        run_dir=home / "r",
        data_dir=home / "d",
        backend=("memory", "docker"),
        docker_engine=behind.host,
        start_timeout=60,
    )
    appliance = Appliance(config)
    appliance.start()
    yield Both(appliance, Engine("both", config.addresses[0], home))
    appliance.stop()


@pytest.fixture(autouse=True)
def clean(both: Both) -> Iterator[None]:
    yield
    if found := both.ok("ps", "-aq").split():
        both.ok("rm", "-fv", *found)
    both.ok("network", "prune", "-f")


def test_each_runtime_runs_its_own(both: Both) -> None:
    assert "WebAssembly" in both.ok("run", "--rm", BASE, "uname", "-a")
    assert both.ok("run", "--rm", "--runtime", "docker", BASE, "uname", "-r") == os.uname().release
    refused = both.engine.docker("run", "--rm", "--runtime", "nosuch", BASE, "true")
    assert (refused.code, "unknown or invalid runtime name: nosuch" in refused.stderr) == (125, True)


def test_info_names_both(both: Both) -> None:
    assert both.ok("info", "--format", "{{.DefaultRuntime}} {{len .Runtimes}}") == "memory 2"


def test_one_list_and_names_and_ids_across(both: Both) -> None:
    ids = {}
    for name, runtime in (("in-memory", "memory"), ("in-docker", "docker")):
        ids[name] = both.ok("run", "-d", "--runtime", runtime, "--name", name, BASE, "sleep", "1000")
    assert sorted(both.ok("ps", "--format", "{{.Names}}").split()) == ["in-docker", "in-memory"]
    for name, identity in ids.items():
        assert both.ok("inspect", "--format", "{{.Id}}", name) == identity
        assert both.ok("exec", "-i", identity[:12], "cat", input=name) == name
    taken = both.engine.docker("run", "-d", "--runtime", "docker", "--name", "in-memory", BASE, "true")
    assert f'"/in-memory" is already in use by container "{ids["in-memory"]}"' in taken.stderr


@pytest.mark.parametrize("runtime", ["memory", "docker"])
def test_everything_a_container_can_do(both: Both, runtime: str, tmp_path: Path) -> None:
    both.ok("volume", "create", "shared-vol")
    both.ok("network", "create", "shared-net")
    common = ["--runtime", runtime, "--name", "whole", "--network", "shared-net", "-v", "shared-vol:/data"]
    both.ok("run", "-d", *common, BASE, "sh", "-c", "echo started; sleep 1000")
    eventually(lambda: both.ok("logs", "whole") == "started", 60)
    (tmp_path / "file").write_text("copied\n")
    both.ok("cp", str(tmp_path / "file"), "whole:/data/file")
    assert both.ok("exec", "whole", "cat", "/data/file") == "copied"
    assert both.ok("top", "whole").count("sleep 1000") >= 1
    assert both.ok("network", "inspect", "shared-net", "--format", "{{range .Containers}}{{.Name}}{{end}}") == "whole"
    assert both.ok("network", "ls", "-q", "--filter", "name=shared-net").count("\n") == 0
    assert "whole" in both.ok("stats", "--no-stream", "--format", "{{.Name}}", "whole")
    both.ok("rename", "whole", "renamed")
    assert both.ok("commit", "renamed", "sockerless-test/committed").startswith("sha256:")
    assert both.ok("run", "--rm", "--runtime", runtime, "sockerless-test/committed", "cat", "/etc/passwd") != ""
    both.ok("rmi", "-f", "sockerless-test/committed")
    both.ok("rm", "-f", "renamed")
    both.ok("network", "rm", "shared-net")
    both.ok("volume", "rm", "shared-vol")
    assert "shared" not in both.ok("network", "ls") + both.ok("volume", "ls")


def test_an_image_goes_where_it_is_needed(both: Both, behind: Engine, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM {BASE}\nRUN echo moved > /moved\n")
    built = both.engine.run(
        ["docker", "build", "-q", "-t", "sockerless-test/moved", "."], cwd=tmp_path, env={"DOCKER_BUILDKIT": "0"}
    )
    assert built.code == 0, built
    # Its programs are WebAssembly twins: what matters is that the other engine has the very image.
    created = both.ok("create", "--runtime", "docker", "sockerless-test/moved", "true")
    image = both.ok("inspect", "--format", "{{.Image}}", created)
    assert behind.ok("image", "inspect", "--format", "{{.Id}}", "sockerless-test/moved") == image
    assert both.ok("images", "-q", "--no-trunc", "sockerless-test/moved") == image
    both.ok("rm", created)
    both.ok("rmi", "sockerless-test/moved")
    assert behind.docker("image", "inspect", "sockerless-test/moved").code == 1


def test_images_of_both_are_filtered_by_their_age(both: Both, behind: Engine) -> None:
    young = behind.ok("images", "-q", BASE)
    assert young in both.ok("images", "-q", "--filter", "until=0s").split()
    assert young not in both.ok("images", "-q", "--filter", "until=24h").split()


def test_pruning_leaves_what_the_other_uses(both: Both) -> None:
    for kind in ("volume", "network"):
        both.ok(kind, "create", "pruned-used")
        both.ok(kind, "create", "pruned-free")
    options = ["--name", "user", "--network", "pruned-used", "-v", "pruned-used:/data"]
    both.ok("run", "-d", "--runtime", "docker", *options, BASE, "sleep", "1000")
    assert both.ok("volume", "ls", "-q", "--filter", "dangling=true", "--filter", "name=pruned") == "pruned-free"
    for kind, answer in (("volume", "Deleted Volumes"), ("network", "Deleted Networks")):
        assert both.ok(kind, "prune", "-f").splitlines()[:2] == [f"{answer}:", "pruned-free"]
        assert both.ok(kind, "ls", "--filter", "name=pruned", "--format", "{{.Name}}") == "pruned-used"
    both.ok("rm", "-f", "user")
    both.ok("volume", "rm", "pruned-used")


def test_many_followers_of_events_keep_nobody_waiting(both: Both) -> None:
    with contextlib.ExitStack() as followers:
        for _ in range(300):
            follower = followers.enter_context(socket.socket(socket.AF_UNIX))
            follower.settimeout(60)
            follower.connect(both.engine.socket)
            follower.sendall(b"GET /events HTTP/1.1\r\nHost: docker\r\n\r\n")
            assert follower.recv(12) == b"HTTP/1.1 200"
        assert both.ok("ps", "-q") == ""


def test_docker_py_follows_events_of_both(both: Both) -> None:
    client = docker.DockerClient(base_url=both.engine.host, version="auto", timeout=60)
    events = client.events(decode=True, filters={"type": "container", "event": "create"})
    for name, runtime in (("one", "memory"), ("two", "docker")):
        client.containers.create(BASE, ["true"], name=name, runtime=runtime)
        assert next(events)["Actor"]["Attributes"]["name"] == name
    events.close()
    client.close()


@pytest.mark.parametrize(("victim", "other"), [("docker", "memory"), ("memory", "docker")])
def test_a_killed_worker_costs_its_own_containers_only(both: Both, victim: str, other: str) -> None:
    for runtime in (victim, other):
        both.ok("run", "-d", "--runtime", runtime, "--name", f"on-{runtime}", BASE, "sleep", "1000")
    attached = subprocess.Popen(
        ["docker", "exec", "-i", f"on-{other}", "cat"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=both.engine.environment(),
    )  # fmt: skip
    assert attached.stdin is not None
    attached.stdin.write(b"before\n")
    attached.stdin.flush()
    stopped = both.pid(victim)
    os.kill(stopped, signal.SIGSTOP)  # keeps supervisord from starting another before we have looked
    socket_path = both.appliance.config.worker_socket(victim)
    hidden = socket_path.with_suffix(".hidden")
    socket_path.rename(hidden)
    socket_path.write_text("")  # in the next worker's way, which replaces no file that is not a socket
    os.kill(stopped, signal.SIGKILL)
    try:
        _look_around(both, victim, other)
        attached.stdin.write(b"after\n")
        attached.stdin.close()
        assert attached.stdout is not None
        assert attached.stdout.read() == b"before\nafter\n"
        assert attached.wait(timeout=30) == 0
    finally:
        socket_path.unlink()
        hidden.unlink()
    eventually(lambda: both.engine.docker("inspect", f"on-{victim}").code == 0, 60)
    if victim == "docker":  # the engine behind it never noticed
        assert both.ok("inspect", "--format", "{{.State.Running}}", f"on-{victim}") == "true"


def _look_around(both: Both, victim: str, other: str) -> None:
    if other == both.appliance.config.backend[0]:
        both.ok("volume", "create", "beside")
        both.ok("volume", "rm", "beside")
        words = {"image": "No such image: nosuch", "network": "network nosuch not found", "volume": "no such volume"}
        for kind, absent in words.items():
            assert absent in both.engine.docker(kind, "inspect", "nosuch").stderr
    assert both.ok("ps", "--format", "{{.Names}}") == f"on-{other}"
    assert both.ok("exec", f"on-{other}", "echo", "alive") == "alive"
    refused = both.engine.docker("exec", f"on-{victim}", "true")
    assert (refused.code, f"the {victim} backend is not available" in refused.stderr) == (1, True)
    info = both.engine.docker("info", "--format", "{{.Warnings}}")
    assert f"the {victim} backend is not available" in info.stdout
    both.ok("run", "--rm", "--runtime", other, BASE, "true")
    lost = both.engine.docker("run", "--rm", "--runtime", victim, BASE, "true")
    assert (lost.code, f"the {victim} backend is not available" in lost.stderr) == (125, True)


def test_an_engine_that_hangs_costs_its_own_containers_only(both: Both, driven: Oracle) -> None:
    both.ok("run", "-d", "--runtime", "docker", "--name", "on-docker", BASE, "sleep", "1000")
    os.kill(driven.dockerd_pid(), signal.SIGSTOP)
    try:
        both.ok("ps")  # waits for a sign of life
        began = time.monotonic()
        assert both.ok("run", "--rm", "--name", "beside", BASE, "echo", "alive") == "alive"
        both.ok("volume", "create", "beside")
        both.ok("volume", "rm", "beside")
        assert both.ok("ps", "-q") == ""
        assert time.monotonic() - began < 30
    finally:
        os.kill(driven.dockerd_pid(), signal.SIGCONT)
    eventually(lambda: both.ok("ps", "--format", "{{.Names}}") == "on-docker", 60)
