"""The event bus: order of a container's life as Docker has it, history, filters."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from backends.api import types as t
from backends.core import events
from backends.core.engine import CoreEngine
from tests.backends.core.conftest import Shop


async def seen(core: CoreEngine, **filters: list[str]) -> list[str]:
    until = core.context.clock()
    found = await core.events(1, until, filters)
    return [f"{event.Type[0]}:{event.Action}" async for event in found]


async def test_order_of_one_life(core: CoreEngine, shop: Shop) -> None:
    """The order that a real daemon emits (recorded), health probes apart."""
    await core.create_network({"Name": "gn"})
    await core.create_volume({"Name": "gv"})
    host = {"NetworkMode": "gn", "Binds": ["gv:/data"]}
    await shop.create("sh", "-c", "trap '' TERM; echo; sleep 60", name="gc", host=host)
    stream = await core.attach_container("gc", t.AttachOptions(stdout=True, stream=True))
    await core.start_container("gc")
    assert await stream.read()
    await shop.exec("gc", "true")
    await core.top_container("gc", "")
    await core.pause_container("gc")
    await core.unpause_container("gc")
    await core.rename_container("gc", "gd")
    await core.stop_container("gd", timeout=0)
    await core.start_container("gd")
    await core.remove_container("gd", force=True)
    await core.remove_network("gn")
    await core.remove_volume("gv", False)
    assert await seen(core) == [
        "n:create", "v:create", "c:create", "c:attach", "v:mount", "n:connect", "c:start", "c:exec_create: true ",
        "c:exec_start: true ", "c:exec_die", "c:top", "c:pause", "c:unpause", "c:rename", "c:kill", "c:kill",
        "n:disconnect", "v:unmount", "c:stop", "c:die", "v:mount", "n:connect", "c:start", "c:kill", "n:disconnect",
        "v:unmount", "c:die", "c:destroy", "n:destroy", "v:destroy",
    ]  # fmt: skip


async def test_each_prune_is_told_with_what_it_freed(core: CoreEngine, shop: Shop) -> None:
    await shop.run("sh", "-c", "echo 12345 > file")
    since = core.context.clock()
    container = await core.prune_containers({})
    await core.prune_networks({})
    await core.prune_volumes({})
    await core.prune_builds({}, False, t.KeepCache())
    image = (await core.inspect_image("busybox")).id
    _, freed = await core.prune_images({"dangling": ["false"]})
    events = [event async for event in await core.events(since, core.context.clock(), {})]
    assert [(event.Type, event.Action, event.Actor["ID"]) for event in events[1:]] == [
        ("container", "prune", ""),
        ("network", "prune", ""),
        ("volume", "prune", ""),
        ("builder", "prune", ""),
        ("image", "untag", image),
        ("image", "delete", image),
        ("image", "prune", ""),
    ]
    reclaimed = [event.Actor["Attributes"]["reclaimed"] for event in events if event.Action == "prune"]
    assert reclaimed == [str(container.space_reclaimed), "0", "0", "0", str(freed)]
    assert container.space_reclaimed >= 6


async def test_attributes(core: CoreEngine, shop: Shop) -> None:
    found = await shop.create("sh", "-c", "exit 4", name="gc", Labels={"x": "y"})
    await shop.finish(found)
    events = [event async for event in await core.events(1, core.context.clock(), {"event": ["die"]})]
    assert int(events[0].Actor["Attributes"].pop("execDuration")) < 60
    assert [event.Actor for event in events] == [
        {
            "ID": found,
            "Attributes": {
                "image": "busybox", "name": "gc", "base": "yes", "x": "y", "exitCode": "4",
            },
        }
    ]  # fmt: skip
    assert events[0].time == events[0].timeNano // 10**9


async def test_filters(core: CoreEngine, shop: Shop) -> None:
    await shop.create("true", name="one", Labels={"a": "b"})
    await shop.create("true", name="two")
    await core.create_volume({"Name": "vv"})
    assert await seen(core, container=["one"]) == ["c:create"]
    assert await seen(core, container=["o"]) == ["c:create"]  # the beginning of a name or id is enough
    assert await seen(core, container=["v"]) == await seen(core, network=["v"]) == ["v:create"]  # of any object
    assert await seen(core, label=["a=b"]) == ["c:create"]
    assert await seen(core, type=["volume"]) == ["v:create"]
    assert await seen(core, image=["busybox"]) == ["c:create", "c:create"]
    assert await seen(core, event=["start"]) == []
    assert await seen(core, type=["volume"], foo=["x"]) == ["v:create"]  # no key of theirs: it does nothing


async def test_history_and_live_events_join_without_a_seam(core: CoreEngine, shop: Shop) -> None:
    await shop.create("true", name="past")
    events = await core.events(1, 0, {"event": ["create"]})
    assert (await anext(events)).Actor["Attributes"]["name"] == "past"
    coming = asyncio.ensure_future(anext(events))
    await shop.create("true", name="live")
    assert (await asyncio.wait_for(coming, 5)).Actor["Attributes"]["name"] == "live"


async def test_history_outlives_the_worker(make_engine: Callable[[], CoreEngine]) -> None:
    first = make_engine()
    await first.open()
    await first.create_volume({"Name": "vv"})
    await first.close()
    second = make_engine()
    await second.open()
    assert await seen(second) == ["v:create"]
    await second.close()


async def test_until_in_the_past_ends_at_once(core: CoreEngine) -> None:
    assert [event async for event in await core.events(0, 1, {})] == []


async def test_the_history_does_not_grow_for_ever(core: CoreEngine) -> None:
    bus, store = core.context.events, core.context.store
    for number in range(3 * events.HISTORY):
        bus.emit("container", "x", str(number), {})
    store.flush()
    rows = store._db.execute("SELECT count(*) FROM event").fetchone()[0]
    assert rows <= 2 * events.HISTORY
    kept = [msgspec.json.decode(body, type=t.Event).Actor["ID"] for body in store.events(events.HISTORY)]
    assert kept == [str(number) for number in range(2 * events.HISTORY, 3 * events.HISTORY)]


async def test_a_client_that_never_reads_holds_nothing(core: CoreEngine) -> None:
    unread = await core.events(0, 0, {})
    assert len(core.context.events._subscribers) == 1
    await unread.aclose()  # type: ignore[attr-defined]
    del unread
    assert len(core.context.events._subscribers) == 0
