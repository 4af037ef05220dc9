"""Two backends as one engine: placed by runtime, found everywhere, merged, and each alone in its failure."""

from __future__ import annotations

import time
from typing import Any

import pytest

from backends.api import types as t
from backends.api.errors import Conflict, InvalidArgument, NotFound, Unavailable
from backends.api.http import OPERATIONS
from frontend.routing.router import Router
from tests.frontend.routing.conftest import Endpoint


def test_every_operation_is_routed() -> None:
    assert set(OPERATIONS) - set(vars(Router)) == set()


async def test_a_runtime_names_the_backend_and_none_is_the_default(endpoint: Endpoint) -> None:
    one, two = await endpoint.create("one"), await endpoint.create("two", runtime="right")
    assert (await endpoint.places["left"].engine.inspect_container(one)).name == "/one"
    assert (await endpoint.places["right"].engine.inspect_container(two)).name == "/two"
    assert await endpoint.names() == ["/one", "/two"]


async def test_an_unknown_runtime_is_refused_in_dockers_words(endpoint: Endpoint) -> None:
    with pytest.raises(InvalidArgument) as caught:
        await endpoint.create("one", runtime="middle")
    assert caught.value.message == "unknown or invalid runtime name: middle"


async def test_info_names_the_runtimes_and_counts_everybodys_containers(endpoint: Endpoint) -> None:
    await endpoint.create("one")
    await endpoint.create("two", runtime="right")
    info = await endpoint.router.info()
    assert (info.runtimes, info.containers, info.backend) == (["left", "right"], 2, "left")


async def test_ids_prefixes_and_names_are_found_on_any_backend(endpoint: Endpoint) -> None:
    found = await endpoint.create("two", runtime="right")
    for ref in (found, found[:12], "two", "/two"):
        assert (await endpoint.router.inspect_container(ref)).id == found
    with pytest.raises(NotFound) as caught:
        await endpoint.router.inspect_container("nosuch")
    assert caught.value.message == "No such container: nosuch"


async def test_a_prefix_that_two_backends_have_is_ambiguous(endpoint: Endpoint) -> None:
    seen: dict[str, str] = {}
    while True:
        for runtime in ("left", "right"):
            first = (await endpoint.create("", runtime=runtime))[0]
            if seen.setdefault(first, runtime) != runtime:
                with pytest.raises(InvalidArgument) as caught:
                    await endpoint.router.inspect_container(first)
                assert caught.value.message == f"multiple IDs found with provided prefix: {first}"
                return


async def test_a_name_is_taken_on_all_backends(endpoint: Endpoint) -> None:
    owner = await endpoint.create("one", runtime="right")
    other = await endpoint.create("two")
    message = (
        f'Conflict. The container name "/one" is already in use by container "{owner}". '
        "You have to remove (or rename) that container to be able to reuse that name."
    )
    with pytest.raises(Conflict) as caught:
        await endpoint.create("one")
    assert caught.value.message == message
    with pytest.raises(Conflict) as caught:
        await endpoint.router.rename_container(other, "one")
    assert caught.value.message == message


async def test_lists_are_the_newest_first_and_limits_count_all(endpoint: Endpoint) -> None:
    for number in range(4):
        await endpoint.create(f"c{number}", runtime=("left", "right")[number % 2])
    assert len(await endpoint.router.list_containers(True, 3, False, {})) == 3
    rows = await endpoint.router.list_containers(True, -1, False, {"name": ["c"]})
    assert [row.created for row in rows] == sorted((row.created for row in rows), reverse=True)


async def test_execs_are_found_without_having_been_made_here(endpoint: Endpoint) -> None:
    container = await endpoint.create("two", runtime="right")
    await endpoint.router.start_container(container)
    exec_id = await endpoint.places["right"].engine.create_exec(container, t.CreateExec(cmd=["true"]))
    assert (await endpoint.router.inspect_exec(exec_id)).container_id == container
    with pytest.raises(NotFound) as caught:
        await endpoint.router.inspect_exec("0" * 64)
    assert caught.value.message == f"No such exec instance: {'0' * 64}"


@pytest.mark.parametrize(
    ("host", "what"),
    [
        ({"NetworkMode": "container:one"}, "--network container:one"),
        ({"PidMode": "container:one"}, "--pid container:one"),
        ({"IpcMode": "container:one"}, "--ipc container:one"),
        ({"VolumesFrom": ["one:ro"]}, "--volumes-from one"),
        ({"Links": ["/one:alias"]}, "--link one"),
    ],
)
async def test_what_cannot_be_shared_across_backends_is_refused(
    endpoint: Endpoint, host: dict[str, Any], what: str
) -> None:
    await endpoint.create("one")
    with pytest.raises(InvalidArgument) as caught:
        await endpoint.create("two", runtime="right", **host)
    assert caught.value.message == (
        f"{what} is not possible: that container runs on the left backend, this one is for right; "
        "containers share these on one backend only (--runtime left)"
    )


async def test_an_image_that_another_backend_has_is_copied(endpoint: Endpoint) -> None:
    left, right = (endpoint.places[name].engine for name in ("left", "right"))
    await endpoint.create("one", runtime="right", image="only-left")
    assert (await right.inspect_image("only-left")).id == (await left.inspect_image("only-left")).id
    with pytest.raises(NotFound) as caught:
        await endpoint.create("two", runtime="right", image="nosuch")
    assert caught.value.message == "No such image: nosuch:latest"


async def test_an_image_is_one_row_and_tagged_and_removed_everywhere(endpoint: Endpoint) -> None:
    rows = await endpoint.router.list_images(False, {}, False)
    assert len({row.id for row in rows}) == len(rows)
    await endpoint.router.tag_image("busybox", "again", "1")
    for place in endpoint.places.values():
        assert "again:1" in (await place.engine.inspect_image("busybox")).repo_tags
    await endpoint.router.remove_image("again:1", False, False)
    for place in endpoint.places.values():
        with pytest.raises(NotFound):
            await place.engine.inspect_image("again:1")


async def test_images_are_listed_by_the_age_of_one_that_only_one_backend_has(endpoint: Endpoint) -> None:
    # Made in this order, within a moment: busybox and only-left on the left, busybox and only-right on the right.
    async def listed(key: str, ref: str) -> set[str]:
        return {row.repo_tags[0] for row in await endpoint.router.list_images(False, {key: [ref]}, False)}

    assert await listed("since", "only-left") == {"busybox:latest", "only-right:latest"}
    assert await listed("before", "only-left") == {"busybox:latest"}
    assert await listed("since", "only-right") == set()
    assert await listed("before", "only-right") == {"busybox:latest", "only-left:latest"}
    with pytest.raises(NotFound) as caught:
        await listed("since", "nosuch")
    assert caught.value.message == "No such image: nosuch:latest"


async def test_images_of_several_backends_are_saved_together(endpoint: Endpoint) -> None:
    download = await endpoint.router.save_images(["only-left", "only-right"])
    archive = b"".join([piece async for piece in download.body])
    assert b"only-left" in archive
    assert b"only-right" in archive


async def test_a_network_is_one_by_its_name_and_made_where_it_is_used(endpoint: Endpoint) -> None:
    router, right = endpoint.router, endpoint.places["right"].engine
    made = await router.create_network({"Name": "shared", "Labels": {"a": "b"}, "Internal": True})
    assert [n.name for n in await right.list_networks({"type": ["custom"]})] == []
    one = await endpoint.create("one", NetworkMode="shared")
    two = await endpoint.create("two", runtime="right", NetworkMode=made.id)
    again = await right.inspect_network("shared")
    assert (again.labels, again.internal, again.id == made.id) == ({"a": "b"}, True, False)
    assert (await right.inspect_container(two)).host_config["NetworkMode"] == "shared"
    assert [n.id for n in await router.list_networks({"type": ["custom"]})] == [made.id]
    for ref in (one, two):
        await router.start_container(ref)
    assert set((await router.inspect_network("shared")).containers) == {one, two}
    await router.remove_container(one, force=True)
    await router.remove_container(two, force=True)
    await router.remove_network("shared")
    assert await router.list_networks({"type": ["custom"]}) == []
    with pytest.raises(NotFound):
        await right.inspect_network("shared")


async def test_containers_are_listed_by_their_network_whatever_their_backend_calls_it(endpoint: Endpoint) -> None:
    router = endpoint.router
    made = await router.create_network({"Name": "shared"})
    ids = {await endpoint.create(name, runtime=name, NetworkMode="shared") for name in ("left", "right")}
    await endpoint.create("other")
    for container in ids:
        await router.start_container(container)
    for ref in (made.id, made.id[:12], "shared"):
        assert {row.id for row in await router.list_containers(False, -1, False, {"network": [ref]})} == ids
    assert await router.list_containers(True, -1, False, {"network": ["nosuch"]}) == []


async def test_a_network_that_is_in_use_anywhere_stays_everywhere(endpoint: Endpoint) -> None:
    await endpoint.router.create_network({"Name": "shared"})
    two = await endpoint.create("two", runtime="right", NetworkMode="shared")
    await endpoint.router.start_container(two)
    with pytest.raises(Exception, match="has active endpoints"):
        await endpoint.router.remove_network("shared")
    for place in endpoint.places.values():
        assert (await place.engine.inspect_network("shared")).name == "shared"


async def test_connecting_makes_the_network_on_the_containers_backend(endpoint: Endpoint) -> None:
    await endpoint.router.create_network({"Name": "shared"})
    two = await endpoint.create("two", runtime="right")
    await endpoint.router.connect_network("shared", "two", {})
    assert "shared" in (await endpoint.router.inspect_container(two)).network_settings.networks
    await endpoint.router.disconnect_network("shared", "two", False)
    assert "shared" not in (await endpoint.router.inspect_container(two)).network_settings.networks


async def test_a_volume_is_one_by_its_name(endpoint: Endpoint) -> None:
    router, right = endpoint.router, endpoint.places["right"].engine
    await router.create_volume({"Name": "data", "Labels": {"a": "b"}})
    await endpoint.create("two", runtime="right", Binds=["data:/data"])
    assert (await right.inspect_volume("data")).labels == {"a": "b"}
    assert [volume.name for volume in await router.list_volumes({})] == ["data"]
    with pytest.raises(Conflict):
        await router.remove_volume("data", False)
    for place in endpoint.places.values():
        assert (await place.engine.inspect_volume("data")).name == "data"
    await router.remove_container("two")
    await router.remove_volume("data", False)
    assert await router.list_volumes({}) == []


async def test_pruning_and_disk_usage_cover_all(endpoint: Endpoint) -> None:
    made = {await endpoint.create("one"), await endpoint.create("two", runtime="right")}
    usage = await endpoint.router.disk_usage(["container", "image", "volume", "build-cache"])
    assert {row.id for row in usage.containers} == made
    assert set((await endpoint.router.prune_containers({})).deleted) == made
    assert await endpoint.names() == []


async def test_past_events_of_all_are_told_in_the_order_of_time(endpoint: Endpoint) -> None:
    began = time.time_ns()
    for number in range(6):
        await endpoint.create(f"c{number}", runtime=("left", "right")[number % 2])
    stream = await endpoint.router.events(began, time.time_ns(), {"type": ["container"], "event": ["create"]})
    names = [event.Actor["Attributes"]["name"] async for event in stream]
    assert names == [f"c{number}" for number in range(6)]


async def test_new_events_of_all_arrive(endpoint: Endpoint) -> None:
    stream = await endpoint.router.events(0, 0, {"type": ["container"], "event": ["create"]})
    for name, runtime in (("one", "left"), ("two", "right")):
        await endpoint.create(name, runtime=runtime)
        assert (await anext(stream)).Actor["Attributes"]["name"] == name
    await stream.aclose()  # type: ignore[attr-defined]


async def test_a_dead_backend_costs_its_own_containers_only(endpoint: Endpoint) -> None:
    router = endpoint.router
    one, two = await endpoint.create("one"), await endpoint.create("two", runtime="right")
    await endpoint.places["right"].server.close()
    assert await endpoint.names() == ["/one"]
    assert (await router.inspect_container("one")).id == one
    for ref in (two, "two"):
        with pytest.raises(Unavailable, match="the right backend is not available"):
            await router.start_container(ref)
    with pytest.raises(Unavailable, match="the right backend is not available"):
        await endpoint.create("three", runtime="right")
    info = await router.info()
    assert (info.containers, info.runtimes) == (1, ["left", "right"])
    assert [text for text in info.warnings if "the right backend is not available" in text]
    await endpoint.create("four")
    assert await endpoint.names() == ["/four", "/one"]


async def test_what_the_default_lacks_does_not_exist_while_another_is_away(endpoint: Endpoint) -> None:
    router = endpoint.router
    await endpoint.places["right"].server.close()
    for operation, ref, message in (
        (router.inspect_image, "nosuch", "No such image: nosuch:latest"),
        (router.inspect_network, "nosuch", "network nosuch not found"),
        (router.inspect_volume, "nosuch", "get nosuch: no such volume"),
    ):
        with pytest.raises(NotFound) as caught:
            await operation(ref)
        assert caught.value.message == message
    assert (await router.create_volume({"Name": "data"})).name == "data"
    assert [volume.name for volume in await router.list_volumes({})] == ["data"]
    with pytest.raises(NotFound):
        await router.remove_volume("nosuch", False)


async def test_what_the_default_may_have_is_unknown_while_it_is_away(endpoint: Endpoint) -> None:
    await endpoint.places["left"].server.close()
    for operation in (endpoint.router.inspect_image, endpoint.router.inspect_network, endpoint.router.inspect_volume):
        with pytest.raises(Unavailable, match="the left backend is not available"):
            await operation("nosuch")


async def test_a_dead_default_costs_its_own_containers_only(endpoint: Endpoint) -> None:
    two = await endpoint.create("two", runtime="right")
    await endpoint.places["left"].server.close()
    assert (await endpoint.router.inspect_container("two")).id == two
    assert (await endpoint.router.info()).containers == 1
    with pytest.raises(Unavailable, match="the left backend is not available"):
        await endpoint.create("one")
