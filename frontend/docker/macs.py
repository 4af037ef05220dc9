"""A container's MAC address: since API 1.44 an endpoint's, before it the container's (moby: handleMACAddressBC)."""

from __future__ import annotations

from backends.api import types as t
from frontend.wire.errors import BadRequest
from frontend.wire.versions import Version

_PER_ENDPOINT = (1, 44)
_DEPRECATED = (
    "The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead."
)


def place_mac(request: t.CreateContainer, version: Version) -> list[str]:
    """Give the container's MAC address to the endpoint that it is meant for. Returns warnings, raises BadRequest."""
    mac = (request.config or {}).get("MacAddress")
    if not mac:
        return []
    mode = request.host_config.get("NetworkMode") or "default"
    if mode in ("host", "none") or mode.startswith("container:"):
        if version < _PER_ENDPOINT:
            raise BadRequest("conflicting options: mac-address and the network mode")
    else:
        endpoint = _endpoint(request, mode, version)
        if (endpoint.get("MacAddress") or mac) != mac:
            raise BadRequest(
                "the container-wide MAC address must match the endpoint-specific MAC address for the main network,"
                " or be left empty"
            )
        endpoint["MacAddress"] = mac
    return [_DEPRECATED] if version >= _PER_ENDPOINT else []


def _endpoint(request: t.CreateContainer, mode: str, version: Version) -> t.Json:
    """The main network's; before API 1.44 the only one, whatever its name."""
    endpoints: dict[str, t.Json] = request.networking_config.get("EndpointsConfig") or {}
    names = ("default", "bridge") if mode in ("default", "bridge") else (mode,)
    found = [name for name, endpoint in endpoints.items() if name in names or endpoint.get("NetworkID") == mode]
    if endpoints and not found and version >= _PER_ENDPOINT:
        raise BadRequest(
            "unable to migrate container-wide MAC address to a specific network: HostConfig.NetworkMode must match the"
            " identity of a network in NetworkSettings.Networks"
        )
    name = next(iter(found or endpoints), names[-1])
    request.networking_config["EndpointsConfig"] = endpoints
    return endpoints.setdefault(name, {})
