"""A data directory on a disk that is full: a clear error each, the worker lives, all is well once there is space."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.place import BASE, TAR, Place
from tests.faults.tars import config, docker_archive, entry, tar
from tests.faults.test_bad_registries import CONFIG, LAYER, Registry, pull_error
from tests.waiting import eventually

SIZE_MB = 48
NO_SPACE = "no space left on device"
BALLAST = "ballast"
GAP = re.compile(r"\[sockerless: (\d+) bytes of output were not logged: No space left on device\]\n")


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("tiny")
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m", "tiny", str(path)], check=True)
    yield path
    subprocess.run(["umount", str(path)], check=True)


@pytest.fixture(scope="module")
def tiny(disk: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    place = Place(tmp_path_factory.mktemp("t"), data=disk / "d").up()
    place.started("keeper", "sh", "-c", "echo before; exec sleep 100000")
    eventually(lambda: b"before" in place.request("GET", "/containers/keeper/logs?stdout=1").body)
    yield place
    place.appliance.stop()


@pytest.fixture
def full(tiny: Place, disk: Path) -> Iterator[Place]:
    """Everything on the disk is taken; afterwards it is freed and the worker, never restarted, works as before."""
    census, pid = tiny.census(), tiny.pid("memory")
    fill(disk)
    yield tiny
    (disk / BALLAST).unlink()
    assert tiny.pid("memory") == pid
    assert tiny.census() == census
    assert tiny.exec("keeper", "echo", "well") == (0, b"\x01\0\0\0\0\0\0\x05well\n")
    ran = tiny.docker("run", "--rm", BASE, "sh", "-c", "echo written > /file; cat /file")
    assert (ran.code, ran.stdout, ran.stderr) == (0, "written\n", "")
    assert tiny.census() == census


def fill(disk: Path) -> None:
    with (disk / BALLAST).open("ab", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue


def test_load(full: Place) -> None:
    layer = tar(entry("file", bytes(1 << 20)))
    for _ in range(3):
        answer = full.request("POST", "/images/load", docker_archive("big", config(layer), layer), TAR)
        assert (answer.status, answer.message) == (200, f"image store: {NO_SPACE}")


def test_import(full: Place) -> None:
    answer = full.request("POST", "/images/create?fromSrc=-&repo=big", tar(entry("file", bytes(1 << 20))), TAR)
    assert (answer.status, answer.message) == (500, f"image store: {NO_SPACE}")


def test_tag(full: Place) -> None:
    answer = full.request("POST", f"/images/{BASE}/tag?repo=other&tag=1")
    assert (answer.status, answer.message) == (500, f"image store: {NO_SPACE}")


def test_pull(full: Place) -> None:
    registry = Registry().start()
    try:
        registry.peer.push("some/image", "1", CONFIG, [LAYER])
        assert NO_SPACE in pull_error(full, registry.image)
    finally:
        registry.stop()


def refused(place: Place, path: str, body: dict[str, object]) -> None:
    answer = place.request("POST", path, body)
    assert (answer.status, answer.message) == (500, f"cannot write to {place.data}/memory: {NO_SPACE}")


def test_nothing_new_is_begun(full: Place) -> None:
    for _ in range(3):
        refused(full, "/containers/create?name=more", {"Image": BASE, "Cmd": ["true"]})
        refused(full, "/volumes/create", {"Name": "more"})
        refused(full, "/networks/create", {"Name": "more"})
        ran = full.docker("run", "--rm", BASE, "true")
        assert (ran.code, NO_SPACE in ran.stderr) == (125, True)


def test_put_archive(full: Place) -> None:
    data = tar(entry("big", bytes(1 << 20)))
    answer = full.request("PUT", "/containers/keeper/archive?path=/tmp", data, TAR)
    assert (answer.status, answer.message) == (500, f"cannot write /tmp: {NO_SPACE}")
    assert full.docker("cp", "-", "keeper:/tmp", input=data).code == 1


def test_a_container_that_writes(full: Place) -> None:
    free(full, 1 << 20)
    code, output = full.exec("keeper", "sh", "-c", "dd if=/dev/zero of=/big bs=64k count=100; ls / >/dev/null")
    assert (code, b"No space left on device" in output) == (0, True)
    assert full.exec("keeper", "rm", "/big") == (0, b"")


def free(place: Place, size: int) -> None:
    """Give some of the ballast back."""
    ballast = place.data.parent / BALLAST
    os.truncate(ballast, ballast.stat().st_size - size)


def test_a_log_that_cannot_be_written(full: Place) -> None:
    """The program goes on and its clients see all; the log has whole lines only, and tells how much is missing."""
    free(full, 1 << 20)
    script = "echo first; read x; i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done"
    full.started("chatty", "sh", "-c", script, OpenStdin=True, StdinOnce=True)
    eventually(lambda: b"first" in full.request("GET", "/containers/chatty/logs?stdout=1").body)
    fill(full.data.parent)
    ran = full.docker("attach", "chatty", input=b"go\n")
    assert (ran.code, ran.stdout.splitlines()[-1]) == (0, "line 2999")
    assert full.wait("chatty") == 0
    shown = iter(["first", *ran.stdout.splitlines()])
    logged = full.docker("logs", "chatty")
    assert all(line in shown for line in logged.stdout.splitlines())  # in this order
    missing = len(ran.stdout) + len("first\n") - len(logged.stdout)
    gaps = GAP.findall(logged.stderr)  # more than one if the journal gave some space back meanwhile
    assert (GAP.sub("", logged.stderr), sum(map(int, gaps)), missing > 0) == ("", missing, True)
    full.remove("chatty")


def test_what_there_is_can_be_stopped_and_removed(full: Place) -> None:
    """That is how one gets space."""
    free(full, 4 << 20)
    for number in range(5):
        full.started(f"short-{number}", "sleep", "1000")
    full.request("POST", "/volumes/create", {"Name": "short"})
    fill(full.data.parent)
    assert full.request("POST", "/containers/short-0/stop?t=0").status == 204
    assert full.request("POST", "/containers/short-1/kill").status == 204
    assert full.wait("short-1") == 137
    assert full.request("POST", "/containers/short-2/rename?name=renamed").status == 204
    for name in ("short-0", "short-1", "renamed", "short-3", "short-4"):
        full.remove(name)
    assert full.request("DELETE", "/volumes/short").status == 204


def test_hundreds_of_removals(full: Place) -> None:
    """More than the journal's own room holds at once: it is used again."""
    free(full, 12 << 20)
    for number in range(150):
        full.create(f"many-{number}", "true")
    fill(full.data.parent)
    for number in range(150):
        full.remove(f"many-{number}")


def test_a_program_that_ends(full: Place) -> None:
    free(full, 1 << 20)
    full.started("ending", "sh", "-c", "read x; exit 7", OpenStdin=True, StdinOnce=True)
    fill(full.data.parent)
    full.docker("attach", "ending", input=b"now\n")
    assert full.wait("ending") == 7
    assert full.state("ending")["ExitCode"] == 7
    full.remove("ending")


def test_the_worker_comes_back_on_a_full_disk(tiny: Place, disk: Path) -> None:
    before = tiny.census()
    fill(disk)
    tiny.kill("memory", 9)
    assert tiny.census() == before
    assert tiny.state("keeper")["ExitCode"] == 137
    (disk / BALLAST).unlink()
    tiny.start("keeper")
    assert tiny.exec("keeper", "echo", "well") == (0, b"\x01\0\0\0\0\0\0\x05well\n")
