"""Readiness of open files of every kind, in one wait."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, TypeVar

from sandbox.wasm.kernel.abi import POLLERR, POLLHUP, POLLNVAL

if TYPE_CHECKING:
    from sandbox.wasm.kernel.files import OpenFile
    from sandbox.wasm.kernel.task import Task

Key = TypeVar("Key", bound=Hashable)
_ALWAYS = POLLERR | POLLHUP | POLLNVAL


def wait_ready(task: Task, wanted: list[tuple[Key, OpenFile, int]], timeout: float | None) -> dict[Key, int] | None:
    """Wait until a file is ready for its events: {key: events}, empty when the time is over, None: a signal."""
    ready: dict[Key, int] = {}
    hosts: dict[int, list[tuple[Key, int]]] = {}
    for key, file, events in wanted:
        if file.host_fd is None:
            now = file.poll(events)
            if now:
                ready[key] = now
        else:
            hosts.setdefault(file.host_fd, []).append((key, events))
    asked = [(fd, _union(keys)) for fd, keys in hosts.items()]
    found = task.wait_fds(asked, 0.0 if ready else timeout)
    if found is None:
        return ready
    if not found and not ready:
        return None
    for fd, events in found.items():
        for key, interest in hosts[fd]:
            hit = events & (interest | _ALWAYS)
            if hit:
                ready[key] = hit
    return ready


def _union(keys: list[tuple[Key, int]]) -> int:
    events = 0
    for _, interest in keys:
        events |= interest
    return events
