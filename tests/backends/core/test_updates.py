"""docker update: what changes, what is left alone, what contradicts (recorded from dockerd)."""

from __future__ import annotations

from typing import Any

import pytest

from backends.api import types as t
from backends.api.errors import EngineError
from backends.core.engine import CoreEngine
from backends.core.updates import changed
from tests.backends.core.conftest import Shop

MB = 1 << 20


def test_only_some_fields_change() -> None:
    asked = {"Memory": 1, "CpuShares": 0, "CpusetCpus": "", "Ulimits": [{}], "Devices": [{}], "OomKillDisable": True}
    assert changed(asked) == {"Memory": 1}
    assert [changed({"PidsLimit": limit}) for limit in (None, 0, -1, 7)] == [
        {},
        {"PidsLimit": 0},
        {"PidsLimit": 0},
        {"PidsLimit": 7},
    ]
    assert changed({"RestartPolicy": {"Name": "", "MaximumRetryCount": 3}}) == {}
    assert changed({"RestartPolicy": {"Name": "always"}}) == {
        "RestartPolicy": {"Name": "always", "MaximumRetryCount": 0}
    }


@pytest.mark.parametrize(
    ("set_before", "asked", "status", "message"),
    [
        (
            {"Memory": 20 * MB},
            {"Memory": 60 * MB},
            409,
            "Cannot update container {id}: Memory limit should be smaller than already set memoryswap limit, "
            "update the memoryswap at the same time",
        ),
        (
            {"NanoCpus": 5 * 10**8},
            {"CpuQuota": 5000},
            409,
            "Cannot update container {id}: Conflicting options: CPU Quota cannot be updated as NanoCPUs has already "
            "been set",
        ),
        (
            {"CpuPeriod": 5000},
            {"NanoCpus": 5 * 10**8},
            409,
            "Cannot update container {id}: Conflicting options: Nano CPUs cannot be updated as CPU Period has already "
            "been set",
        ),
        ({}, {"Memory": 1 * MB}, 400, "Minimum memory limit allowed is 6MB"),
        ({}, {"CpusetCpus": "a"}, 400, "Invalid value a for cpuset cpus: invalid format: a"),
    ],
)
async def test_refused(
    core: CoreEngine, shop: Shop, set_before: dict[str, Any], asked: dict[str, Any], status: int, message: str
) -> None:
    found = await shop.create("true", host=set_before)
    before = (await core.inspect_container(found)).host_config
    with pytest.raises(EngineError) as refused:
        await core.update_container(found, asked)
    assert (refused.value.status, refused.value.message) == (status, message.format(id=found))
    assert (await core.inspect_container(found)).host_config == before


async def test_accepted(core: CoreEngine, shop: Shop) -> None:
    found = await shop.create("true", host={"Memory": 20 * MB, "PidsLimit": 5})
    for asked in (
        {"Memory": 30 * MB},
        {"Memory": 60 * MB, "MemorySwap": 90 * MB},
        {"MemorySwap": 100 * MB},
        {"PidsLimit": 0},
        {"Ulimits": [{"Name": "nofile", "Soft": 10, "Hard": 10}]},
    ):
        await core.update_container(found, asked)
    host: t.Json = (await core.inspect_container(found)).host_config
    assert (host["Memory"], host["MemorySwap"], host["PidsLimit"], host["Ulimits"]) == (60 * MB, 100 * MB, 0, None)
