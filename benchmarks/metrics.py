"""What is measured, in the order of the report, each with the number to reach."""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from benchmarks import builds, calls, load, pulls, streams
from benchmarks.subjects import Subject
from tests.clients import act_client
from tests.clients.engine import Engine

IMAGE = "sockerless/base"
MEGABYTES = 256
IDLE_CONTAINERS = 200
ALL_CONTAINERS = 1000
CONNECTIONS = 16
WORKFLOW = Path(__file__).parent / "three_steps.yml"
Sample = Callable[[Subject], float]


@dataclass(frozen=True)
class Metric:
    """One number. `target` is a limit on ours (`absolute`) or on ours divided by theirs; `at_least` or else at most."""

    name: str
    unit: str
    what: str
    target: float
    absolute: bool
    at_least: bool
    rounds: int
    sample: Sample


@dataclass(frozen=True)
class Result:
    """Medians of both over `n` interleaved rounds, and the machine's load average when they began."""

    ours: float
    theirs: float
    unit: str
    n: int
    load: float

    @property
    def ratio(self) -> float:
        return self.ours / self.theirs


def measure(metric: Metric, ours: Subject, theirs: Subject) -> Result:
    """Runs the metric's sample on both in turns."""
    average = os.getloadavg()[0]
    pairs = [(metric.sample(ours), metric.sample(theirs)) for _ in range(metric.rounds)]
    mine, reference = (statistics.median(column) for column in zip(*pairs, strict=True))
    return Result(mine, reference, metric.unit, metric.rounds, average)


def _run_rm(subject: Subject) -> float:
    return 1000 * _timed(subject.engine, "run", "--rm", IMAGE, "true")


def _exec_true(subject: Subject) -> float:
    _ensure_box(subject.engine)
    return 1000 * _timed(subject.engine, "exec", "box", "true")


def _exec_stdout(subject: Subject) -> float:
    _ensure_box(subject.engine)
    dd = f"exec docker exec box dd if=/dev/zero bs=1M count={MEGABYTES} > /dev/null 2>&1"
    start = time.perf_counter()
    result = subject.engine.run(["sh", "-c", dd])
    spent = time.perf_counter() - start
    assert result.code == 0, result
    return MEGABYTES * (1 << 20) / 1e6 / spent


def _requests(target: str) -> Sample:
    def sample(subject: Subject) -> float:
        return load.run(subject.engine.socket, target, connections=CONNECTIONS, seconds=2).rate

    return sample


def _act(subject: Subject) -> float:
    with tempfile.TemporaryDirectory(prefix="sockerless-bench-") as folder:
        shutil.copy(WORKFLOW, folder)
        start = time.perf_counter()
        run = act_client.run(subject.engine, Path(folder), "three_steps", workflows=WORKFLOW.parent)
        spent = time.perf_counter() - start
    assert run.code == 0, run
    assert run.jobs["job"].output == {"one": "one\n", "two": "2\n", "three": "one 2\n"}
    return spent


def _p99_with_many_containers(subject: Subject) -> float:
    """Milliseconds that one client waits. The containers are started at the first round and stay."""
    _ensure_idle(subject.engine)
    listing = load.run(subject.engine.socket, "/containers/json", connections=1, seconds=5)
    return 1000 * listing.percentile(0.99)


def _p99_with_created_containers(subject: Subject) -> float:
    """As above, for a list of all containers. What is missing of their number is created at the first round."""
    _ensure_created(subject.engine)
    listing = load.run(subject.engine.socket, "/containers/json?all=1", connections=1, seconds=5)
    return 1000 * listing.percentile(0.99)


def _ensure_box(engine: Engine) -> None:
    if not engine.ok("ps", "--quiet", "--filter", "name=^/box$"):
        engine.ok("run", "--detach", "--name", "box", IMAGE, "sleep", "100000")


def _ensure_idle(engine: Engine) -> None:
    running = len(engine.ok("ps", "--quiet", "--filter", "label=idle").split())
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: _start_idle(engine), range(IDLE_CONTAINERS - running)))
    assert len(engine.ok("ps", "--quiet", "--filter", "label=idle").split()) == IDLE_CONTAINERS


def _start_idle(engine: Engine) -> None:
    engine.ok("run", "--detach", "--label", "idle", "--network", "none", IMAGE, "tail", "-f", "/dev/null")


def _ensure_created(engine: Engine) -> None:
    idle = {"Image": IMAGE, "Cmd": ["true"], "HostConfig": {"NetworkMode": "none"}}
    present = len(engine.ok("ps", "--all", "--quiet").split())
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: calls.create(engine.socket, idle), range(ALL_CONTAINERS - present)))
    assert len(engine.ok("ps", "--all", "--quiet").split()) == ALL_CONTAINERS


def _timed(engine: Engine, *arguments: str) -> float:
    start = time.perf_counter()
    result = engine.docker(*arguments)
    spent = time.perf_counter() - start
    assert result.code == 0, result
    return spent


def table() -> Iterable[Metric]:
    """All metrics, in the report's order."""
    below, above = {"absolute": False, "at_least": False}, {"absolute": False, "at_least": True}
    return (
        Metric("run_rm", "ms", "`docker run --rm … true`", 0.2, **below, rounds=15, sample=_run_rm),
        Metric("exec_true", "ms", "`docker exec … true`", 0.5, **below, rounds=20, sample=_exec_true),
        Metric("exec_stdout_mbps", "MB/s", "bytes of `docker exec … dd`", 2, **above, rounds=5, sample=_exec_stdout),
        Metric("ping_rps", "req/s", "`GET /_ping`", 5000, True, True, 5, _requests("/_ping")),
        Metric("info_rps", "req/s", "`GET /info`", 20, **above, rounds=5, sample=_requests("/info")),
        Metric("act_three_steps", "s", "act, a job of three steps", 0.6, **below, rounds=5, sample=_act),
        Metric("frontend_rss_mb", "MB", "memory, idle: frontend, dockerd", 60, True, False, 1, _rss("frontend")),
        Metric("worker_rss_mb", "MB", "memory, idle: worker, containerd", 90, True, False, 1, _rss("worker")),
        Metric("up_ready_s", "s", "start until it answers", 3, True, False, 1, lambda subject: subject.started),
        Metric(
            "ps_p99_ms_200", "ms", "99th percentile of `GET /containers/json` with 200 idle containers",
            50, True, False, 3, _p99_with_many_containers,
        ),
        Metric("build_ten_steps", "ms", "classic build, ten steps, one RUN", 0.5, **below, rounds=7, sample=builds.new),
        Metric("build_cached_ms", "ms", "`POST /build`, all in the cache", 100, True, False, 7, builds.cached),
        Metric("pull_200mb", "MB/s", "`docker pull`, registry on loopback", 1, **above, rounds=5, sample=pulls.rate),
        Metric(
            "ps_p99_ms_1000", "ms", "99th percentile of `GET /containers/json?all=1` with 1,000 containers",
            100, True, False, 3, _p99_with_created_containers,
        ),
        Metric(
            "attach_1000_rss_mb", "MB", "memory of 1,000 attached streams (both processes)",
            150, True, False, 1, streams.attach_memory,
        ),
        Metric(
            "logs_follow_p95_ms", "ms", "95th percentile of the lag of `docker logs -f`",
            20, True, False, 3, streams.follow_lag,
        ),
    )  # fmt: skip


def _rss(role: str) -> Sample:
    return lambda subject: subject.memory(role)
