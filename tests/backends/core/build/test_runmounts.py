"""RUN --mount: what the mounts show, and what is left of them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.backends.core.build.conftest import Shop, text

pytestmark = pytest.mark.timeout(60)


async def containers(builds: Shop) -> int:
    return len(await builds.engine.list_containers(True, 0, False, {}))


@pytest.mark.parametrize("more", [{}, {"remove": False}, {"force_remove": True}])
async def test_no_container_outlives_what_it_mounts(builds: Shop, more: dict[str, Any]) -> None:
    lines = await builds.build("FROM busybox\nRUN --mount=type=bind,target=/m ls m; exit 4\n", **more)
    assert "returned a non-zero code: 4" in str(lines[-1].error)
    assert "Removing intermediate container" in text(lines)
    assert await containers(builds) == 0


async def test_a_container_without_such_mounts_stays(builds: Shop) -> None:
    await builds.build("FROM busybox\nRUN --mount=type=tmpfs,target=/m exit 4\n")
    assert await containers(builds) == 1
