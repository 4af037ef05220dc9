import asyncio
import json
import os
import random
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sandbox.images.credentials import Credentials
from sandbox.images.errors import (
    AccessDenied,
    ImageError,
    InvalidImage,
    ManifestNotFound,
    RegistryError,
    RegistryUnavailable,
    StorageFull,
    Unauthorized,
)
from sandbox.images.platforms import Platform
from sandbox.images.pull import PullEvent, pull
from sandbox.images.reference import parse
from sandbox.images.registry import open_repository
from sandbox.images.store import Store
from sandbox.images.transport import RegistryConfig
from tests.sandbox.images.making import config, digest, files, left_behind, packed
from tests.sandbox.images.peer import INDEX, Peer, serve

ONE, TWO = files({"a": b"1" * 10}), files({"b": b"2"})
BIG = files({"big": random.Random(7).randbytes(3 << 20)})
QUICK = RegistryConfig(backoff=0.001, read=5)
TLS = b"\x16"  # what a handshake begins with
AMD64 = Platform("linux", "amd64")


@pytest.fixture(autouse=True)
def docker_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    (tmp_path / "docker").mkdir()
    return tmp_path / "docker" / "config.json"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    async with serve(Peer()) as running:
        yield running


async def run(store: Store, peer: Peer, name: str = "team/app:1", **options: Any) -> list[PullEvent]:
    options.setdefault("config", QUICK)
    options.setdefault("platform", AMD64)
    return [event async for event in pull(store, parse(f"{peer.host}/{name}"), **options)]


async def failing(store: Store, peer: Peer, kind: type[ImageError], name: str = "team/app:1", **options: Any) -> str:
    with pytest.raises(kind) as caught:
        await run(store, peer, name, **options)
    return caught.value.message.replace(peer.host, "HOST")


def lines(events: list[PullEvent]) -> list[str]:
    """As docker prints them, without the progress."""
    plain = [event for event in events if event.status not in ("Downloading", "Extracting", "Waiting")]
    return [f"{event.layer}: {event.status}" if event.layer else event.status for event in plain]


async def test_a_pull_tells_what_docker_tells_and_brings_the_image(store: Store, peer: Peer) -> None:
    layers = [packed(ONE), TWO]
    document = config([ONE, TWO])
    raw = peer.push("team/app", "1", document, layers)
    events = await run(store, peer)
    first, second = (digest(layer)[7:19] for layer in layers)
    told = lines(events)
    assert told[:3] == ["1: Pulling from team/app", f"{first}: Pulling fs layer", f"{second}: Pulling fs layer"]
    for layer in (first, second):
        assert [line for line in told if line.startswith(layer)] == [
            f"{layer}: {word}"
            for word in ("Pulling fs layer", "Verifying Checksum", "Download complete", "Pull complete")
        ]
    assert told[-2:] == [f"Digest: {digest(raw)}", f"Status: Downloaded newer image for {peer.host}/team/app:1"]
    last = [event for event in events if event.status == "Downloading" and event.layer == first][-1]
    assert (last.current, last.total) == (len(layers[0]), len(layers[0]))
    image = store.resolve(f"{peer.host}/team/app:1")
    assert (image.id, events[-1].image) == (digest(document), digest(document))
    assert image.tags == (f"{peer.host}/team/app:1",)
    assert image.digests == (f"{peer.host}/team/app@{digest(raw)}",)
    assert store.resolve(f"{peer.host}/team/app@{digest(raw)}").id == image.id
    assert [blob.digest for blob in store.layers.blobs(digest(ONE))] == [digest(layers[0])]
    assert left_behind(store.disk.root) == []


async def test_what_is_here_is_not_fetched_again(store: Store, peer: Peer) -> None:
    peer.push("team/app", "1", config([ONE]), [packed(ONE)])
    await run(store, peer)
    peer.push("team/app", "1", config([ONE, TWO]), [packed(ONE), packed(TWO)])
    told = lines(await run(store, peer))
    assert told[1:3] == [
        f"{digest(packed(ONE))[7:19]}: Already exists",
        f"{digest(packed(TWO))[7:19]}: Pulling fs layer",
    ]
    assert told[-1] == f"Status: Downloaded newer image for {peer.host}/team/app:1"
    assert len(peer.asked(digest(packed(ONE)))) == 1
    assert lines(await run(store, peer))[1:] == [
        told[-2],
        f"Status: Image is up to date for {peer.host}/team/app:1",
    ]


async def test_by_digest_the_image_gets_no_tag(store: Store, peer: Peer) -> None:
    raw = peer.push("team/app", "1", config([ONE]), [packed(ONE)])
    events = await run(store, peer, f"team/app@{digest(raw)}")
    assert lines(events)[0] == f"{digest(raw)}: Pulling from team/app"
    assert store.get(events[-1].image).tags == ()


def two_platforms(peer: Peer) -> bytes:
    entries = []
    for machine, variant, layer in (("amd64", "", ONE), ("arm", "v6", TWO), ("arm", "v7", BIG)):
        raw = peer.push("team/app", machine + variant, config([layer], architecture=machine), [packed(layer)])
        platform = {"os": "linux", "architecture": machine, "variant": variant}
        entries.append({"mediaType": "x", "digest": digest(raw), "size": len(raw), "platform": platform})
    index = msgspec.json.encode({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})
    peer.put("team/app", "1", index, INDEX)
    return index


def listed(peer: Peer, tag: str, *entries: tuple[str, dict[str, str] | None]) -> None:
    """An index of images that the peer has: (tag, platform)."""
    found = []
    for one, platform in entries:
        kind, raw = peer.manifests[f"team/app:{one}"]
        entry: dict[str, object] = {"mediaType": kind, "digest": digest(raw), "size": len(raw)}
        found.append(entry if platform is None else entry | {"platform": platform})
    peer.put("team/app", tag, msgspec.json.encode({"schemaVersion": 2, "mediaType": INDEX, "manifests": found}), INDEX)


async def test_entries_without_a_platform_are_what_their_configs_say(store: Store, peer: Peer) -> None:
    """containerd's rule, and newer dockerd's: what names the platform comes first."""
    peer.push("team/app", "amd64", config([ONE]), [packed(ONE)])
    peer.push("team/app", "arm64", config([TWO], architecture="arm64"), [packed(TWO)])
    peer.push("team/app", "named", config([BIG]), [packed(BIG)])
    listed(peer, "one", ("amd64", None))
    listed(peer, "two", ("arm64", None), ("amd64", {}))
    listed(peer, "named-too", ("amd64", None), ("named", {"os": "linux", "architecture": "amd64"}))
    listed(peer, "nested", ("two", None))
    for tag, layer in (("one", ONE), ("two", ONE), ("named-too", BIG), ("nested", ONE)):
        events = await run(store, peer, f"team/app:{tag}", platform=AMD64)
        assert [found.diff_id for found in store.get(events[-1].image).layers] == [digest(layer)], tag
    with pytest.raises(ManifestNotFound, match=r"^no matching manifest for linux/arm64 in the manifest list entries$"):
        await run(store, peer, "team/app:one", platform=Platform.parse("linux/arm64"))


async def test_an_image_for_windows_is_refused_before_its_layers_come(store: Store, peer: Peer) -> None:
    peer.push("team/app", "1", config([ONE], os="windows"), [packed(ONE)])
    message = await failing(store, peer, InvalidImage)
    assert message == 'image operating system "windows" cannot be used on this platform'
    assert peer.asked(digest(packed(ONE))) == []


@pytest.mark.parametrize(
    ("platform", "layer"), [("linux/amd64", ONE), ("linux/x86_64", ONE), ("linux/arm/v6", TWO), ("linux/arm", BIG)]
)
async def test_the_platform_is_chosen_from_the_index(store: Store, peer: Peer, platform: str, layer: bytes) -> None:
    index = two_platforms(peer)
    events = await run(store, peer, platform=Platform.parse(platform))
    image = store.get(events[-1].image)
    assert [item.diff_id for item in image.layers] == [digest(layer)]
    assert image.digests == (f"{peer.host}/team/app@{digest(index)}",)


async def test_no_image_for_the_platform(store: Store, peer: Peer) -> None:
    two_platforms(peer)
    message = await failing(store, peer, ManifestNotFound, platform=Platform.parse("linux/arm64"))
    assert message == "no matching manifest for linux/arm64 in the manifest list entries"


async def test_not_found_is_said_in_dockers_words(store: Store, peer: Peer) -> None:
    message = await failing(store, peer, ManifestNotFound, "team/app:none")
    assert message == "manifest for HOST/team/app:none not found: manifest unknown: manifest unknown"


async def test_bearer_tokens_with_and_without_a_user(store: Store, peer: Peer) -> None:
    peer.bearer = True
    peer.push("team/app", "1", config([ONE]), [packed(ONE)])
    await run(store, peer)
    peer.user = ("me", "secret")
    assert await failing(store, peer, Unauthorized) == "unauthorized: incorrect username or password"
    wrong = Credentials("me", "wrong")
    assert await failing(store, peer, Unauthorized, credentials=wrong) == "unauthorized: incorrect username or password"
    await run(store, peer, credentials=Credentials.of_auth_config({"username": "me", "password": "secret"}))
    peer.refresh = "again"
    await run(store, peer, credentials=Credentials.of_auth_config({"identitytoken": "again"}))
    ready = Credentials.of_auth_config({"registrytoken": "repository:team/app:pull"})
    await run(store, peer, credentials=ready)


async def test_a_repository_that_is_not_for_us(store: Store, peer: Peer) -> None:
    peer.bearer, peer.deny = True, "team/app"
    assert await failing(store, peer, AccessDenied) == (
        "pull access denied for HOST/team/app, repository does not exist or may require 'docker login': "
        "denied: requested access to the resource is denied"
    )


async def test_basic_authentication(store: Store, peer: Peer, docker_config: Path) -> None:
    peer.user = ("me", "secret")
    peer.push("team/app", "1", config([ONE]), [packed(ONE)])
    assert await failing(store, peer, Unauthorized) == "no basic auth credentials"
    docker_config.write_text(json.dumps({"auths": {peer.host: {"auth": "bWU6c2VjcmV0"}}}))
    await run(store, peer)


def resumed(peer: Peer, layer: bytes) -> list[int]:
    """Where the requests with a Range began. What the client had buffered when the peer died may be lost to it."""
    return [int(ranged[6:-1]) for ranged in peer.asked(digest(layer)) if ranged]


async def test_a_registry_that_dies_mid_layer_is_resumed_by_range(store: Store, peer: Peer) -> None:
    layer = packed(BIG)
    peer.push("team/app", "1", config([BIG]), [layer])
    peer.cut[digest(layer)] = [1_500_000, 700_000]
    await run(store, peer)
    first, second = resumed(peer, layer)
    assert peer.asked(digest(layer))[0] == ""
    assert 0 < first <= 1_500_000
    assert first < second <= first + 700_000
    assert store.layers.has(digest(BIG))


async def test_without_ranges_it_starts_over(store: Store, peer: Peer) -> None:
    layer = packed(BIG)
    peer.ranges = False
    peer.push("team/app", "1", config([BIG]), [layer])
    peer.cut[digest(layer)] = [1_500_000]
    await run(store, peer)
    assert peer.asked(digest(layer))[0] == ""
    [start] = resumed(peer, layer)
    assert 0 < start <= 1_500_000
    assert store.layers.blobs(digest(BIG))[0].digest == digest(layer)


async def test_a_later_pull_goes_on_where_a_failed_one_stopped(store: Store, peer: Peer) -> None:
    layer = packed(BIG)
    peer.push("team/app", "1", config([BIG]), [layer])
    peer.cut[digest(layer)] = [1_000_000, 0]
    once = RegistryConfig(backoff=0.001, attempts=1)
    message = await failing(store, peer, RegistryUnavailable, config=once)
    assert message.startswith(digest(layer))
    [kept] = left_behind(store.disk.root)
    assert kept == f"partial/{digest(layer)[7:]}"
    size = (store.disk.root / kept).stat().st_size
    assert 0 < size <= 1_000_000
    peer.cut.clear()
    peer.requests.clear()
    await run(Store(store.disk.root), peer)
    assert resumed(peer, layer) == [size]
    assert left_behind(store.disk.root) == []


async def test_server_errors_are_tried_again_and_then_told(store: Store, peer: Peer) -> None:
    layer = packed(ONE)
    peer.push("team/app", "1", config([ONE]), [layer])
    peer.fail = {"manifests": [503, 500], digest(layer): [502, 429]}
    await run(store, peer)
    store.delete(store.ids()[0])
    peer.fail = {digest(layer): [503] * 5}
    message = await failing(store, peer, RegistryUnavailable)
    assert message == "received unexpected HTTP status: 503 Service Unavailable"


async def test_wrong_bytes_are_not_kept(store: Store, peer: Peer) -> None:
    layer = packed(ONE)
    peer.push("team/app", "1", config([ONE]), [layer])
    peer.blobs[digest(layer)] = layer[:-1] + b"!"
    message = await failing(store, peer, InvalidImage)
    assert message == f"filesystem layer verification failed for digest {digest(layer)}"
    assert (left_behind(store.disk.root), store.layers.all(), store.ids()) == ([], [], [])
    peer.blobs[digest(layer)] = layer + b"more"
    assert "sends more than the" in await failing(store, peer, InvalidImage)
    assert left_behind(store.disk.root) == []


async def test_a_damaged_partial_is_fetched_anew(store: Store, peer: Peer) -> None:
    layer = packed(ONE)
    peer.push("team/app", "1", config([ONE]), [layer])
    (store.disk.root / "partial" / digest(layer)[7:]).write_bytes(b"rubbish")
    await run(store, peer)
    assert peer.asked(digest(layer)) == ["bytes=7-", ""]
    (store.disk.root / "partial" / digest(TWO)[7:]).write_bytes(b"x" * 100_000)
    peer.push("team/app", "2", config([TWO]), [TWO])
    await run(store, peer, "team/app:2")
    assert left_behind(store.disk.root) == []


async def test_a_manifest_or_config_that_is_not_its_digest(store: Store, peer: Peer) -> None:
    raw = peer.push("team/app", "1", config([ONE]), [packed(ONE)])
    peer.manifests[f"team/app:{digest(raw)}"] = ("x", raw + b" ")
    message = await failing(store, peer, InvalidImage, f"team/app@{digest(raw)}")
    assert message == f"manifest verification failed for digest {digest(raw)}"
    peer.blobs[digest(config([ONE]))] = b"{}"
    assert "image config verification failed" in await failing(store, peer, InvalidImage)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"schemaVersion": 1}, "schema 1 is not supported"),
        ({"schemaVersion": 3}, "manifest has no supported schemaVersion"),
        ({"schemaVersion": 2}, "manifest has a malformed descriptor"),
        ({"schemaVersion": 2, "layers": [], "manifests": []}, "manifest names both layers and manifests"),
        (
            {"schemaVersion": 2, "config": {"digest": "sha256:../../x", "size": 1}, "layers": []},
            "manifest: invalid checksum digest length",
        ),
        (
            {"schemaVersion": 2, "config": {"digest": digest(b""), "size": -1}, "layers": []},
            "manifest has a malformed descriptor",
        ),
        (
            {"schemaVersion": 2, "layers": [], "config": {"digest": digest(b""), "size": 0, "mediaType": "text/helm"}},
            "text/helm is no container image",
        ),
        ([], "manifest is no JSON object"),
    ],
)
async def test_manifests_that_are_none(store: Store, peer: Peer, document: object, message: str) -> None:
    peer.put("team/app", "1", msgspec.json.encode(document), "")
    assert message in await failing(store, peer, InvalidImage)


async def test_a_layer_that_is_not_the_configs(store: Store, peer: Peer) -> None:
    peer.push("team/app", "1", config([ONE]), [packed(TWO)])
    assert f"layer has diff id {digest(TWO)}" in await failing(store, peer, InvalidImage)
    peer.push("team/app", "1", config([ONE]), [])
    assert "as many layers" in await failing(store, peer, InvalidImage)
    hostile = files({"../../etc/passwd": b""})
    peer.push("team/app", "1", config([hostile]), [packed(hostile)])
    assert "outside of the root directory" in await failing(store, peer, InvalidImage)
    assert (left_behind(store.disk.root), store.ids()) == ([], [])


async def test_a_bad_layer_takes_the_good_ones_of_its_image_along(store: Store, peer: Peer) -> None:
    peer.push("team/kept", "1", config([TWO]), [TWO])
    await run(store, peer, "team/kept:1")
    peer.push("team/app", "1", config([TWO, ONE, BIG]), [TWO, packed(ONE), packed(BIG)])
    peer.blobs[digest(packed(BIG))] = bytes(len(packed(BIG)))
    await failing(store, peer, InvalidImage)
    assert store.layers.all() == [digest(TWO)]


async def test_a_mirror_is_asked_first_and_may_fail(store: Store, peer: Peer) -> None:
    layer = packed(ONE)
    peer.push("team/app", "1", config([ONE]), [layer])
    async with serve(Peer()) as mirror:
        mirrored = RegistryConfig(mirrors={peer.host: (f"http://{mirror.host}",)}, backoff=0.001)
        await run(store, peer, config=mirrored)
        assert len(mirror.requests) == 3
        store.delete(store.ids()[0])
        mirror.blobs, mirror.manifests = dict(peer.blobs), dict(peer.manifests)
        peer.requests.clear()
        await run(store, peer, config=mirrored)
        assert peer.requests == []


async def test_nobody_there(store: Store) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = Peer(host=f"127.0.0.1:{free.getsockname()[1]}")
    message = await failing(store, nobody, RegistryUnavailable, config=RegistryConfig(attempts=2, backoff=0.001))
    assert message == 'Get "http://HOST/v2/": dial tcp HOST: connect: connection refused'


@pytest.mark.parametrize(
    ("answer", "kind", "asked", "why"),
    [
        (b"", RegistryUnavailable, 3 * 2, "Server disconnected"),  # aiohttp asks twice each time
        (b"\0\xff" * 50, RegistryError, 1, "malformed HTTP response: Bad status line"),
        (b"HTTP/1.1 307 No\r\nLocation: /v2/x\r\nContent-Length: 0\r\n\r\n", RegistryError, 10,
         "stopped after 10 redirects"),
        (b"HTTP/1.1 307 No\r\nLocation: ftp://x/\r\nContent-Length: 0\r\n\r\n", RegistryError, 1,
         'unsupported protocol scheme "ftp"'),
        (b"HTTP/1.1 307 No\r\nLocation: http://[\r\nContent-Length: 0\r\n\r\n", RegistryError, 1,
         'invalid URL "http://["'),
    ],
)  # fmt: skip
async def test_only_what_may_help_is_tried_again(
    store: Store, answer: bytes, kind: type[ImageError], asked: int, why: str
) -> None:
    requests = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while await reader.readexactly(1) != TLS:
                await reader.readuntil(b"\r\n\r\n")
                requests += 1
                writer.write(answer)
                if not answer.startswith(b"HTTP"):
                    break
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        host = "127.0.0.1:{1}".format(*server.sockets[0].getsockname())
        message = await failing(store, Peer(host=host), kind, config=RegistryConfig(attempts=3, backoff=0.001))
    assert (message, requests) == (f'Get "http://HOST/v2/": {why}', asked)


@pytest.mark.parametrize("token", ["", 5, "a\r\nX: y", "\N{CRAB}"])
async def test_a_token_that_is_none(store: Store, peer: Peer, token: object) -> None:
    peer.bearer, peer.token = True, token
    assert await failing(store, peer, RegistryError) == 'Get "http://HOST/token": the answer has no usable token'


async def test_a_registry_that_never_answers_has_a_deadline(store: Store) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    host = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    slow = RegistryConfig(attempts=1, read=0.1, connect=0.1)
    await failing(store, Peer(host=host), RegistryUnavailable, config=slow)
    server.close()


async def test_an_abandoned_pull_stops_and_can_be_taken_up(store: Store, peer: Peer) -> None:
    layers = [files({"x": random.Random(seed).randbytes(300_000)}) for seed in range(6)]
    peer.push("team/app", "1", config(layers), [packed(layer) for layer in layers])
    events = pull(store, parse(f"{peer.host}/team/app:1"), platform=AMD64, config=QUICK)
    assert isinstance(events, AsyncGenerator)
    async for event in events:
        if event.status == "Download complete":
            break
    await events.aclose()
    assert asyncio.all_tasks() - {asyncio.current_task()} == {
        task for task in asyncio.all_tasks() if "aiohttp" in repr(task) or "RequestHandler" in repr(task)
    }
    assert store.ids() == []
    assert [name for name in left_behind(store.disk.root) if name.startswith("scratch")] == []
    await run(store, peer)
    assert len(store.resolve(f"{peer.host}/team/app:1").layers) == 6


async def test_two_pulls_at_once_fetch_every_layer_once(store: Store, peer: Peer) -> None:
    layers = [files({"x": random.Random(seed).randbytes(100_000)}) for seed in range(5)]
    peer.push("team/app", "1", config(layers), [packed(layer) for layer in layers])
    await asyncio.gather(run(store, peer), run(Store(store.disk.root), peer))
    assert [len(peer.asked(digest(packed(layer)))) for layer in layers] == [1] * 5
    assert left_behind(store.disk.root) == []


async def test_a_full_disk_ends_the_pull_and_leaves_nothing(
    store: Store, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    import resource

    layer = packed(BIG)
    peer.push("team/app", "1", config([BIG]), [layer])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        message = await failing(store, peer, StorageFull)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert message == "image store: file too large"
    assert (left_behind(store.disk.root), store.layers.all(), store.ids()) == ([], [], [])


@pytest.mark.parametrize(
    ("host", "insecure"),
    [
        ("localhost:5000", True),
        ("127.8.9.1:80", True),
        ("[::1]:5000", True),
        ("10.1.2.3:5000", True),
        ("10.2.2.3", False),
        ("reg.test:5000", True),
        ("reg.test:5001", False),
        ("docker.io", False),
    ],
)
def test_which_hosts_may_be_insecure(host: str, insecure: bool) -> None:
    config = RegistryConfig(insecure=frozenset({"reg.test:5000", "10.1.0.0/16"}))
    assert config.is_insecure(host) is insecure


HELPER = """#!/bin/sh
read host
case "$1 $host" in
  "get reg.test") echo '{"Username": "me", "Secret": "s3"}' ;;
  "get token.test") echo '{"Username": "<token>", "Secret": "refresh"}' ;;
  "get bad.test") echo 'broken'; exit 1 ;;
  *) echo 'credentials not found in native keychain'; exit 1 ;;
esac
"""


async def test_credential_helpers(docker_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sandbox.images.credentials import from_docker_config

    helper = tmp_path / "docker-credential-fake"
    helper.write_text(HELPER)
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    auths = {"plain.test": {"auth": "YTpi"}, "https://index.docker.io/v1/": {"identitytoken": "hub"}}
    docker_config.write_text(json.dumps({"credsStore": "fake", "credHelpers": {"gone.test": "none"}, "auths": auths}))
    assert await from_docker_config("reg.test") == Credentials("me", "s3")
    assert await from_docker_config("token.test") == Credentials(identity_token="refresh")
    assert await from_docker_config("plain.test") == Credentials("a", "b")
    assert await from_docker_config("docker.io") == Credentials(identity_token="hub")
    assert await from_docker_config("other.test") == Credentials()
    with pytest.raises(Unauthorized, match="credential helper docker-credential-fake: broken"):
        await from_docker_config("bad.test")
    with pytest.raises(Unauthorized, match="docker-credential-none is not installed"):
        await from_docker_config("gone.test")
    docker_config.write_text("{")
    with pytest.raises(Unauthorized):
        await from_docker_config("reg.test")


def test_secrets_are_not_in_a_repr() -> None:
    assert "s3" not in repr(Credentials("me", "s3", "s3", "s3"))


async def test_tags_are_read_page_by_page(peer: Peer) -> None:
    for number in range(5):
        peer.push("some/image", f"t{number}", config([ONE]), [packed(ONE)])
    async with open_repository(parse(f"{peer.host}/some/image"), config=QUICK) as repository:
        assert await repository.tags() == ["t0", "t1", "t2", "t3", "t4"]
    async with open_repository(parse(f"{peer.host}/no/image"), config=QUICK) as repository:
        with pytest.raises(ImageError, match=r"repository name not known"):
            await repository.tags()
