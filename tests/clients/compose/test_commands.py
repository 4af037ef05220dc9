"""What docker compose says of a running project and does in it: ps, logs, exec, run, cp, top, port, images, config."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from tests.clients.compose.conftest import maker
from tests.clients.compose.project import Project, v2
from tests.clients.engine import Engine
from tests.parity.normalise import normalise

TEXT = """
services:
  web:
    image: sockerless/base
    command: sh -c 'echo one; echo two >&2; mkdir /www; echo hello > /www/index.html; exec httpd -f -p 8080 -h /www'
    working_dir: /srv
    environment: {COLOUR: red}
    labels: {team: blue}
    ports: ["127.0.0.1::8080", "127.0.0.1::8443/udp"]
    stop_grace_period: 0s
  job:
    image: sockerless/base
    command: sh -c 'echo working; exit 4'
    volumes: [data:/data]
  lonely:
    image: sockerless/base
    command: cat /data/note
    profiles: [tools]
    volumes: [data:/data]
volumes: {data: {}}
"""


@pytest.fixture(scope="module")
def project(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project that the tests of this module only look at, or put back as it was."""
    for make in maker(engine, tmp_path_factory.mktemp("commands"), v2(), "--profile=*"):
        shop = make(TEXT)
        shop.ok("up", "--detach")
        engine.ok("wait", "shop-job-1")
        yield shop


@pytest.mark.oracle
def test_ps_as_a_table(project: Project) -> None:
    ports = "127.0.0.1:<port>->8080/tcp, 127.0.0.1:<port>->8443/udp"
    table = [re.split(r" {2,}", line.strip()) for line in project.ok("ps", "--all").splitlines()]
    assert table[0] == ["NAME", "IMAGE", "COMMAND", "SERVICE", "CREATED", "STATUS", "PORTS"]
    job, web = ([normalise(cell) for cell in row] for row in table[1:])
    assert job == ["shop-job-1", "sockerless/base", '"sh -c \'echo working…"', "job", "<age>", "Exited (4) <age>"]
    assert web[:-1] == ["shop-web-1", "sockerless/base", '"sh -c \'echo one; ec…"', "web", "<age>", "Up <age>"]
    assert re.sub(r":\d+->", ":<port>->", web[-1]) == ports


@pytest.mark.oracle
def test_ps_as_json_and_by_filter(project: Project) -> None:
    (row,) = [json.loads(line) for line in project.ok("ps", "--format=json").splitlines()]
    shown = ("Name", "Service", "State", "ExitCode", "Health", "Image", "Networks", "Mounts")
    assert {key: row[key] for key in shown} == {
        "Name": "shop-web-1", "Service": "web", "State": "running", "ExitCode": 0, "Health": "",
        "Image": "sockerless/base", "Networks": "shop_default", "Mounts": "",
    }  # fmt: skip
    assert "team=blue" in row["Labels"].split(",")
    publishers = sorted((port["URL"], port["TargetPort"], port["Protocol"]) for port in row["Publishers"])
    assert publishers == [("127.0.0.1", 8080, "tcp"), ("127.0.0.1", 8443, "udp")]
    assert project.ok("ps", "--services") == "web"
    assert project.ok("ps", "--all", "--status=exited", "--format={{.Name}} {{.ExitCode}}") == "shop-job-1 4"
    assert project.ok("ps", "--quiet", "web") == project.engine.ok("inspect", "--format={{.Id}}", "shop-web-1")


@pytest.mark.oracle
def test_ls(project: Project) -> None:
    config = project.folder / "compose.yaml"
    (row,) = json.loads(project.ok("ls", "--format=json"))
    assert row == {"Name": "shop", "Status": "running(1)", "ConfigFiles": str(config)}
    (row,) = json.loads(project.ok("ls", "--all", "--format=json"))
    assert row["Status"] == "exited(1), running(1)"


@pytest.mark.oracle
def test_logs(project: Project) -> None:
    both = project.ok("logs", "--no-color").splitlines()
    assert [line for line in both if line.startswith("job")] == ["job-1  | working"]
    assert sorted(line for line in both if line.startswith("web")) == ["web-1  | one", "web-1  | two"]
    assert project.ok("logs", "--no-log-prefix", "job") == "working"
    assert len(project.ok("logs", "--no-color", "--tail=1", "web").splitlines()) == 1
    assert project.ok("logs", "--no-color", "--tail=0") == ""
    assert re.fullmatch(r"job-1  \| <time> working", normalise(project.ok("logs", "--no-color", "--timestamps", "job")))


@pytest.mark.oracle
def test_exec(project: Project) -> None:
    assert project.ok("exec", "-T", "web", "sh", "-c", "pwd; echo $COLOUR") == "/srv\nred"
    options = ("--env=COLOUR=green", "--workdir=/tmp", "--user=1000:1000")
    assert (
        project.ok("exec", "-T", *options, "web", "sh", "-c", "pwd; echo $COLOUR; id -u; id -g")
        == "/tmp\ngreen\n1000\n1000"
    )
    assert project.ok("exec", "-T", "web", "cat", input="through\nstdin") == "through\nstdin"
    result = project.compose("exec", "-T", "web", "sh", "-c", "echo out; echo err >&2; exit 42")
    assert (result.code, result.stdout, result.stderr.splitlines()[0]) == (42, "out\n", "err")
    result = project.compose("exec", "-T", "job", "true")
    assert (result.code, result.stderr) == (1, 'service "job" is not running\n')
    project.ok(
        "exec", "--detach", "web", "sh", "-c", "echo done > /tmp/detached.new; mv /tmp/detached.new /tmp/detached"
    )
    assert project.sh("web", "until cat /tmp/detached 2>&-; do sleep 0.1; done; rm /tmp/detached") == "done"


@pytest.mark.oracle
def test_run(project: Project) -> None:
    result = project.compose("run", "--rm", "--no-deps", "job")
    assert (result.code, result.stdout) == (4, "working\n")
    assert project.ok("run", "--rm", "-T", "--entrypoint=cat", "job", input="from stdin\n") == "from stdin"
    assert project.ok("run", "--rm", "--env=COLOUR=pink", "web", "sh", "-c", "echo $COLOUR") == "pink"
    project.ok("run", "--rm", "job", "sh", "-c", "echo kept > /data/note")
    assert project.ok("run", "--rm", "lonely") == "kept"
    assert project.ok("run", "--rm", "job", "wget", "-qO-", "http://web:8080/") == "hello"
    project.ok("run", "--name=shop-left", "job", "true")
    assert (
        project.engine.ok("inspect", '--format={{index .Config.Labels "com.docker.compose.oneoff"}}', "shop-left")
        == "True"
    )
    project.engine.ok("rm", "shop-left")


@pytest.mark.oracle
def test_run_of_a_missing_program(project: Project) -> None:
    result = project.compose("run", "--rm", "job", "no-such-program")
    assert result.code == 1
    assert 'exec: "no-such-program": executable file not found in $PATH' in result.stderr
    assert "run" not in project.ok("ps", "--all", "--orphans=false", "--format={{.Name}}")


@pytest.mark.oracle
def test_copy_both_ways(project: Project) -> None:
    project.write("tree/a.txt", "first\n")
    project.write("tree/deep/b.txt", "second\n")
    project.ok("cp", "tree", "web:/tmp/tree")
    assert project.sh("web", "cd /tmp/tree; cat a.txt deep/b.txt; echo more >> a.txt") == "first\nsecond"
    project.ok("cp", "web:/tmp/tree/.", "back")
    assert (project.folder / "back" / "a.txt").read_text() == "first\nmore\n"
    assert (project.folder / "back" / "deep" / "b.txt").read_text() == "second\n"
    project.sh("web", "rm -r /tmp/tree")
    result = project.compose("cp", "web:/nowhere", "out")
    assert result.code == 1
    assert "Could not find the file /nowhere in container" in result.stderr


@pytest.mark.oracle
def test_port_reaches_the_service(project: Project) -> None:
    address = project.ok("port", "web", "8080")
    assert address.startswith("127.0.0.1:")
    fetched = project.engine.run(["busybox", "wget", "-qO-", f"http://{address}/"])
    assert fetched.stdout == "hello\n"
    published = address.rpartition(":")[2]
    result = project.compose("port", "--protocol=tcp", "web", "9999")
    assert result.code == 1
    assert result.stderr.startswith("no port 9999/tcp for container shop-web-1: ")
    assert f"{published}/tcp" in result.stderr


@pytest.mark.oracle
def test_top(project: Project) -> None:
    header, line = (row.split() for row in project.ok("top").splitlines())
    assert header == ["SERVICE", "#", "UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    assert (line[:3], line[9:]) == (["web", "1", "root"], ["httpd", "-f", "-p", "8080", "-h", "/www"])


@pytest.mark.oracle
def test_images(project: Project) -> None:
    rows = json.loads(project.ok("images", "--format=json"))
    image = project.engine.ok("inspect", "--format={{.Id}}", "--type=image", "sockerless/base")
    assert sorted((row["ContainerName"], row["Repository"], row["Tag"], row["ID"]) for row in rows) == [
        ("shop-job-1", "sockerless/base", "latest", image),
        ("shop-web-1", "sockerless/base", "latest", image),
    ]


@pytest.mark.oracle
def test_stats_and_volumes(project: Project) -> None:
    assert project.ok("stats", "--no-stream", "--format={{.Name}}", "web") == "shop-web-1"
    assert project.ok("volumes", "--quiet") == "shop_data"


@pytest.mark.oracle
def test_config(project: Project) -> None:
    assert sorted(project.ok("config", "--services").splitlines()) == ["job", "web"]
    assert project.ok("config", "--volumes") == "data"
    assert project.ok("config", "--images").splitlines() == ["sockerless/base", "sockerless/base"]
    hashes = dict(line.split() for line in project.ok("config", "--hash=web").splitlines())
    label = '--format={{index .Config.Labels "com.docker.compose.config-hash"}}'
    assert hashes == {"web": project.engine.ok("inspect", label, "shop-web-1")}
    result = project.compose("--file=missing.yaml", "config")
    assert result.code == 1
