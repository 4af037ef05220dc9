import asyncio
import gzip
import json
import random
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zstandard

from sandbox.images import manifests
from sandbox.images.credentials import Credentials
from sandbox.images.errors import (
    ImageError,
    ImageNotFound,
    InvalidReference,
    LayerMissing,
    RegistryError,
    RegistryUnavailable,
    Unauthorized,
)
from sandbox.images.platforms import Platform
from sandbox.images.pull import pull
from sandbox.images.push import PushEvent, push
from sandbox.images.reference import parse
from sandbox.images.store import Store
from sandbox.images.transport import RegistryConfig
from sandbox.images.upload import Content, open_target
from tests.sandbox.images.making import add_image, config, digest, files, left_behind, packed
from tests.sandbox.images.peer import MANIFEST
from tests.sandbox.images.receiver import Receiver, receive

ONE, TWO = files({"a": b"1" * 10}), files({"b": b"2"})
BIG = files({"big": random.Random(7).randbytes((4 << 20) + 9999)})
QUICK = RegistryConfig(backoff=0.001, read=5, attempts=3)
SCHEMA2 = "application/vnd.docker.distribution.manifest.v2+json"


@pytest.fixture(autouse=True)
def docker_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
async def peer() -> AsyncIterator[Receiver]:
    async with receive(Receiver()) as running:
        yield running


async def run(store: Store, peer: Receiver, name: str = "team/app:1", **options: Any) -> list[PushEvent]:
    options.setdefault("config", QUICK)
    return [event async for event in push(store, parse(f"{peer.host}/{name}"), **options)]


async def failing(
    store: Store, peer: Receiver, kind: type[ImageError], name: str = "team/app:1", **options: Any
) -> str:
    with pytest.raises(ImageError) as caught:
        await run(store, peer, name, **options)
    assert type(caught.value) is kind
    assert left_behind(store.disk.root) == []
    return caught.value.message.replace(peer.host, "HOST")


def lines(events: list[PushEvent]) -> list[str]:
    """As docker prints them, without the progress."""
    plain = [event for event in events if event.status != "Pushing"]
    return [f"{event.layer}: {event.status}" if event.layer else event.status for event in plain]


def short(layer: bytes) -> str:
    return digest(layer)[7:19]


async def stored(store: Store, peer: Receiver, name: str, document: bytes, layers: list[bytes]) -> bytes:
    """An image at the peer, pulled."""
    repository, _, tag = name.rpartition(":")
    raw = peer.push(repository, tag, document, layers)
    peer.repositories.setdefault(repository, set()).update(digest(blob) for blob in (document, *layers))
    reference = parse(f"{peer.host}/{name}")
    _ = [event async for event in pull(store, reference, platform=Platform("linux", "amd64"), config=QUICK)]
    return raw


async def test_an_image_made_here(store: Store, peer: Receiver, tmp_path: Path) -> None:
    image = add_image(store, tmp_path, [ONE, TWO], f"{peer.host}/team/app:1")
    events = await run(store, peer)
    raw = peer.manifests["team/app:1"][1]
    told = lines(events)
    assert told[0] == f"The push refers to repository [{peer.host}/team/app]"
    assert told[1:3] == [f"{short(TWO)}: Preparing", f"{short(ONE)}: Preparing"]
    assert sorted(told[3:5]) == sorted([f"{short(TWO)}: Pushed", f"{short(ONE)}: Pushed"])
    assert told[5:] == [f"1: digest: {digest(raw)} size: {len(raw)}"]
    assert (events[-1].tag, events[-1].digest, events[-1].size) == ("1", digest(raw), len(raw))
    packs = [gzip_of(layer) for layer in (ONE, TWO)]
    assert raw == manifest_of_dockerd(config([ONE, TWO]), packs)
    assert peer.manifests["team/app:1"][0] == SCHEMA2
    assert peer.repositories["team/app"] == {digest(blob) for blob in (config([ONE, TWO]), *packs)}
    assert store.get(image.id).digests == (f"{peer.host}/team/app@{digest(raw)}",)
    assert left_behind(store.disk.root) == []


def gzip_of(layer: bytes) -> bytes:
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    return packer.compress(layer) + packer.flush()


def manifest_of_dockerd(document: bytes, packs: list[bytes]) -> bytes:
    """Recorded from dockerd 20.10, with other blobs put in."""
    layers = ",".join(
        f"""
      {{
         "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
         "size": {len(blob)},
         "digest": "{digest(blob)}"
      }}"""
        for blob in packs
    )
    return f"""{{
   "schemaVersion": 2,
   "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
   "config": {{
      "mediaType": "application/vnd.docker.container.image.v1+json",
      "size": {len(document)},
      "digest": "{digest(document)}"
   }},
   "layers": [{layers}
   ]
}}""".encode()


async def test_what_is_there_is_not_sent_again(store: Store, peer: Receiver, tmp_path: Path) -> None:
    add_image(store, tmp_path, [ONE, TWO], f"{peer.host}/team/app:1", f"{peer.host}/team/app:2")
    first = await run(store, peer)
    before = len(peer.log)
    second = await run(store, peer, "team/app:2")
    assert {line.split()[0] for line in peer.log[before:]} == {"HEAD", "PUT"}
    assert sorted(lines(second)[3:5]) == sorted(f"{short(layer)}: Layer already exists" for layer in (ONE, TWO))
    assert second[-1].digest == first[-1].digest


async def test_all_tags(store: Store, peer: Receiver, tmp_path: Path) -> None:
    add_image(store, tmp_path, [ONE], f"{peer.host}/team/app:1", f"{peer.host}/team/app:2", f"{peer.host}/other:3")
    told = lines(await run(store, peer, "team/app"))
    assert told[2:] == [
        f"{short(ONE)}: Pushed",
        told[3],
        f"{short(ONE)}: Preparing",
        f"{short(ONE)}: Layer already exists",
        told[3].replace("1:", "2:", 1),
    ]
    assert sorted(name for name in peer.manifests if "sha256" not in name) == ["team/app:1", "team/app:2"]


async def test_what_there_is_not(store: Store, peer: Receiver, tmp_path: Path) -> None:
    add_image(store, tmp_path, [ONE], f"{peer.host}/team/app:1")
    nothing = "An image does not exist locally with the tag: HOST/team/none"
    assert await failing(store, peer, ImageNotFound, "team/none") == nothing
    assert await failing(store, peer, ImageNotFound, "team/none:1") == nothing
    assert await failing(store, peer, ImageNotFound, "team/app:2") == "tag does not exist: HOST/team/app:2"
    by_digest = f"team/app@sha256:{'a' * 64}"
    assert await failing(store, peer, InvalidReference, by_digest) == "cannot push a digest reference"
    await run(store, peer)
    store.untag(f"{peer.host}/team/app:1")
    assert await failing(store, peer, ImageNotFound, "team/app") == "no tags to push for HOST/team/app"


async def test_a_layer_of_another_repository_is_mounted(store: Store, peer: Receiver, tmp_path: Path) -> None:
    image = add_image(store, tmp_path, [ONE], f"{peer.host}/team/app:1")
    await run(store, peer)
    store.tag(image.id, f"{peer.host}/new:1")
    told = lines(await run(store, peer, "new:1"))
    assert told[1:3] == [f"{short(ONE)}: Preparing", f"{short(ONE)}: Mounted from team/app"]
    assert peer.manifests["new:1"] == peer.manifests["team/app:1"]
    assert digest(gzip_of(ONE)) in peer.repositories["new"]


async def test_where_mounting_does_not_work(store: Store, peer: Receiver, tmp_path: Path) -> None:
    image = add_image(store, tmp_path, [ONE], f"{peer.host}/team/app:1")
    await run(store, peer)
    peer.mounts = False
    store.tag(image.id, f"{peer.host}/new:1")
    assert lines(await run(store, peer, "new:1"))[2] == f"{short(ONE)}: Pushed"
    peer.fail["POST new2/blobs"] = [401]
    store.tag(image.id, f"{peer.host}/new2:1")
    assert lines(await run(store, peer, "new2:1"))[2] == f"{short(ONE)}: Pushed"
    assert peer.manifests["new2:1"] == peer.manifests["new:1"] == peer.manifests["team/app:1"]


async def test_a_pulled_image_keeps_its_manifest_everywhere(store: Store, peer: Receiver) -> None:
    """Also with layers that are packed in other ways, or not at all."""
    document = config([ONE, TWO, BIG])
    blobs = [gzip.compress(ONE, 1, mtime=5), zstandard.compress(TWO), BIG]
    raw = await stored(store, peer, "team/app:1", document, blobs)
    image = store.resolve(f"{peer.host}/team/app:1")
    async with receive(Receiver()) as other:
        store.tag(image.id, f"{other.host}/copy:7")
        events = await run(store, other, "copy:7")
        assert other.manifests["copy:7"] == (MANIFEST, raw)
        assert other.repositories["copy"] == {digest(blob) for blob in (document, *blobs)}
        assert events[-1].digest == digest(raw)
        assert f"{other.host}/copy@{digest(raw)}" in store.get(image.id).digests


async def test_a_layer_known_from_an_image_below(store: Store, peer: Receiver, tmp_path: Path) -> None:
    """What was built on a pulled image: its layers are at the registry already, under the digests they came with."""
    base = packed(ONE)
    await stored(store, peer, "base:1", config([ONE]), [base])
    add_image(store, tmp_path, [ONE, TWO], f"{peer.host}/team/app:1")
    told = lines(await run(store, peer))
    assert f"{short(ONE)}: Mounted from base" in told
    assert peer.manifests["team/app:1"][1] == manifest_of_dockerd(config([ONE, TWO]), [base, gzip_of(TWO)])


async def test_a_blob_that_is_gone_is_packed_anew(store: Store, peer: Receiver, tmp_path: Path) -> None:
    """The layer was here before the pull, so its blob never came; the manifest cannot be the same then."""
    add_image(store, tmp_path, [ONE], "local:1")
    raw = await stored(store, peer, "team/app:1", config([ONE]), [gzip.compress(ONE, 1, mtime=9)])
    image = store.resolve(f"{peer.host}/team/app:1")
    async with receive(Receiver()) as other:
        store.tag(image.id, f"{other.host}/copy:7")
        await run(store, other, "copy:7")
        assert other.manifests["copy:7"][1] == manifest_of_dockerd(config([ONE]), [gzip_of(ONE)])
    await run(store, peer)
    assert peer.manifests["team/app:1"][1] == raw


async def test_an_image_without_layers(store: Store, peer: Receiver, tmp_path: Path) -> None:
    add_image(store, tmp_path, [], f"{peer.host}/team/app:1")
    await run(store, peer)
    assert json.loads(peer.manifests["team/app:1"][1])["layers"] == []


async def test_a_layer_twice_in_an_image_is_sent_once(store: Store, peer: Receiver, tmp_path: Path) -> None:
    add_image(store, tmp_path, [ONE, TWO, ONE], f"{peer.host}/team/app:1")
    told = lines(await run(store, peer))
    assert told.count(f"{short(ONE)}: Pushed") == 1
    assert peer.manifests["team/app:1"][1] == manifest_of_dockerd(
        config([ONE, TWO, ONE]), [gzip_of(ONE), gzip_of(TWO), gzip_of(ONE)]
    )


async def test_large_layers_show_progress(store: Store, peer: Receiver, tmp_path: Path) -> None:
    add_image(store, tmp_path, [BIG], f"{peer.host}/team/app:1")
    events = [event for event in await run(store, peer) if event.status == "Pushing"]
    size = len(gzip_of(BIG))
    assert [event.current for event in events][-1] == events[-1].total == size
    assert len(peer.of("PATCH")) == 1
    assert all(event.layer == short(BIG) for event in events)


@pytest.mark.parametrize("relative", [False, True])
async def test_locations_come_back_as_they_were(store: Store, peer: Receiver, tmp_path: Path, relative: bool) -> None:
    peer.relative = relative
    add_image(store, tmp_path, [BIG], f"{peer.host}/team/app:1")
    await run(store, peer)
    assert peer.of("PATCH")[0].endswith("?state=a%20b/c%3D%3D")


@pytest.mark.parametrize("location", ["ftp://elsewhere/x", "mailto:x"])
async def test_a_location_that_leads_nowhere(store: Store, peer: Receiver, tmp_path: Path, location: str) -> None:
    peer.location = location
    add_image(store, tmp_path, [ONE], f"{peer.host}/team/app:1")
    message = await failing(store, peer, RegistryError)
    assert message == f"the registry gave no usable upload location: {location!r}"


async def test_credentials_stay_with_their_registry(store: Store, peer: Receiver, tmp_path: Path) -> None:
    peer.user = ("me", "secret")
    add_image(store, tmp_path, [ONE], f"{peer.host}/team/app:1")
    async with receive(Receiver()) as other:
        peer.location = f"http://{other.host}/v2/x/blobs/uploads/session?state=a%20b/c%3D%3D"
        other.uploads["session"] = bytearray()
        other.fail["PUT x"] = [403] * 9
        await failing(store, peer, Unauthorized, credentials=Credentials("me", "secret"))
        assert set(other.authorizations) == {""}
    assert peer.authorizations[-1] != ""


@pytest.mark.parametrize("cuts", [[1], [3 << 20], [100, 2 << 20]])
async def test_a_registry_that_dies_in_the_middle(
    store: Store, peer: Receiver, tmp_path: Path, cuts: list[int]
) -> None:
    peer.cuts = list(cuts)
    add_image(store, tmp_path, [BIG], f"{peer.host}/team/app:1")
    assert lines(await run(store, peer))[2] == f"{short(BIG)}: Pushed"
    assert len(peer.of("PATCH")) == len(cuts) + 1


async def test_a_registry_that_keeps_dying(store: Store, peer: Receiver, tmp_path: Path) -> None:
    peer.cuts = [1 << 20] * 9
    add_image(store, tmp_path, [BIG], f"{peer.host}/team/app:1")
    await failing(store, peer, RegistryUnavailable)
    assert len(peer.of("PATCH")) == QUICK.attempts


async def test_a_registry_that_does_not_read(store: Store, peer: Receiver, tmp_path: Path) -> None:
    peer.stall = True
    add_image(store, tmp_path, [BIG], f"{peer.host}/team/app:1")
    await failing(store, peer, RegistryUnavailable, config=RegistryConfig(backoff=0.001, read=1, attempts=2))
    assert len(peer.of("PATCH")) == 2


async def test_deadlines_are_for_the_next_piece(peer: Receiver, tmp_path: Path) -> None:
    """More than the sockets' buffers hold, so that the sender has to wait for the registry to read."""
    path = tmp_path / "content"
    with path.open("wb") as file:
        file.truncate(64 << 20)
    content = Content(digest(b"whatever"), 64 << 20, path)
    sent: list[int] = []
    hasty = RegistryConfig(backoff=0.001, read=2, attempts=1)
    async with open_target(parse(f"{peer.host}/team/app"), config=hasty) as target:
        peer.stall = True
        with pytest.raises(RegistryUnavailable):
            await target.upload(content, sent.append)
        assert sent[-1] < content.size
        peer.stall, peer.pause = False, 0.003
        begun = asyncio.get_running_loop().time()
        with pytest.raises(RegistryError, match=r"^digest invalid: provided digest did not match uploaded content$"):
            await target.upload(content, sent.append)
        assert asyncio.get_running_loop().time() - begun > hasty.read
        assert sent[-1] == content.size


@pytest.mark.parametrize("where", ["HEAD blobs", "POST uploads", "PUT uploads", "PUT manifests"])
async def test_what_fails_in_passing_is_tried_again(store: Store, peer: Receiver, tmp_path: Path, where: str) -> None:
    peer.fail[where] = [503, 500]
    add_image(store, tmp_path, [ONE], f"{peer.host}/team/app:1")
    await run(store, peer)
    assert "team/app:1" in peer.manifests


async def test_what_keeps_failing(store: Store, peer: Receiver, tmp_path: Path) -> None:
    peer.fail["PUT manifests"] = [500] * 9
    image = add_image(store, tmp_path, [ONE], f"{peer.host}/team/app:1")
    message = await failing(store, peer, RegistryUnavailable)
    assert message == "received unexpected HTTP status: 500 Internal Server Error"
    assert len(peer.of("PUT")) == 2 + QUICK.attempts
    assert store.get(image.id).digests == ()


async def test_refusals(store: Store, peer: Receiver, tmp_path: Path) -> None:
    add_image(store, tmp_path, [ONE], f"{peer.host}/team/app:1")
    peer.deny = "team/app"
    assert await failing(store, peer, Unauthorized) == "denied: requested access to the resource is denied"
    assert len(peer.of("POST")) == 1
    peer.deny, peer.stored_as = "", digest(b"another")
    assert (await failing(store, peer, RegistryError)).startswith(
        f"the registry stored the manifest as {digest(b'another')}"
    )
    peer.user = ("me", "secret")
    assert await failing(store, peer, Unauthorized) == "no basic auth credentials"
    wrong = Credentials("me", "wrong")
    assert await failing(store, peer, Unauthorized, credentials=wrong) == "unauthorized: authentication required"


async def test_tokens_are_asked_for_what_a_push_needs(store: Store, peer: Receiver, tmp_path: Path) -> None:
    peer.bearer, peer.user = True, ("me", "secret")
    image = add_image(store, tmp_path, [ONE], f"{peer.host}/team/app:1")
    known = Credentials("me", "secret")
    await run(store, peer, credentials=known)
    assert peer.scopes == [["repository:team/app:pull,push"]]
    store.tag(image.id, f"{peer.host}/new:1")
    await run(store, peer, "new:1", credentials=known)
    assert peer.scopes[1:] == [
        ["repository:new:pull,push"],
        ["repository:new:pull,push", "repository:team/app:pull"],
    ]
    message = await failing(store, peer, Unauthorized, credentials=Credentials("me", "wrong"))
    assert message == "unauthorized: incorrect username or password"


async def test_an_abandoned_push_ends(store: Store, peer: Receiver, tmp_path: Path) -> None:
    peer.stall = True
    add_image(store, tmp_path, [BIG], f"{peer.host}/team/app:1")
    events = push(store, parse(f"{peer.host}/team/app:1"), config=QUICK)
    async for event in events:
        if event.status == "Pushing":
            break
    await events.aclose()  # type: ignore[attr-defined]
    assert left_behind(store.disk.root) == []
    assert peer.of("PUT") == []


async def test_a_layer_that_is_deleted_meanwhile(store: Store, peer: Receiver, tmp_path: Path) -> None:
    add_image(store, tmp_path, [ONE], f"{peer.host}/team/app:1")
    events = push(store, parse(f"{peer.host}/team/app:1"), config=QUICK)
    await anext(events)
    (store.disk.root / "layers" / digest(ONE)[7:] / "tar").unlink()
    with pytest.raises(LayerMissing, match=rf"^layer {digest(ONE)} is not in the store$"):
        _ = [event async for event in events]


def test_the_manifest_of_an_index_is_called_one() -> None:
    raw = msgspec.json.encode({"schemaVersion": 2, "manifests": []})
    assert manifests.media_type(raw) == "application/vnd.oci.image.index.v1+json"
