"""docker commit: files, config, names, and what is refused."""

from __future__ import annotations

import pytest

from backends.api import types as t
from backends.api.errors import InvalidArgument, NotFound
from backends.core.engine import CoreEngine
from tests.backends.core.build.conftest import Shop
from tests.backends.core.conftest import Shop as Containers


@pytest.fixture
def builds(core: CoreEngine) -> Shop:
    return Shop(core)


async def test_the_container_becomes_an_image(builds: Shop, shop: Containers) -> None:
    ref, _ = await shop.run("sh", "-c", "echo 1 > new", Env=["A=1"], Labels={"l": "1"}, ExposedPorts={"80/tcp": {}})
    image_id = await builds.engine.commit_container(
        ref, t.CommitContainer(repo="made", tag="2", comment="why", author="me")
    )
    image = await builds.inspect("made:2")
    base = await builds.inspect("busybox")
    assert (image.id, image.comment, image.author, image.parent) == (image_id, "why", "me", base.id)
    assert image.config["Cmd"] == ["sh", "-c", "echo 1 > new"]
    assert (image.config["Labels"], image.config["ExposedPorts"]) == ({"base": "yes", "l": "1"}, {"80/tcp": {}})
    assert builds.files("made:2")["new"] == "file 644 0:0"
    (newest, *_) = await builds.engine.image_history("made:2")
    assert (newest.created_by, newest.size, newest.comment) == ("sh -c echo 1 > new", 2, "why")


async def test_a_container_that_never_ran_adds_no_layer(builds: Shop, shop: Containers) -> None:
    image_id = await builds.engine.commit_container(await shop.create("x"), t.CommitContainer())
    image = await builds.inspect(image_id)
    assert (image.layers, image.repo_tags) == ((await builds.inspect("busybox")).layers, [])


async def test_changes(builds: Shop, shop: Containers) -> None:
    changes = [
        "ENV FROM=changed B=2", 'CMD ["a", "b"]', "ENTRYPOINT c d", "WORKDIR /w", "WORKDIR sub", "USER u", "VOLUME /v",
        "EXPOSE 80 81/udp", "LABEL x=y", "STOPSIGNAL KILL", "HEALTHCHECK CMD z", "ONBUILD RUN q",
    ]  # fmt: skip
    ref = await shop.create("x")
    image_id = await builds.engine.commit_container(ref, t.CommitContainer(changes=changes))
    config = (await builds.inspect(image_id)).config
    assert config["Env"][1:] == ["FROM=changed", "B=2"]
    assert (config["Cmd"], config["Entrypoint"]) == (["a", "b"], ["/bin/sh", "-c", "c d"])
    assert (config["WorkingDir"], config["User"], config["Volumes"]) == ("/w/sub", "u", {"/v": {}})
    assert config["ExposedPorts"] == {"80/tcp": {}, "81/udp": {}}
    assert (config["StopSignal"], config["OnBuild"]) == ("KILL", ["RUN q"])
    assert (config["Healthcheck"], config["Labels"]["x"]) == ({"Test": ["CMD-SHELL", "z"]}, "y")


async def test_a_config_of_its_own_is_completed(builds: Shop, shop: Containers) -> None:
    ref = await shop.create("x", Env=["A=1", "B=1"], User="u")
    request = t.CommitContainer(config={"Env": ["A=2"], "Cmd": ["y"]})
    config = (await builds.inspect(await builds.engine.commit_container(ref, request))).config
    assert (config["Env"][:2], config["Cmd"], config["User"]) == (["A=2", "B=1"], ["y"], "u")


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (t.CommitContainer(changes=["RUN x"]), "run is not a valid change command"),
        (t.CommitContainer(changes=["FOO"]), "foo is not a valid change command"),
        (t.CommitContainer(changes=["EXPOSE x"]), "invalid containerPort: x"),
        (t.CommitContainer(repo="UP"), "invalid reference format: repository name (library/UP) must be lowercase"),
        (t.CommitContainer(repo="a@sha256:" + "1" * 64), "refusing to create a tag with a digest reference"),
    ],
)
async def test_refusals(builds: Shop, shop: Containers, request_: t.CommitContainer, message: str) -> None:
    ref = await shop.create("x")
    with pytest.raises(InvalidArgument) as failure:
        await builds.engine.commit_container(ref, request_)
    assert failure.value.message == message
    assert len(await builds.engine.list_images(True, {}, False)) == 1


async def test_no_such_container(builds: Shop) -> None:
    with pytest.raises(NotFound, match="No such container: nosuch"):
        await builds.engine.commit_container("nosuch", t.CommitContainer())


async def test_a_running_container_is_paused_meanwhile(builds: Shop, shop: Containers) -> None:
    ref = await shop.create("sleep", "600")
    await builds.engine.start_container(ref)
    events = await builds.engine.events(1, 0, {"type": ["container"], "container": [ref]})
    await builds.engine.commit_container(ref, t.CommitContainer(comment="c"))
    seen: list[str] = []
    async for event in events:
        seen.append(event.Action)
        if event.Action == "commit":
            break
    assert seen[-3:] == ["pause", "unpause", "commit"]
    assert (await builds.engine.inspect_container(ref)).state.status == "running"
    before = len(seen)
    await builds.engine.commit_container(ref, t.CommitContainer(pause=False))
    async for event in events:
        seen.append(event.Action)
        if event.Action == "commit":
            break
    assert seen[before:] == ["commit"]
