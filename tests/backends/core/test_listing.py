"""Lists, logs and top: what users look at."""

from __future__ import annotations

import asyncio
import re

import pytest

from backends.api import types as t
from backends.api.errors import EngineError
from backends.core.clock import human_duration, rfc3339, rfc3339_fixed
from backends.core.drivers import ProcessRow
from backends.core.engine import CoreEngine
from backends.core.summary import command_text
from backends.core.top import table
from tests.backends.core.conftest import Shop, split

AGE = r"(Less than a second|1 second|\d+ seconds)"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.5, "Less than a second"), (1, "1 second"), (59, "59 seconds"), (60, "About a minute"), (120, "2 minutes"),
     (3600, "About an hour"), (7200, "2 hours"), (48 * 3600, "2 days"), (15 * 86400, "2 weeks"),
     (70 * 86400, "2 months"), (800 * 86400, "2 years")],
)  # fmt: skip
def test_human_duration(seconds: float, text: str) -> None:
    assert human_duration(seconds) == text


def test_times() -> None:
    assert rfc3339(1_795_422_390_094_295_520) == "2026-11-23T08:26:30.09429552Z"
    assert rfc3339(1_795_422_390_000_000_000) == "2026-11-23T08:26:30Z"
    assert rfc3339_fixed(1_795_422_390_000_000_000) == "2026-11-23T08:26:30.000000000Z"
    assert rfc3339(0) == "0001-01-01T00:00:00Z"


def test_command_text() -> None:
    assert command_text(["sh", "-c", "echo out; sleep 1"]) == "sh -c 'echo out; sleep 1'"


async def test_a_container_shows_its_images_id_once_the_name_means_another(core: CoreEngine, shop: Shop) -> None:
    image = (await core.inspect_image("busybox")).id
    found = await shop.create("true", name="one")
    await core.commit_container(found, t.CommitContainer(repo="other"))
    await core.tag_image(image, "mine", "1")
    shop.image = "mine:1"
    await shop.create("true", name="two")
    shop.image = image[7:19]
    await shop.create("true", name="three")

    async def shown() -> list[str]:
        return [row.image for row in await core.list_containers(True, 0, False, {})]

    assert await shown() == [image[7:19], "mine:1", "busybox"]
    await core.tag_image("other", "mine", "1")
    await core.remove_image("busybox", True, False)
    assert await shown() == [image[7:19], image, image]
    await core.tag_image(image, "mine", "1")
    assert await shown() == [image[7:19], "mine:1", image]


async def test_the_ancestor_filter_means_an_image_and_what_was_made_from_it(core: CoreEngine, shop: Shop) -> None:
    one = await shop.create("true", name="one")
    child = await core.commit_container(one, t.CommitContainer(repo="child"))
    shop.image = "child"
    await shop.create("true", name="two")

    async def of(ancestor: str) -> list[str]:
        return [row.names[0] for row in await core.list_containers(True, 0, False, {"ancestor": [ancestor]})]

    assert (await of("busybox"), await of("child")) == (["/two", "/one"], ["/two"])
    await core.tag_image(child, "busybox", "latest")
    assert (await of("busybox"), await of("nosuch")) == (["/two"], [])


async def test_rows_and_filters(core: CoreEngine, shop: Shop) -> None:
    one = await shop.create("sleep", "60", name="one", Labels={"a": "b"})
    two, _ = await shop.run("sh", "-c", "exit 3", name="two")
    await core.start_container(one)

    async def names(all: bool = False, limit: int = 0, **filters: list[str]) -> list[str]:
        return [row.names[0] for row in await core.list_containers(all, limit, False, filters)]

    assert await names() == ["/one"]
    assert await names(True) == ["/two", "/one"]
    assert await names(limit=1) == ["/two"]
    assert await names(status=["exited"]) == ["/two"]
    assert await names(True, exited=["3"]) == ["/two"]
    assert await names(exited=["3"]) == []  # as in Docker: only a wanted status shows what does not run
    assert await names(True, label=["a=b"]) == ["/one"]
    assert await names(True, name=["^/tw"]) == await names(True, name=["^tw"]) == ["/two"]
    assert await names(True, id=[two[:5]]) == ["/two"]
    assert await names(True, ancestor=["busybox"]) == ["/two", "/one"]
    assert await names(True, before=["two"]) == ["/one"]
    assert await names(True, since=["one"]) == ["/two"]
    assert await names(True, network=["bridge"]) == ["/two", "/one"]
    assert await names(True, health=["none"]) == ["/two", "/one"]
    for filters, message in (
        ({"foo": ["x"]}, "invalid filter 'foo'"),
        (
            {"status": ["x"]},
            "invalid filter 'status=x': invalid value for state (x): must be one of "
            "created, running, paused, restarting, removing, exited, dead",
        ),
    ):
        with pytest.raises(EngineError) as refused:
            await core.list_containers(False, 0, False, filters)
        assert refused.value.message == message
    rows = await core.list_containers(True, 0, True, {})
    assert [(row.state, row.size_rw) for row in rows] == [("exited", rows[0].size_rw), ("running", rows[1].size_rw)]
    assert re.fullmatch(rf"Exited \(3\) {AGE} ago", rows[0].status)
    assert re.fullmatch(f"Up {AGE}", rows[1].status)


async def test_logs(core: CoreEngine, shop: Shop) -> None:
    found = await shop.create("sh", "-c", "echo a; echo b >&2; echo c; printf d")
    assert await shop.logs(found) == b""
    await shop.finish(found)
    assert split(await shop.logs(found)) == (b"a\nc\nd", b"b\n")
    assert split(await shop.logs(found, stdout=False)) == (b"", b"b\n")
    assert split(await shop.logs(found, tail=1)) == (b"d", b"")
    assert await shop.logs(found, tail=0) == b""
    stamped = split(await shop.logs(found, timestamps=True, stderr=False))[0].splitlines()
    assert [line.split(b" ", 1)[1] for line in stamped] == [b"a", b"c", b"d"]
    assert all(len(line.split(b" ")[0]) == 30 for line in stamped)
    now = core.context.clock()
    assert await shop.logs(found, since=now) == b""
    assert await shop.logs(found, until=1) == b""
    with pytest.raises(EngineError, match=r"^must specify at least one of 'stdout' or 'stderr'$"):
        await shop.logs(found, stdout=False, stderr=False)


async def test_following_a_created_container_gets_its_run(core: CoreEngine, shop: Shop) -> None:
    found = await shop.create("sh", "-c", "echo a; sleep 0.05; echo b")
    following = asyncio.create_task(shop.logs(found, follow=True))
    await asyncio.sleep(0)
    await core.start_container(found)
    assert split(await asyncio.wait_for(following, 5))[0] == b"a\nb\n"
    assert split(await asyncio.wait_for(shop.logs(found, follow=True), 5))[0] == b"a\nb\n"


async def test_log_driver_none(core: CoreEngine, shop: Shop) -> None:
    found, _ = await shop.run("echo", "x", host={"LogConfig": {"Type": "none"}})
    with pytest.raises(EngineError) as refused:
        await shop.logs(found)
    assert (refused.value.status, refused.value.message) == (501, "configured logging driver does not support reading")


ROW = ProcessRow(7, 1, 0, "sleep", "sleep 60", "root", cpu=61.0, started=0.0, rss=2048, vsz=4096)


@pytest.mark.parametrize(
    ("arguments", "titles"),
    [
        ("", "UID PID PPID C STIME TTY TIME CMD"),
        ("-ef", "UID PID PPID C STIME TTY TIME CMD"),
        ("aux", "USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND"),
        ("-o pid,comm", "PID COMMAND"),
        ("-eo user,pid,args", "USER PID COMMAND"),
        ("-o pid -o cmd", "PID CMD"),
    ],
)
def test_top_titles(arguments: str, titles: str) -> None:
    found = table([ROW], arguments, 100.0)
    assert found.titles == titles.split()
    assert len(found.processes[0]) == len(found.titles)


def test_top_refusals() -> None:
    with pytest.raises(EngineError, match=r"^Couldn't find PID field in ps output$"):
        table([ROW], "-o comm", 1.0)
    with pytest.raises(EngineError, match=r'unknown user-defined format specifier "nosuch"'):
        table([ROW], "-o nosuch", 1.0)
