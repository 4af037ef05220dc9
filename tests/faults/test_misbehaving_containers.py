"""Containers that take all they can get: others, and the API, go on."""

from __future__ import annotations

import io
import subprocess
import tarfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from tests.faults.place import BASE, Place, open_stream, read_all
from tests.waiting import eventually


def test_a_fork_bomb_meets_its_limit(site: Place) -> None:
    site.started(
        "bomb", "sh", "-c", "f() { f & f & wait; }; f 2>/dev/null & read x", host={"PidsLimit": 40}, OpenStdin=True
    )
    eventually(lambda: len(site.request("GET", "/containers/bomb/top").json["Processes"]) >= 38)
    for _ in range(5):
        assert len(site.request("GET", "/containers/bomb/top").json["Processes"]) <= 40
        began = time.monotonic()
        assert site.exec("bystander", "echo", "here")[0] == 0
        assert time.monotonic() - began < 10
    site.remove("bomb")


@pytest.mark.slow
def test_a_container_without_a_limit_has_one_all_the_same(site: Place) -> None:
    """One container may not take the worker's threads from the others."""
    loop = "i=0; while [ $i -lt 20000 ]; do sleep 100000 & i=$((i+1)); done; wait"
    site.started("many", "sh", "-c", loop)
    assert site.wait("many") == 2
    assert "can't fork: Resource temporarily unavailable" in site.docker("logs", "many").stderr
    assert site.exec("bystander", "echo", "here")[0] == 0
    site.remove("many")


@pytest.mark.slow
def test_many_containers_that_take_all_they_can(site: Place) -> None:
    """The worker's own room is limited too, before the host's kernel refuses it something it cannot do without."""
    loop = "i=0; while [ $i -lt 1800 ]; do sleep 100000 & i=$((i+1)); done; echo full; wait"
    for number in range(4):
        site.started(f"many-{number}", "sh", "-c", loop)
    codes = [
        site.docker("logs", f"many-{number}").stdout
        for number in range(4)
        if wait_for_end_or_full(site, f"many-{number}")
    ]
    assert len(codes) == 4
    assert site.request("GET", "/containers/json").status == 200
    for number in range(4):
        site.request("DELETE", f"/containers/many-{number}?force=1")
        eventually(partial(gone, site, f"many-{number}"), 60)
    assert site.exec("bystander", "echo", "here")[0] == 0


def wait_for_end_or_full(place: Place, name: str) -> bool:
    def settled() -> bool:
        return not place.state(name)["Running"] or "full" in place.docker("logs", name).stdout

    eventually(settled, 120)
    return True


def gone(place: Place, name: str) -> bool:
    return place.request("DELETE", f"/containers/{name}?force=1").status in (204, 404)


def test_processes_over_the_limit_are_refused_as_by_linux(site: Place) -> None:
    ran = site.docker(
        "run", "--rm", "--pids-limit", "3", BASE, "sh", "-c", "for i in 1 2 3 4 5; do sleep 1 & done; wait"
    )
    assert ran.code == 2
    assert "can't fork: Resource temporarily unavailable" in ran.stderr


@pytest.mark.parametrize(
    "hog", ["x=x; while :; do x=$x$x; done", "dd if=/dev/zero of=/dev/null bs=200M count=1"], ids=["shell", "dd"]
)
def test_a_memory_hog_is_killed(site: Place, hog: str) -> None:
    site.started("hog", "sh", "-c", f"exec sh -c '{hog}'", host={"Memory": 32 << 20})
    assert site.wait("hog") == 137
    state = site.state("hog")
    assert (state["OOMKilled"], state["ExitCode"], state["Status"]) == (True, 137, "exited")
    assert site.rss_mb("memory") < 1024
    site.remove("hog")


def test_a_memory_hog_beside_the_main_process(site: Place) -> None:
    """Its biggest process is killed, the rest goes on."""
    site.started("hog", "sh", "-c", "while :; do sleep 1; done", host={"Memory": 32 << 20})
    code, _ = site.exec("hog", "sh", "-c", "x=x; while :; do x=$x$x; done")
    assert code == 137
    assert site.state("hog")["Running"] is True
    site.remove("hog")


def test_many_small_lines(site: Place) -> None:
    """Nothing is lost and every line is whole."""
    line = "a" * 49
    script = f"i=0; while [ $i -lt 20000 ]; do echo {line}; i=$((i+1)); done"
    site.started("scribe", "sh", "-c", script)
    assert site.wait("scribe") == 0
    logged = site.docker("logs", "scribe").stdout
    assert logged == f"{line}\n" * 20000
    site.remove("scribe")


@pytest.mark.slow
def test_a_million_writes_of_one_byte(site: Place) -> None:
    site.create(
        "dots", "dd", "if=/dev/zero", "bs=1", "count=1000000", "status=none", host={"LogConfig": {"Type": "none"}}
    )
    connection = open_stream(site, b"POST /containers/dots/attach?stream=1&stdout=1")
    reader = threading.Thread(target=lambda: sizes.append(payload(read_all(connection).partition(b"\r\n\r\n")[2])))
    sizes: list[int] = []
    reader.start()
    site.start("dots")
    assert site.wait("dots") == 0
    reader.join()
    connection.close()
    assert sizes == [1_000_000]
    site.remove("dots")


def payload(framed: bytes) -> int:
    """How many bytes the frames hold."""
    size = 0
    while framed:
        length = int.from_bytes(framed[4:8], "big")
        size += length
        framed = framed[8 + length :]
    return size


def test_a_process_that_ignores_sigterm(site: Place) -> None:
    site.started("stubborn", "sh", "-c", "trap '' TERM INT HUP; echo set; while :; do sleep 1; done")
    eventually(lambda: b"set" in site.request("GET", "/containers/stubborn/logs?stdout=1").body)
    began = time.monotonic()
    assert site.docker("stop", "-t", "2", "stubborn").code == 0
    assert 2 <= time.monotonic() - began < 8
    state = site.state("stubborn")
    assert (state["ExitCode"], state["OOMKilled"]) == (137, False)
    site.remove("stubborn")


def test_a_busy_loop_can_be_killed(site: Place) -> None:
    """Without a single system call that it could be killed in."""
    site.started("busy", "sh", "-c", "while :; do :; done")
    began = time.monotonic()
    assert site.request("GET", "/_ping").status == 200
    assert site.request("POST", "/containers/busy/kill").status == 204
    assert site.wait("busy") == 137
    assert time.monotonic() - began < 10
    site.remove("busy")


def test_a_huge_environment(site: Place) -> None:
    variables = [f"V{number}={'x' * 1000}" for number in range(700)]
    site.create("rich", "sh", "-c", "echo ${#V0} ${#V699}; env | grep -c ^V", Env=variables)
    assert site.docker("start", "-a", "rich").stdout == "1000 1000\n700\n"
    site.remove("rich")


@pytest.mark.parametrize("variables", [["V=" + "x" * (1 << 17)], [f"V{n}={'x' * 1000}" for n in range(1000)]])
def test_an_environment_that_is_too_large(site: Place, variables: list[str]) -> None:
    site.create("richer", "true", Env=variables)
    answer = site.request("POST", "/containers/richer/start")
    assert (answer.status, answer.message.split("process: ")[1]) == (400, "exec true: argument list too long: unknown")
    site.remove("richer")
    code, output = site.exec("bystander", "sh", "-c", "x=$(head -c 200000 /dev/zero | tr '\\0' x); /bin/echo $x")
    assert (code, b"Argument list too long" in output) == (126, True)


def test_a_hundred_execs_at_once(full_pool: None, site: Place) -> None:
    with ThreadPoolExecutor(100) as pool:
        results = list(pool.map(lambda n: site.exec("bystander", "sh", "-c", f"echo {n}; exit {n}"), range(100)))
    assert [code for code, _ in results] == list(range(100))
    assert [output[8:] for _, output in results] == [b"%d\n" % number for number in range(100)]


def test_deep_directories(site: Place) -> None:
    """Deeper than a path may be long, in the container's own files and in a volume."""
    script = """for base in /deep /volume; do mkdir -p $base; cd $base; i=0
    while [ $i -lt 700 ] && mkdir d && cd d; do i=$((i+1)); done; echo $i; done"""
    site.create("deep", "sh", "-c", script, host={"Binds": ["deep:/volume"]})
    assert site.docker("start", "-a", "deep").stdout == "700\n700\n"
    changes = site.request("GET", "/containers/deep/changes").json
    assert max(change["Path"].count("/") for change in changes) == 701
    for path in ("/deep", "/volume"):
        answer = site.request("GET", f"/containers/deep/archive?path={path}")
        assert answer.status == 200
        with tarfile.open(fileobj=io.BytesIO(answer.body)) as archive:
            assert len(archive.getmembers()) == 701
    assert site.request("GET", "/containers/deep/json?size=1").status == 200
    assert site.request("GET", "/system/df").status == 200
    site.remove("deep")
    assert site.request("DELETE", "/volumes/deep").status == 204


def test_a_directory_of_many_files(site: Place) -> None:
    script = "mkdir /many; cd /many; i=0; while [ $i -lt 5000 ]; do : > file-$i; i=$((i+1)); done; ls | wc -l"
    site.create("wide", "sh", "-c", script)
    assert site.docker("start", "-a", "wide").stdout == "5000\n"
    assert len(site.request("GET", "/containers/wide/changes").json) == 5001
    site.remove("wide")


@pytest.mark.slow
def test_two_hundred_containers_at_once(full_pool: None, site: Place) -> None:
    names = [f"herd-{number}" for number in range(200)]
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda name: site.started(name, "sleep", "100000"), names))
        assert len(site.request("GET", "/containers/json").json) == 201
        times = []
        for _ in range(20):
            began = time.monotonic()
            assert site.request("GET", "/containers/json").status == 200
            times.append(time.monotonic() - began)
        assert sorted(times)[10] < 1
        assert site.exec("herd-199", "hostname")[0] == 0
        list(pool.map(site.remove, names))


def test_a_container_that_restarts_for_ever(site: Place) -> None:
    """Its pauses grow, so it costs little, and it can be removed at any moment."""
    for number in range(5):
        site.started(f"loop-{number}", "false", host={"RestartPolicy": {"Name": "always"}})
    eventually(lambda: site.request("GET", "/containers/loop-4/json").json["RestartCount"] >= 2)
    for number in range(5):
        site.remove(f"loop-{number}")


def test_one_client_of_many_kinds_at_once(full_pool: None, site: Place) -> None:
    """Everything beside everything, by real clients: nobody waits for anybody."""
    environment = {
        "DOCKER_HOST": f"unix://{site.socket}",
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(site.base),
    }
    commands = [["docker", "run", "--rm", BASE, "echo", str(number)] for number in range(12)]
    commands += [["docker", "exec", "bystander", "echo", "e"], ["docker", "ps", "-a"], ["docker", "info"]] * 4
    running = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) for command in commands]
    outputs = [process.communicate(timeout=60)[0] for process in running]
    assert [process.returncode for process in running] == [0] * len(commands)
    assert outputs[:12] == [b"%d\n" % number for number in range(12)]
