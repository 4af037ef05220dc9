"""Registries that break off, lie or refuse, as ``docker pull`` meets them."""

from __future__ import annotations

import asyncio
import gzip
import random
import threading
from collections.abc import Iterator

import pytest

from tests.faults.place import Place
from tests.faults.tars import config, digest, entry, tar
from tests.sandbox.images.peer import MANIFEST, Peer, serve

CONTENT = random.Random(1).randbytes(3 << 20)
LAYER = gzip.compress(tar(entry("file", CONTENT)), 0)
CONFIG = config(gzip.decompress(LAYER))


class Registry:
    """A peer that serves in a thread of its own."""

    def __init__(self) -> None:
        self.peer = Peer()
        self._loop = asyncio.new_event_loop()
        self._end = asyncio.Event()
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))

    async def _serve(self) -> None:
        async with serve(self.peer):
            self._up.set()
            await self._end.wait()

    def start(self) -> Registry:
        self._thread.start()
        assert self._up.wait(10)
        return self

    def stop(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._end.set)
            self._thread.join()
            self._loop.close()

    @property
    def image(self) -> str:
        return f"{self.peer.host}/some/image:1"


@pytest.fixture
def registry() -> Iterator[Registry]:
    found = Registry().start()
    found.peer.push("some/image", "1", CONFIG, [LAYER])
    yield found
    found.stop()


def pull_error(place: Place, image: str) -> str:
    """The error that a pull ends with, after its progress; the CLI says the same."""
    name, _, tag = image.rpartition(":")
    answer = place.request("POST", f"/images/create?fromImage={name}&tag={tag}")
    assert answer.status == 200, answer
    found: str = answer.lines[-1]["error"]
    assert answer.lines[-1]["errorDetail"]["message"] == found
    return found


def refusal(place: Place, image: str) -> tuple[int, str]:
    """The answer of a pull that does not begin."""
    name, _, tag = image.rpartition(":")
    answer = place.request("POST", f"/images/create?fromImage={name}&tag={tag}")
    return answer.status, answer.message


def test_a_layer_that_breaks_off_is_resumed(site: Place, registry: Registry) -> None:
    registry.peer.cut[digest(LAYER)] = [1 << 20, 1 << 20]
    ran = site.docker("pull", "-q", registry.image)
    assert (ran.code, ran.stdout, ran.stderr) == (0, f"{registry.image}\n", "")
    assert registry.peer.asked(digest(LAYER))[0] == ""
    assert [r.startswith("bytes=") for r in registry.peer.asked(digest(LAYER))[1:]] == [True, True]
    assert site.docker("rmi", registry.image).code == 0


def test_a_registry_that_dies_in_a_layer(site: Place, registry: Registry) -> None:
    registry.peer.cut[digest(LAYER)] = [1 << 20] + [0] * 20
    before = site.files()
    wanted = f"{digest(LAYER)}: Response payload is not completed"
    assert pull_error(site, registry.image).startswith(wanted)
    ran = site.docker("pull", registry.image)
    assert ran.code == 1
    assert wanted in ran.stderr
    assert site.request("GET", f"/images/{registry.image}/json").status == 404
    left = [name for name in site.files() - before if not name.startswith("images/partial/")]
    assert left == []
    registry.peer.cut.clear()
    assert site.docker("pull", "-q", registry.image).code == 0
    assert site.docker("rmi", registry.image).code == 0


def test_wrong_bytes_of_a_layer(site: Place, registry: Registry) -> None:
    registry.peer.blobs[digest(LAYER)] = LAYER[:-9] + b"otherwise"
    assert digest(LAYER) in pull_error(site, registry.image)
    assert site.request("GET", f"/images/{registry.image}/json").status == 404


def test_a_layer_that_is_longer_than_said(site: Place, registry: Registry) -> None:
    registry.peer.blobs[digest(LAYER)] = LAYER + bytes(5 << 20)
    assert digest(LAYER) in pull_error(site, registry.image)


def test_a_layer_that_is_none(site: Place, registry: Registry) -> None:
    junk = b"junk" * 300
    registry.peer.push("some/image", "1", config(junk), [junk])
    assert pull_error(site, registry.image) == "invalid tar header: malformed number b'junkjunk'"


def test_a_config_that_does_not_fit_its_layers(site: Place, registry: Registry) -> None:
    registry.peer.push("some/image", "1", config(b"x"), [LAYER])
    assert "diff id" in pull_error(site, registry.image)


def test_manifests_that_are_none(site: Place, registry: Registry) -> None:
    for raw in (b"", b"{", b"[]", b"{}", b'{"schemaVersion":1}', b'{"schemaVersion":2,"layers":5}', b"[" * 50_000):
        registry.peer.put("some/image", "1", raw, MANIFEST)
        status, message = refusal(site, registry.image)
        assert (status, "manifest" in message) == (400, True), (raw[:30], message)


def test_what_a_registry_refuses(site: Place, registry: Registry) -> None:
    host = registry.peer.host
    assert refusal(site, f"{host}/some/image:2") == (
        404, f"manifest for {host}/some/image:2 not found: manifest unknown: manifest unknown",
    )  # fmt: skip
    registry.peer.bearer, registry.peer.deny = True, "some/image"
    denied = (
        f"pull access denied for {host}/some/image, repository does not exist or may require 'docker login': "
        "denied: requested access to the resource is denied"
    )
    assert refusal(site, registry.image) == (404, denied)
    ran = site.docker("run", registry.image, "true")
    assert (ran.code, denied in ran.stderr) == (125, True)


def test_wrong_credentials(site: Place, registry: Registry) -> None:
    registry.peer.user = ("somebody", "secret")
    assert refusal(site, registry.image) == (500, "no basic auth credentials")


def test_a_registry_that_is_not_there(site: Place, registry: Registry) -> None:
    registry.stop()
    status, message = refusal(site, registry.image)
    assert (status, registry.peer.host in message) == (503, True), message


def test_a_registry_that_always_fails(site: Place, registry: Registry) -> None:
    registry.peer.fail["manifests"] = [500] * 50
    status, message = refusal(site, registry.image)
    assert status == 503, message


def test_auth_headers_that_are_none(site: Place, registry: Registry) -> None:
    """Docker's daemon takes them as no credentials."""
    name, _, tag = registry.image.rpartition(":")
    for value in ("%%%", "bm90IGpzb24=", "W10="):
        headers = {"X-Registry-Auth": value}
        assert site.request("POST", f"/images/create?fromImage={name}&tag={tag}", headers=headers).status == 200
    assert site.docker("rmi", registry.image).code == 0
