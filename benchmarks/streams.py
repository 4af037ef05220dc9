"""Output on its way to clients: what many attached ones cost in memory, and how late one that follows a log is."""

from __future__ import annotations

import contextlib
import itertools
import resource
import socket
import time

from benchmarks import calls
from benchmarks.subjects import Subject

IMAGE = "sockerless/base"
CONTAINERS, STREAMS = 20, 50
LINES = 200
ECHO = {"Image": IMAGE, "Cmd": ["cat"], "OpenStdin": True, "AttachStdin": True}
CLOCK = {"Image": IMAGE, "Cmd": ["bash", "-c", "while sleep 0.01; do echo $EPOCHREALTIME; done"]}
BOTH = "stream=1&stdout=1&stderr=1"


def attach_memory(subject: Subject) -> float:
    """Megabytes by which 1,000 streams, each of which has carried a line, are above the same containers without."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    path = subject.engine.socket
    containers = [calls.start(path, ECHO) for _ in range(CONTAINERS)]
    before = _memory(subject)
    streams = [
        calls.take_over(path, f"/containers/{container}/attach?{BOTH}")
        for container in containers
        for _ in range(STREAMS)
    ]
    for container in containers:
        with calls.take_over(path, f"/containers/{container}/attach?stream=1&stdin=1") as keyboard:
            keyboard.sendall(b"a line\n")
    for stream in streams:
        _read_line(stream)
    after = _memory(subject)
    for stream in streams:
        stream.close()
    for container in containers:
        calls.remove(path, container)
    return after - before


def _memory(subject: Subject) -> float:
    return subject.memory("frontend") + subject.memory("worker")


def _read_line(stream: socket.socket) -> None:
    frame = b"\1\0\0\0\0\0\0\7a line\n"
    received = stream.recv(len(frame), socket.MSG_WAITALL)
    assert received == frame, received


def follow_lag(subject: Subject) -> float:
    """95th percentile of the milliseconds between the time a line tells and its coming in a log that is followed."""
    path = subject.engine.socket
    container = calls.start(path, {**CLOCK, "HostConfig": {"NetworkMode": "none"}})
    lags = sorted(_lags(path, container))
    calls.remove(path, container)
    return 1000 * lags[int(0.95 * len(lags))]


def _lags(path: str, container: str) -> list[float]:
    lags = []
    with contextlib.closing(calls.frames(path, f"/containers/{container}/logs?follow=1&stdout=1&tail=0")) as lines:
        for line in itertools.islice(lines, LINES):
            lags.append(time.time() - float(line))
    assert len(lags) == LINES
    return lags
