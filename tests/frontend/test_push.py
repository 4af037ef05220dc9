"""What the endpoints that talk to registries take and answer."""

from __future__ import annotations

import base64
import json

import pytest

from tests.backends.api.peer import Peer
from tests.frontend.site import Site

AUTH = {"X-Registry-Auth": base64.urlsafe_b64encode(b'{"username":"u","password":"p"}').decode()}
CREDENTIALS = {"username": "u", "password": "p"}


async def test_push_passes_all_on_and_streams_lines(site: Site, peer: Peer) -> None:
    done = await site.call("POST", "/images/host:5000/a/b/push?tag=1&platform=linux/arm64", headers=AUTH)
    assert peer.seen["push"] == ("host:5000/a/b", "1", "linux/arm64", CREDENTIALS)
    assert (done.status, done.headers["content-type"]) == (200, "application/json")
    assert [json.loads(line) for line in done.body.splitlines()] == [
        {"status": "Pulling", "id": "1"},
        {"status": "Done"},
    ]


async def test_push_before_platforms(site: Site, peer: Peer) -> None:
    await site.call("POST", "/v1.45/images/b/push?platform=linux/arm64")
    assert peer.seen["push"] == ("b", "", "", {})


async def test_push_tells_late_failures_in_the_stream(site: Site) -> None:
    broken = await site.call("POST", "/images/broken/push")
    message = "the registry went away"
    assert broken.status == 200
    assert json.loads(broken.body.splitlines()[-1]) == {"error": message, "errorDetail": {"message": message}}


async def test_search(site: Site, peer: Peer) -> None:
    filters = '{"is-official":["true"],"stars":["2"]}'.replace('"', "%22")
    found = await site.call("GET", f"/images/search?term=a/b&limit=7&filters={filters}", headers=AUTH)
    assert peer.seen["search"] == ("a/b", 7, {"is-official": ["true"], "stars": ["2"]}, CREDENTIALS)
    assert found.json == [
        {"star_count": 3, "is_official": True, "name": "x", "is_automated": False, "description": "an x"}
    ]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("filters=%7B%22x%22:%5B%22a%22%5D%7D", "invalid filter 'x'"),
        ("filters=%7B%22is-official%22:%5B%22a%22%5D%7D", "invalid filter 'is-official=a'"),
        ("limit=x", 'strconv.Atoi: parsing "x": invalid syntax'),
    ],
)
async def test_search_refusals(site: Site, query: str, message: str) -> None:
    refused = await site.call("GET", f"/images/search?term=a&{query}")
    assert (refused.status, refused.message) == (400, message)


async def test_distribution(site: Site, peer: Peer) -> None:
    found = await site.call("GET", "/distribution/host:5000/a/b@sha256:0/json", headers=AUTH)
    assert peer.seen["distribution"] == ("host:5000/a/b@sha256:0", CREDENTIALS)
    assert found.json == {"Descriptor": {"mediaType": "m", "digest": "d", "size": 1}, "Platforms": None}
    for path in ("/distribution/a/b", "/distribution/json", "/distribution/a/JSON"):
        unknown = await site.call("GET", path)
        assert (unknown.status, unknown.message) == (404, "page not found")


async def test_platform_is_held_against_the_image(site: Site, peer: Peer) -> None:
    """Where the version of the API has the parameter."""
    for action, before in (("history", 200), ("get", 501)):
        refused = await site.call("GET", f"/v1.48/images/b/{action}?platform=linux/arm64")
        assert (refused.status, refused.message) == (404, "no linux/arm64 here")
        assert (await site.call("GET", f"/v1.47/images/b/{action}?platform=linux/arm64")).status == before
    both = await site.call("GET", "/images/b/json?manifests=1&platform=linux/arm64")
    conflict = "conflicting options: manifests and platform options cannot both be set"
    assert (both.status, both.message) == (400, conflict)
    part = await site.call("DELETE", "/images/b?platforms=%7B%7D")
    assert (part.status, part.message[:32]) == (501, "an image here is of one platform")
