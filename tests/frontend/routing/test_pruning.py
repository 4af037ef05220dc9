"""Pruning two backends: what is in use on one stays on both, and what is said to be gone is gone."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from backends.api.client import connect
from backends.api.errors import InvalidArgument, NotFound
from frontend.routing.pruning import ANONYMOUS
from frontend.routing.router import route
from frontend.routing.workers import Worker
from tests.frontend.routing.conftest import Endpoint
from tests.frontend.routing.fake_engine import FakeEngine

ALL = {"all": ["true"]}


async def test_a_volume_that_is_in_use_on_one_backend_stays_on_both(endpoint: Endpoint) -> None:
    router = endpoint.router
    for name in ("used", "free"):
        await router.create_volume({"Name": name})
    await endpoint.create("two", runtime="right", Binds=["used:/data"])
    assert [volume.name for volume in await router.list_volumes({"dangling": ["true"]})] == ["free"]
    assert [volume.name for volume in await router.list_volumes({"dangling": ["false"]})] == ["used"]
    usage = await router.disk_usage(["volume"])
    assert {volume.name: (volume.usage_data or {})["RefCount"] for volume in usage.volumes} == {"used": 1, "free": 0}
    assert (await router.prune_volumes(ALL)).deleted == ["free"]
    for place in endpoint.places.values():
        assert [volume.name for volume in await place.engine.list_volumes({})] == ["used"]
    await router.remove_container("two")
    assert (await router.prune_volumes(ALL)).deleted == ["used"]
    for place in endpoint.places.values():
        assert await place.engine.list_volumes({}) == []


async def test_volumes_are_pruned_as_the_filters_say(endpoint: Endpoint) -> None:
    router, right = endpoint.router, endpoint.places["right"].engine
    await router.create_volume({"Name": "one", "Labels": {"keep": "1"}})
    await router.create_volume({"Name": "two", "Labels": {"keep": "2"}})
    anonymous = (await right.create_volume({})).name
    (endpoint.places["right"].engine.volumes.data(anonymous) / "file").write_bytes(b"x" * 10000)
    assert ANONYMOUS in ((await right.inspect_volume(anonymous)).labels or {})
    pruned = await router.prune_volumes({})
    assert (pruned.deleted, pruned.space_reclaimed >= 10000) == ([anonymous], True)
    assert (await router.prune_volumes({**ALL, "label": ["other"]})).deleted == []
    assert (await router.prune_volumes({**ALL, "label!": ["keep=1"]})).deleted == ["two"]
    assert (await router.prune_volumes({**ALL, "label": ["keep"]})).deleted == ["one"]


async def test_a_network_that_is_in_use_on_one_backend_stays_on_both(endpoint: Endpoint) -> None:
    router = endpoint.router
    for name in ("used", "free"):
        await router.create_network({"Name": name, "Labels": {"name": name}})
    two = await endpoint.create("two", runtime="right", NetworkMode="used")
    await router.start_container(two)
    assert [network.name for network in await router.list_networks({"dangling": ["true"]})] == ["free"]
    assert "used" in {network.name for network in await router.list_networks({"dangling": ["false"]})}
    assert (await router.prune_networks({"until": ["1.0"]})).deleted == []
    assert (await router.prune_networks({"label!": ["name=free"]})).deleted == []
    assert (await router.prune_networks({"until": [f"{time.time() + 1}"]})).deleted == ["free"]
    for place in endpoint.places.values():
        assert (await place.engine.inspect_network("used")).name == "used"
    await router.remove_container(two, force=True)
    assert (await router.prune_networks({})).deleted == ["used"]
    for place in endpoint.places.values():
        with pytest.raises(NotFound):
            await place.engine.inspect_network("used")


async def test_an_image_that_is_still_there_is_not_said_to_be_gone(endpoint: Endpoint) -> None:
    router, left = endpoint.router, endpoint.places["left"].engine
    await endpoint.create("two", runtime="right", image="only-left")
    identity = (await left.inspect_image("only-left")).id
    removed, _ = await router.prune_images({"dangling": ["false"]})
    assert {one.untagged for one in removed} >= {"only-right:latest"}
    assert {"only-left:latest", identity} & {name for one in removed for name in (one.untagged, one.deleted)} == set()
    assert (await router.inspect_image("only-left")).id == identity


async def test_a_refusal_tells_what_the_others_removed(endpoint: Endpoint, tmp_path: Path) -> None:
    fake = FakeEngine(tmp_path / "refusing.sock")
    client = connect(fake.path, "refusing")
    router = route([endpoint.places["left"].worker, Worker("refusing", client)])
    body = b'{"kind":"InvalidArgument","message":"Invalid filter"}'
    refusal = b"HTTP/1.1 400 Bad Request\r\nSockerless-Error: 1\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"
    gone = await endpoint.create("one")
    for message in (f"Invalid filter (removed on other backends: {gone})", "Invalid filter"):
        pruned = asyncio.create_task(router.prune_containers({}))
        await (await fake.accept()).send(refusal % (len(body), body))
        with pytest.raises(InvalidArgument) as caught:
            await pruned
        assert caught.value.message == message
    client.close()
    fake.close()
