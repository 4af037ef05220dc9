"""RUN --mount: what the mounts show, and what is left of them."""

from __future__ import annotations

from typing import Any

import pytest

from backends.api import types as t
from tests.backends.core.build.conftest import Shop, context, packed, text

pytestmark = pytest.mark.timeout(60)
CACHE = "FROM busybox\nRUN --mount=type=cache,target=/c,id=k,from=src,uid=7,mode=750 cat c/f; stat -c '%a %u' c/. c/f\n"


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


async def test_owners_modes_and_links_of_what_is_mounted(builds: Shop) -> None:
    dockerfile = "FROM busybox\nRUN --mount=type=bind,source=d,target=/m cd m; stat -c '%n %F %a %u:%g' . f s s/g l\n"
    tar = packed(
        [
            ("Dockerfile", {"data": dockerfile.encode()}),
            ("d/", {"mode": 0o711, "uid": 5, "gid": 6}),
            ("d/f", {"data": b"1", "mode": 0o4750, "uid": 7}),
            ("d/s/g", {"data": b"1"}),
            ("d/l", {"link": "/etc"}),
        ]
    )
    assert (
        ". directory 711 5:6\nf regular file 4750 7:0\ns directory 755 0:0\ns/g regular file 644 0:0\n"
        "l symbolic link 777 0:0\n"
    ) in text(await builds.build("", tar=tar))


async def test_a_cache_whose_making_fails_is_made_again(builds: Shop) -> None:
    failed = await builds.build(CACHE)
    assert failed[-1].error
    assert (await builds.engine.disk_usage(["build-cache"])).build_cache == []
    source = "FROM scratch AS src\nCOPY f /f\n"
    files = {"f": "cached\n"}
    for _ in range(2):
        lines = await builds.build("", tar=context({"Dockerfile": source + CACHE, **files}), no_cache=True)
        assert "cached\n750 7\n644 0\n" in text(lines)
    pruned = await builds.engine.prune_builds({}, False, t.KeepCache())
    assert pruned.space_reclaimed == len("cached\n")
