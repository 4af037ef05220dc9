"""Image operations of the engine: names, lists, removal while containers need them, transfer, login."""

from __future__ import annotations

import asyncio
import base64
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec
import pytest

from backends.api import types as t
from backends.api.errors import Conflict, EngineError, InvalidArgument, NotFound
from backends.core.build.changes import change_config
from backends.core.engine import CoreEngine
from backends.core.login import login
from backends.core.transfer import human_size, progress_bar
from sandbox.images.platforms import Platform
from sandbox.images.store import Store
from tests.backends.core.conftest import Shop, chunks, rootfs
from tests.sandbox.images.making import config, packed
from tests.sandbox.images.peer import Peer, serve


async def names(core: CoreEngine, all: bool = False, **filters: list[str]) -> list[list[str]]:
    return [image.repo_tags for image in await core.list_images(all, filters, False)]


async def test_inspect_and_history(core: CoreEngine) -> None:
    found = await core.inspect_image("busybox")
    assert (found.repo_tags, found.os, found.comment) == (["busybox:latest"], "linux", "Imported from -")
    assert found.config["Labels"] == {"base": "yes"}
    assert (await core.inspect_image(found.id[7:19])).id == found.id
    assert [(item.id, item.tags) for item in await core.image_history("busybox")] == [(found.id, ["busybox:latest"])]
    with pytest.raises(NotFound, match=r"^No such image: nosuch:latest$"):
        await core.inspect_image("nosuch")


async def test_tags_and_the_reference_filter(core: CoreEngine) -> None:
    await core.tag_image("busybox", "test/copy", "1")
    assert await names(core) == [["busybox:latest", "test/copy:1"]]
    assert await names(core, reference=["test/copy"]) == [["test/copy:1"]]
    assert await names(core, reference=["busy*"]) == [["busybox:latest"]]
    assert await names(core, reference=["nosuch"]) == []
    assert await names(core, reference=["*/copy"]) == [["test/copy:1"]]
    assert await names(core, reference=["*"]) == [["busybox:latest"]]
    assert await names(core, reference=["test/[a-d]o?y:*", "x"]) == [["test/copy:1"]]
    with pytest.raises(InvalidArgument, match=r"^syntax error in pattern$"):
        await names(core, reference=["test/["])
    assert await names(core, label=["base=yes"], dangling=["false"]) == [["busybox:latest", "test/copy:1"]]
    with pytest.raises(InvalidArgument, match=r"repository name \(library/UPPER\) must be lowercase$"):
        await core.tag_image("busybox", "UPPER", "")
    assert [entry.untagged for entry in await core.remove_image("test/copy:1", False, False)] == ["test/copy:1"]


async def test_image_in_use(core: CoreEngine, shop: Shop) -> None:
    found = await shop.create("sleep", "60")
    image = (await core.inspect_image("busybox")).id
    with pytest.raises(Conflict) as refused:
        await core.remove_image("busybox", False, False)
    assert refused.value.message == (
        'conflict: unable to remove repository reference "busybox:latest" (must force) - '
        f"container {found[:12]} is using its referenced image {image[7:19]}"
    )
    await core.start_container(found)
    with pytest.raises(Conflict, match=r"\(cannot be forced\) - image is being used by running container"):
        await core.remove_image(image, True, False)


async def test_removed_by_force_it_serves_its_containers_until_the_last(
    core: CoreEngine, shop: Shop, make_engine: Callable[[], CoreEngine]
) -> None:
    found = await shop.create("true")
    image = (await core.inspect_image("busybox")).id
    removed = await core.remove_image("busybox", True, False)
    assert removed[0].untagged == "busybox:latest"
    assert removed[-1].deleted == image
    assert await names(core, True) == []
    for name in ("busybox", image):
        with pytest.raises(NotFound):
            await core.inspect_image(name)
    assert await shop.finish(found) == 0
    assert core.context.images.ids() == [image]
    await core.remove_container(found)
    assert core.context.images.ids() == []


async def committed(core: CoreEngine, container: str, repo: str) -> str:
    return await core.commit_container(container, t.CommitContainer(repo=repo))


async def told(core: CoreEngine, kind: str, since: int) -> list[tuple[str, str]]:
    """The events of a kind since then: (action, actor)."""
    stream = await core.events(since, core.context.clock(), {"type": [kind]})
    return [(event.Action, event.Actor["ID"]) async for event in stream]


async def test_what_force_does_not_remove(core: CoreEngine, shop: Shop) -> None:
    """As dockerd 20.10: an image with children only loses its name, by id it is refused."""
    middle = await committed(core, await shop.create("true"), "middle")
    shop.image = "middle"
    top = await committed(core, await shop.create("true", name="user"), "top")
    with pytest.raises(Conflict) as refused:
        await core.remove_image(middle, True, False)
    assert refused.value.message == (
        f"conflict: unable to delete {middle[7:19]} (cannot be forced) - image has dependent child images"
    )
    removed = await core.remove_image("middle", True, False)
    assert [(entry.untagged, entry.deleted) for entry in removed] == [("middle:latest", msgspec.UNSET)]
    assert (await core.inspect_image(middle)).repo_tags == []
    since = core.context.clock()
    await core.remove_container("user")
    removed = await core.remove_image("top", False, False)
    assert [entry.deleted for entry in removed if entry.deleted in (top, middle)] == [top, middle]
    assert await told(core, "image", since) == [("untag", top), ("delete", top), ("delete", middle)]


async def test_a_child_that_only_its_container_needs_holds_no_parent(core: CoreEngine, shop: Shop) -> None:
    child = await committed(core, await shop.create("true", name="first"), "child")
    await core.remove_container("first")
    shop.image = "child"
    found = await shop.create("true")
    await core.remove_image("child", True, False)
    await core.remove_image("busybox", False, False)
    assert core.context.images.ids() == [child]
    assert await shop.finish(found) == 0


async def test_prune_keeps_what_is_used_or_named(core: CoreEngine, shop: Shop) -> None:
    stream = await core.import_image(chunks(rootfs() + b"\0" * 512), t.ImportImage(changes=["CMD true"]))
    (unnamed,) = [line.status async for line in stream]
    assert (await core.inspect_image(str(unnamed))).config["Cmd"] == ["/bin/sh", "-c", "true"]
    removed, _ = await core.prune_images({})
    assert removed[0].deleted == unnamed
    assert await names(core) == [["busybox:latest"]]
    await shop.create("true", name="user")
    assert (await core.prune_images({"dangling": ["false"]}))[0] == []
    await core.remove_container("user")
    removed, freed = await core.prune_images({"dangling": ["false"]})
    assert [entry.untagged for entry in removed if isinstance(entry.untagged, str)] == ["busybox:latest"]
    assert freed > 0


async def test_save_and_load(core: CoreEngine) -> None:
    data = b"".join([piece async for piece in (await core.save_images(["busybox"])).body])
    saved = [event async for event in await core.events(1, core.context.clock(), {"event": ["save"]})]
    image = (await core.inspect_image("busybox")).id
    attributes = {"base": "yes", "name": image}
    assert [event.Actor for event in saved] == [{"ID": image, "Attributes": attributes}]
    await core.remove_image("busybox", False, False)
    assert [line.stream async for line in await core.load_images(chunks(data), True)] == [
        "Loaded image: busybox:latest\n"
    ]
    assert await names(core) == [["busybox:latest"]]
    with pytest.raises(NotFound, match=r"^No such image: nosuch$"):
        await core.save_images(["nosuch"])
    with pytest.raises(InvalidArgument):
        await core.load_images(chunks(b"garbage"), True)


async def test_pull_that_finds_no_registry_fails_before_the_first_line(core: CoreEngine) -> None:
    with pytest.raises(EngineError) as refused:
        await core.pull_image("127.0.0.1:1/x", "latest", "", {})
    assert refused.value.status in (500, 503)


async def test_pull_of_an_unknown_platform(core: CoreEngine) -> None:
    with pytest.raises(InvalidArgument, match=r'^"foo": unknown operating system or architecture: invalid argument$'):
        await core.pull_image("127.0.0.1:1/x", "latest", "foo", {})


def test_progress() -> None:
    assert progress_bar(0, 100) == f"[>{' ' * 50}]       0B/100B"
    assert progress_bar(100, 100) == f"[{'=' * 50}>]     100B/100B"
    assert human_size(1984311) == "1.984MB"


def test_changes() -> None:
    assert change_config(
        {},
        ['CMD ["a", "b"]', "ENV A=1 B=2", "ENV C three four", "EXPOSE 80 53/udp", "LABEL x=y", "WORKDIR /w", "USER u"],
    ) == {
        "Cmd": ["a", "b"], "Env": ["A=1", "B=2", "C=three four"], "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
        "Labels": {"x": "y"}, "WorkingDir": "/w", "User": "u",
    }  # fmt: skip
    with pytest.raises(InvalidArgument, match=r"^run is not a valid change command$"):
        change_config({}, ["RUN true"])


@asynccontextmanager
async def registry(user: str, password: str) -> AsyncIterator[str]:
    """A registry that asks for Basic authentication; plain HTTP."""
    wanted = base64.b64encode(f"{user}:{password}".encode())

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.read(10_000)
        good = b"Basic " + wanted in head
        status = b"200 OK" if good else b'401 Unauthorized\r\nWWW-Authenticate: Basic realm="x"'
        writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_login() -> None:
    async with registry("ann", "secret") as address:
        good: t.Json = {"username": "ann", "password": "secret", "serveraddress": address}
        assert await login(good, None) == {"Status": "Login Succeeded", "IdentityToken": ""}
        assert await refused({**good, "password": "wrong"}) == (
            EngineError, f"login attempt to http://{address}/v2/ failed with status: 401 Unauthorized"
        )  # fmt: skip
        nobody: t.Json = {"serveraddress": f"http://{address}/v2/"}
        assert await refused(nobody) == (EngineError, f'Get "http://{address}/v2/": no basic auth credentials')
    assert await refused({**good, "serveraddress": "127.0.0.1:1"}) == (
        EngineError, 'Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused'
    )  # fmt: skip


async def refused(credentials: t.Json) -> tuple[type[EngineError], str]:
    with pytest.raises(EngineError) as caught:
        await login(credentials, None)
    return type(caught.value), caught.value.message


def leftover(images: Store, data: bytes, hours: float) -> str:
    """A layer that a failed pull left so many hours ago; its diff id."""
    found = images.layers.put_stream(iter([data])).diff_id
    moment = time.time() - hours * 3600
    os.utime(images.disk.root / "layers" / found[7:], (moment, moment))
    return found


async def test_what_failed_pulls_left_is_collected(make_engine: Callable[[], CoreEngine], images: Store) -> None:
    [base] = images.layers.all()
    older, old, new = (leftover(images, rootfs() + bytes(number * 512), hours) for number, hours in
                       ((1, 25), (2, 2), (3, 0.5)))  # fmt: skip
    assert len({base, older, old, new}) == 4
    core = make_engine()
    await core.open()
    await asyncio.gather(*core.context.tasks)
    assert set(images.layers.all()) == {base, old, new}
    size = images.layers.info(old).tar_size
    assert await core.prune_images({}) == ([], size)
    assert set(images.layers.all()) == {base, new}
    await core.close()


async def test_an_image_of_another_platform_is_taken_with_a_warning(core: CoreEngine, shop: Shop) -> None:
    layer = rootfs()
    async with serve(Peer()) as peer:
        peer.push("app", "1", config([layer], architecture="s390x"), [packed(layer)])
        name = f"{peer.host}/app"
        told = [line.status async for line in await core.pull_image(name, "1", "linux/amd64", {})]
        warning = (
            f"WARNING: image with reference {name}:1 was found but its platform (linux/s390x) "
            "does not match the specified platform (linux/amd64)"
        )
        assert told[-2:] == [f"Status: Downloaded newer image for {name}:1", warning]
        quiet = [line.status async for line in await core.pull_image(name, "1", "", {})]
        assert quiet[-1] == f"Status: Image is up to date for {name}:1"
    created = await core.create_container(t.CreateContainer(config={"Image": f"{name}:1", "Cmd": ["true"]}))
    assert created.warnings == [
        f"The requested image's platform (linux/s390x) does not match the detected host platform ({Platform.local()}) "
        "and no specific platform was requested"
    ]
    chosen = t.CreateContainer(platform="linux/s390x", config={"Image": f"{name}:1", "Cmd": ["true"]})
    assert (await core.create_container(chosen)).warnings == []
