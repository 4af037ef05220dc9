"""Creating a container in the words of older API versions."""

from __future__ import annotations

from typing import Any

import pytest

from tests.backends.api.peer import Peer
from tests.frontend.site import Site

MAC, OTHER = "02:42:ac:11:00:09", "02:42:ac:11:00:08"
DEPRECATED = "The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead."


async def test_create_leaves_out_what_its_version_does_not_have(site: Site, peer: Peer) -> None:
    host = {"KernelMemory": 7, "ConsoleSize": [1, 2]}
    body = {"Image": "cat", "HostConfig": host}
    for at, platform, left in [("1.40", "", {"KernelMemory": 7}), ("1.42", "linux/arm64", {"ConsoleSize": [1, 2]})]:
        answer = await site.call("POST", f"/v{at}/containers/create?platform=linux/arm64", body)
        made = peer.containers[answer.json["Id"]]
        assert (made.platform, {key: made.host_config[key] for key in host if key in made.host_config}) == (
            platform,
            left,
        )


async def test_parameters_that_older_versions_do_not_have(site: Site, peer: Peer) -> None:
    await site.call("POST", "/containers/create?name=c", {"Image": "cat"})
    for version, signal in (("1.41", ""), ("1.42", "INT")):
        await site.call("POST", "/containers/c/start")
        await site.call("POST", f"/v{version}/containers/c/stop?t=1&signal=INT")
        assert peer.seen["stop"] == (1, signal)
    for version, platform in (("1.31", ""), ("1.32", "linux/arm64")):
        await site.call("POST", f"/v{version}/images/create?fromImage=a&tag=1&platform=linux/arm64")
        assert peer.seen["pull"] == ("a", "1", platform, {})
    answer = await site.call("POST", "/v1.30/containers/c/wait?condition=foo")
    assert answer.message == 'invalid condition: "foo"'


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            {"HostConfig": {"Mounts": [{"Type": "volume", "Target": "/x", "VolumeOptions": {"Subpath": "a"}}]}},
            "VolumeOptions.Subpath needs API v1.45 or newer",
        ),
        (
            {"HostConfig": {"Mounts": [{"Type": "bind", "BindOptions": {"ReadOnlyForceRecursive": True}}]}},
            "BindOptions.ReadOnlyForceRecursive needs API v1.44 or newer",
        ),
        (
            {"MacAddress": "02:42:ac:11:00:09", "HostConfig": {"NetworkMode": "host"}},
            "conflicting options: mac-address and the network mode",
        ),
        (
            {"NetworkingConfig": {"EndpointsConfig": {"n": None}}},
            "invalid config for network n: EndpointsConfig is nil",
        ),
    ],
)
async def test_what_older_versions_refuse(site: Site, body: dict[str, Any], message: str) -> None:
    answer = await site.call("POST", "/v1.43/containers/create", {"Image": "cat", **body})
    assert (answer.status, answer.message) == (400, message)


@pytest.mark.parametrize(
    ("version", "mode", "endpoints", "warnings", "placed"),
    [
        ("1.43", "", {}, [], {"bridge": {"MacAddress": MAC}}),
        ("1.43", "n", {"n": {"MacAddress": OTHER}}, [], {"n": {"MacAddress": MAC}}),
        ("1.43", "n", {"other": {}}, [], {"other": {"MacAddress": MAC}}),
        ("1.44", "", {}, [DEPRECATED], {"bridge": {"MacAddress": MAC}}),
        ("1.44", "n", {"m": {}, "n": {"MacAddress": MAC}}, [DEPRECATED], {"m": {}, "n": {"MacAddress": MAC}}),
        ("1.44", "id", {"n": {"NetworkID": "id"}}, [DEPRECATED], {"n": {"NetworkID": "id", "MacAddress": MAC}}),
        ("1.44", "host", {}, [DEPRECATED], {}),
    ],
)
async def test_a_containers_mac_address_goes_to_its_main_network(
    site: Site,
    peer: Peer,
    version: str,
    mode: str,
    endpoints: dict[str, Any],
    warnings: list[str],
    placed: dict[str, Any],
) -> None:
    body = {
        "Image": "cat", "MacAddress": MAC, "HostConfig": {"NetworkMode": mode},
        "NetworkingConfig": {"EndpointsConfig": endpoints},
    }  # fmt: skip
    answer = await site.call("POST", f"/v{version}/containers/create", body)
    assert (answer.status, answer.json["Warnings"]) == (201, warnings)
    assert peer.containers[answer.json["Id"]].networking_config["EndpointsConfig"] == placed


@pytest.mark.parametrize(
    ("endpoints", "message"),
    [
        (
            {"n": {"MacAddress": OTHER}},
            "the container-wide MAC address must match the endpoint-specific MAC address for the main network, or be"
            " left empty",
        ),
        (
            {"m": {}},
            "unable to migrate container-wide MAC address to a specific network: HostConfig.NetworkMode must match the"
            " identity of a network in NetworkSettings.Networks",
        ),
    ],
)
async def test_mac_addresses_that_contradict(site: Site, endpoints: dict[str, Any], message: str) -> None:
    body = {
        "Image": "cat", "MacAddress": MAC, "HostConfig": {"NetworkMode": "n"},
        "NetworkingConfig": {"EndpointsConfig": endpoints},
    }  # fmt: skip
    answer = await site.call("POST", "/v1.44/containers/create", body)
    assert (answer.status, answer.message) == (400, message)
