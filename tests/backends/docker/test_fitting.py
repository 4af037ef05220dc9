"""Engines' JSON as the contract's structs."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from backends.api import types as t
from backends.docker.fitting import fit


def test_what_is_left_out_or_null_is_empty() -> None:
    row = {"Id": "1", "Names": None, "Image": "x", "Command": "", "Created": 5, "Labels": None, "NetworkSettings": None}
    found = fit(t.ContainerSummary, row)
    assert (found.names, found.labels, found.ports, found.state) == ([], {}, [], "")
    assert found.network_settings == t.ListedNetworks()
    assert (found.created, found.size_rw) == (5, msgspec.UNSET)


def test_what_stays_encoded_is_kept() -> None:
    networks = {"bridge": {"IPAddress": "10.0.0.2", "Unknown": [1]}}
    found = fit(t.ContainerSummary, {"Id": "1", "NetworkSettings": {"Networks": networks}})
    assert msgspec.json.decode(found.network_settings.networks) == networks


def test_nested_structs_are_filled_and_unknown_fields_dropped() -> None:
    body: dict[str, Any] = {"Id": "1", "Name": "/a", "State": {"Status": "exited", "Health": None, "Extra": 1}}
    body["NetworkSettings"] = {"Networks": {"bridge": {"IPAddress": "10.0.0.2", "Links": None}}, "Ports": None}
    found = fit(t.Container, body)
    assert (found.state.status, found.state.exit_code, found.state.health) == ("exited", 0, msgspec.UNSET)
    endpoint = found.network_settings.networks["bridge"]
    assert (endpoint.ip_address, endpoint.links, endpoint.mac_address) == ("10.0.0.2", None, "")
    assert (found.network_settings.ports, found.mounts, found.exec_ids) == ({}, [], None)


def test_ports_with_and_without_bindings() -> None:
    ports = {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "81/tcp": None}
    found = fit(t.NetworkSettings, {"Ports": ports})
    assert found.ports == {"80/tcp": [t.PortBinding(host_ip="0.0.0.0", host_port="8080")], "81/tcp": None}


def test_null_lists_are_empty() -> None:
    assert fit(list[t.Volume], None) == []
    assert fit(list[t.Change], None) == []


def test_what_is_something_else_altogether_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        fit(list[t.Volume], {"message": "no"})
