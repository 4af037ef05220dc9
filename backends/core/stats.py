"""``docker stats``: usage samples in Docker's shape (cgroup v1 field names, as recorded)."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator

from backends.api.types import ZERO_TIME, Json
from backends.core.clock import rfc3339
from backends.core.container import Container
from backends.core.context import Context
from backends.core.drivers import Usage

_INTERVAL = 1.0


async def stream_stats(context: Context, container: Container, stream: bool, one_shot: bool) -> AsyncIterator[Json]:
    """Yield one sample a second while streaming, else one; ``one_shot`` does not wait for a second reading."""
    previous: tuple[Json, str] = (_cpu(None), ZERO_TIME)
    first = True
    while True:
        if not container.alive:
            yield _sample(container, None, ZERO_TIME, (_cpu(None), ZERO_TIME))
            if not stream or container.gone:
                return
        else:
            usage = await context.drivers.lifecycle.stats(container.id)
            read = rfc3339(context.clock())
            if stream or one_shot or not first:
                yield _sample(container, usage, read, previous)
                if not stream:
                    return
            previous = (_cpu(usage), read)
        first = False
        await asyncio.sleep(_INTERVAL)


def _cpu(usage: Usage | None) -> Json:
    throttling = {"periods": 0, "throttled_periods": 0, "throttled_time": 0}
    if usage is None:
        used = {"total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0}
        return {"cpu_usage": used, "throttling_data": throttling}
    return {
        "cpu_usage": {
            "total_usage": usage.cpu_user + usage.cpu_system,
            "usage_in_kernelmode": usage.cpu_system,
            "usage_in_usermode": usage.cpu_user,
        },
        "system_cpu_usage": int(time.clock_gettime(time.CLOCK_MONOTONIC) * 1e9) * (os.cpu_count() or 1),
        "online_cpus": os.cpu_count() or 1,
        "throttling_data": throttling,
    }


def _memory(usage: Usage | None) -> Json:
    if usage is None:
        return {}
    limit = usage.memory_limit or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"usage": usage.memory, "max_usage": usage.memory_peak, "stats": {"cache": 0}, "limit": limit}


def _blkio(usage: Usage | None) -> Json:
    names = ("io_service_bytes", "io_serviced", "io_queue", "io_service_time", "io_wait_time", "io_merged", "io_time")
    found: Json = {f"{name}_recursive": [] for name in names} | {"sectors_recursive": []}
    if usage is not None and (usage.read_bytes or usage.write_bytes):
        found["io_service_bytes_recursive"] = [
            {"major": 0, "minor": 0, "op": "read", "value": usage.read_bytes},
            {"major": 0, "minor": 0, "op": "write", "value": usage.write_bytes},
        ]
    return found


def _sample(container: Container, usage: Usage | None, read: str, previous: tuple[Json, str]) -> Json:
    sample: Json = {
        "id": container.id,
        "name": f"/{container.name}",
        "os_type": "linux",
        "read": read,
        "preread": previous[1],
        "cpu_stats": _cpu(usage),
        "precpu_stats": previous[0],
        "memory_stats": _memory(usage),
        "pids_stats": {"current": usage.pids} if usage is not None else {},
        "blkio_stats": _blkio(usage),
        "num_procs": 0,
        "storage_stats": {},
    }
    if usage is not None and usage.interfaces:
        sample["networks"] = {
            name: {
                "rx_bytes": traffic.rx_bytes, "rx_packets": traffic.rx_packets, "rx_errors": 0, "rx_dropped": 0,
                "tx_bytes": traffic.tx_bytes, "tx_packets": traffic.tx_packets, "tx_errors": 0, "tx_dropped": 0,
            }
            for name, traffic in usage.interfaces.items()
        }  # fmt: skip
    return sample
