"""The build cache: what counts as the same step, and what does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from backends.api import types as t
from backends.core.engine import CoreEngine
from tests.backends.core.build.conftest import Shop, context, text

EVERYTHING = t.KeepCache()
pytestmark = pytest.mark.timeout(60)
COPY = "FROM busybox\nCOPY f /f\nRUN echo after\n"


async def hits(builds: Shop, dockerfile: str, tar: bytes | None = None, **more: Any) -> int:
    lines = await builds.build(dockerfile, tar=tar, **more)
    assert [line.error for line in lines if line.error] == []
    return text(lines).count(" ---> Using cache\n")


async def test_the_same_steps_are_found(builds: Shop) -> None:
    dockerfile = "FROM busybox\nARG A=1\nENV B=2\nRUN echo $A\nWORKDIR /w\nUSER 1\nCMD x\n"
    assert await hits(builds, dockerfile) == 0
    assert await hits(builds, dockerfile, tags=["again"]) == 6
    assert await hits(builds, dockerfile, no_cache=True) == 0


async def test_a_step_is_one_only_after_the_same_steps(builds: Shop) -> None:
    await hits(builds, "FROM busybox\nENV A=1\nENV B=1\nENV C=1\n")
    assert await hits(builds, "FROM busybox\nENV A=1\nENV B=2\nENV C=1\n") == 1


async def test_contents_and_modes_count_and_times_do_not(builds: Shop) -> None:
    def made(content: str = "1", **attributes: Any) -> bytes:
        return context({"Dockerfile": COPY, "f": content}, mtime=1, **{"mode": 0o644, **attributes})

    assert await hits(builds, "", made()) == 0
    assert await hits(builds, "", context({"Dockerfile": COPY, "f": "1"}, mtime=99, mode=0o644)) == 2
    assert await hits(builds, "", made("2")) == 0
    assert await hits(builds, "", made(mode=0o600)) == 0
    assert await hits(builds, "", made(uid=7)) == 0
    assert await hits(builds, "", made()) == 2


async def test_names_below_a_directory_count(builds: Shop) -> None:
    dockerfile = "FROM busybox\nCOPY d /d\n"
    assert await hits(builds, "", context({"Dockerfile": dockerfile, "d/a": "1", "d/b": "2"})) == 0
    assert await hits(builds, "", context({"Dockerfile": dockerfile, "d/b": "1", "d/a": "2"})) == 0
    assert await hits(builds, "", context({"Dockerfile": dockerfile, "d/b": "2", "d/a": "1"})) == 1


async def test_build_arguments_count_where_they_are_used(builds: Shop) -> None:
    dockerfile = "FROM busybox\nRUN echo before\nARG A\nRUN echo after\n"
    assert await hits(builds, dockerfile, build_args={"A": "1"}) == 0
    assert await hits(builds, dockerfile, build_args={"A": "1"}) == 3
    assert await hits(builds, dockerfile, build_args={"A": "2"}) == 2


async def test_proxies_do_not_count(builds: Shop) -> None:
    dockerfile = "FROM busybox\nRUN echo $HTTP_PROXY\n"
    assert await hits(builds, dockerfile, build_args={"HTTP_PROXY": "a"}) == 0
    assert await hits(builds, dockerfile, build_args={"HTTP_PROXY": "b"}) == 1


async def test_where_files_go_counts(builds: Shop) -> None:
    files = context({"Dockerfile": "FROM busybox\nCOPY --chown=1 f /f\n", "f": "1"})
    assert await hits(builds, "", files) == 0
    for line in ("COPY f /f", "COPY --chown=2 f /f", "COPY --chown=1 --chmod=600 f /f", "COPY --chown=1 f /g"):
        assert await hits(builds, "", context({"Dockerfile": f"FROM busybox\n{line}\n", "f": "1"})) == 0
    assert await hits(builds, "", files) == 1


async def test_a_removed_image_is_not_found(builds: Shop) -> None:
    await builds.build("FROM busybox\nENV A=1\n", tags=["gone"])
    await builds.engine.remove_image("gone", False, False)
    assert await hits(builds, "FROM busybox\nENV A=1\n") == 0


async def test_the_cache_outlives_the_worker(make_engine: Callable[[], CoreEngine]) -> None:
    for expected in (0, 1):
        engine = make_engine()
        await engine.open()
        assert await hits(Shop(engine), "FROM busybox\nENV A=1\n") == expected
        await engine.close()


async def test_cache_sources(builds: Shop) -> None:
    """With --cache-from only what leads to the sources is used; a loaded image is one by its history."""
    dockerfile = "FROM busybox\nENV A=1\nRUN echo x > x\nENV B=1\n"
    await builds.build(dockerfile, tags=["source"])
    assert await hits(builds, dockerfile, cache_from=["source"]) == 3
    assert await hits(builds, "FROM busybox\nENV A=1\nENV Z=1\n", cache_from=["source"]) == 1
    assert await hits(builds, "FROM busybox\nENV Q=1\n") == 0
    assert await hits(builds, "FROM busybox\nENV Q=1\n", cache_from=["source"]) == 0
    await builds.engine.prune_builds({}, True, EVERYTHING)
    assert await hits(builds, dockerfile) == 0
    await builds.build(dockerfile, tags=["source"], no_cache=True)
    await builds.engine.prune_builds({}, True, EVERYTHING)
    assert await hits(builds, dockerfile, cache_from=["source", "nosuch"]) == 3
    await builds.engine.prune_builds({}, True, EVERYTHING)
    assert await hits(builds, "FROM busybox\nENV A=1\nRUN echo x > x\nENV B=2\n", cache_from=["source"]) == 2


@pytest.mark.parametrize("source", ["nosuch", "UPPER:1", "sha256:abc", "busybox@sha256:" + "0" * 64])
async def test_a_cache_source_that_is_missing_is_none(builds: Shop, source: str) -> None:
    """It fails no build, and nothing else is taken instead, as with dockerd."""
    await hits(builds, "FROM busybox\nENV A=1\n")
    assert await hits(builds, "FROM busybox\nENV A=1\n", cache_from=[source]) == 0


async def test_cache_mounts_and_pruning(builds: Shop) -> None:
    dockerfile = "FROM busybox\nRUN --mount=type=cache,target=/c,id=k{} echo 1 >> c/n; cat c/n\n"
    await builds.build(dockerfile.format(1))
    again = await builds.build(dockerfile.format(1), no_cache=True)
    assert "1\n1\n" in text(again)
    (row,) = (await builds.engine.disk_usage(["build-cache"])).build_cache
    assert (row["Type"], row["Description"], row["Size"], row["UsageCount"]) == (
        "exec.cachemount", "cached mount k1", 4, 2,
    )  # fmt: skip
    await builds.build(dockerfile.format(2))
    pruned = await builds.engine.prune_builds({"id": [row["ID"]]}, False, EVERYTHING)
    assert (pruned.deleted, pruned.space_reclaimed) == ([row["ID"]], 4)
    assert len((await builds.engine.prune_builds({}, False, EVERYTHING)).deleted) == 1
    assert (await builds.engine.prune_builds({}, False, EVERYTHING)).deleted == []
    assert (await builds.engine.disk_usage([])).build_cache == []


async def test_pruning_leaves_what_it_is_told(builds: Shop) -> None:
    """The least recently used go first."""
    for number in (1, 2, 3):
        await builds.build(f"FROM busybox\nRUN --mount=type=cache,target=/c,id=k{number} echo 1 > c/n\n")

    async def pruned(**keep: int) -> tuple[int, int]:
        found = await builds.engine.prune_builds({}, False, t.KeepCache(**keep))
        return len(found.deleted), found.space_reclaimed

    assert await pruned(reserved_space=6) == (0, 0)
    assert await pruned(max_used_space=5) == (1, 2)
    assert await pruned(max_used_space=1, reserved_space=4) == (0, 0)
    rows = (await builds.engine.disk_usage(["build-cache"])).build_cache
    assert {row["Description"] for row in rows} == {"cached mount k2", "cached mount k3"}
    assert await pruned(min_free_space=1) == (2, 4)  # there is as much: nothing needs to stay, as in BuildKit


async def test_mounts_and_networks_of_commands_count(builds: Shop) -> None:
    def made(flags: str, content: str = "1") -> bytes:
        return context({"Dockerfile": f"FROM busybox\nRUN {flags} true\n", "f": content})

    bind = "--mount=type=bind,source=f,target=/m"
    for flags in ("", "--network=none", "--mount=type=tmpfs,target=/t", bind, "--mount=type=cache,target=/t"):
        assert await hits(builds, "", made(flags)) == 0
        assert await hits(builds, "", made(flags)) == 1
    assert await hits(builds, "", made("--mount=type=tmpfs,target=/t", "2")) == 1
    assert await hits(builds, "", made(bind, "2")) == 0
