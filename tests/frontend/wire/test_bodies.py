"""JSON bodies as Go's decoder takes them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontend.wire.bodies import CREATE_CONTAINER, CREATE_EXEC, CREATE_NETWORK, UPDATE_CONTAINER, parse_body
from frontend.wire.errors import BadRequest
from frontend.wire.shapes import Shape

JSON = "application/json"
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)
FIELDS = ["Image", "Cmd", "Env", "Tty", "Labels", "HostConfig", "NetworkingConfig", "Healthcheck", "StopTimeout"]


def parse(value: Any, shape: Shape = CREATE_CONTAINER) -> Any:
    return parse_body(json.dumps(value).encode(), JSON, shape)


def refused(value: Any, shape: Shape = CREATE_CONTAINER) -> str:
    with pytest.raises(BadRequest) as error:
        parse(value, shape)
    return error.value.message.removeprefix("invalid JSON: json: cannot unmarshal ")


def test_a_body_may_be_missing() -> None:
    assert parse_body(b"", None, CREATE_CONTAINER) is None
    assert parse_body(b"null", JSON, CREATE_CONTAINER) == {}
    with pytest.raises(BadRequest, match=r"^invalid JSON: got EOF while reading request body$"):
        parse_body(b" \n", JSON, CREATE_CONTAINER)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, ANY_JSON)))
def test_any_object_is_taken_or_refused_in_gos_words(body: dict[str, Any]) -> None:
    try:
        assert isinstance(parse(body), dict)
    except BadRequest as error:
        assert error.message.startswith("invalid JSON: json: cannot unmarshal ")


@given(st.binary(max_size=40))
def test_any_bytes_are_taken_or_refused(data: bytes) -> None:
    try:
        parse_body(data, JSON, CREATE_CONTAINER)
    except BadRequest as error:
        assert error.message.startswith(("invalid JSON: ", "unexpected content after JSON"))


def test_known_keys_get_dockers_case_at_every_level_and_data_stays() -> None:
    body = {
        "exposedports": {"80/TCP": {}},
        "labels": {"image": "x"},
        "hostconfig": {
            "portbindings": {"80/tcp": [{"hostip": "", "HOSTPORT": "1"}]},
            "mounts": [{"type": "volume", "volumeoptions": {"nocopy": True, "labels": {"cmd": "1"}}}],
            "ulimits": None,
        },
        "healthcheck": {"test": ["CMD", "x"], "interval": 5},
        "unknownthing": {"image": 1},
    }
    assert parse(body) == {
        "ExposedPorts": {"80/TCP": {}},
        "Labels": {"image": "x"},
        "HostConfig": {
            "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "1"}]},
            "Mounts": [{"Type": "volume", "VolumeOptions": {"NoCopy": True, "Labels": {"cmd": "1"}}}],
        },
        "Healthcheck": {"Test": ["CMD", "x"], "Interval": 5},
        "unknownthing": {"image": 1},
    }


def test_null_is_a_zero_value_wherever_it_stands() -> None:
    assert parse({"Cmd": None, "Tty": None, "Env": ["A=B", None], "Labels": {"a": None}, "Custom": None}) == {
        "Env": ["A=B", ""], "Labels": {"a": ""}, "Custom": None,
    }  # fmt: skip
    assert parse({"HostConfig": {"Mounts": [None], "ConsoleSize": [None, 5], "PortBindings": {"80/tcp": None}}}) == {
        "HostConfig": {"Mounts": [{}], "ConsoleSize": [0, 5], "PortBindings": {"80/tcp": None}}
    }


@pytest.mark.parametrize(("sent", "read"), [([1], [1, 0]), ([1, 2, 3], [1, 2]), ([], [0, 0])])
def test_a_size_is_two_numbers(sent: list[int], read: list[int]) -> None:
    assert parse({"HostConfig": {"ConsoleSize": sent}}) == {"HostConfig": {"ConsoleSize": read}}


def test_of_ports_and_volumes_only_the_names_are_read() -> None:
    body = {"ExposedPorts": {"80/tcp": None, "81/tcp": {"a": 1}}, "Volumes": {"/v": None}}
    assert parse(body) == {"ExposedPorts": {"80/tcp": {}, "81/tcp": {}}, "Volumes": {"/v": {}}}


def test_a_command_may_be_one_string() -> None:
    assert parse({"Cmd": "a b", "Entrypoint": [""]}) == {"Cmd": ["a b"], "Entrypoint": [""]}


@pytest.mark.parametrize(
    ("body", "shape", "message"),
    [
        ({"Tty": 1}, CREATE_CONTAINER, "number into Go struct field CreateRequest.Tty of type bool"),
        ({"Env": "A=b"}, CREATE_CONTAINER, "string into Go struct field CreateRequest.Env of type []"),
        ({"Labels": {"a": 1}}, CREATE_CONTAINER, "number into Go struct field CreateRequest.Labels of type string"),
        (
            {"HostConfig": {"Memory": 1.5}},
            CREATE_CONTAINER,
            "number into Go struct field CreateRequest.HostConfig.Memory of type int64",
        ),
        (
            {"HostConfig": []},
            CREATE_CONTAINER,
            "array into Go struct field CreateRequest.HostConfig of type HostConfig",
        ),
        (
            {"ExposedPorts": ["80"]},
            CREATE_CONTAINER,
            "array into Go struct field CreateRequest.ExposedPorts of type map",
        ),
        (
            {"Volumes": {"/v": 1}},
            CREATE_CONTAINER,
            "number into Go struct field CreateRequest.Volumes of type struct {}",
        ),
        (
            {"HostConfig": {"ConsoleSize": [-1, 2]}},
            CREATE_CONTAINER,
            "number into Go struct field CreateRequest.HostConfig.ConsoleSize of type uint32",
        ),
        (
            {"HostConfig": {"ConsoleSize": {}}},
            CREATE_CONTAINER,
            "object into Go struct field CreateRequest.HostConfig.ConsoleSize of type [2]uint",
        ),
        (
            {"BlkioWeightDevice": "x"},
            UPDATE_CONTAINER,
            "string into Go struct field UpdateConfig.BlkioWeightDevice of type []",
        ),
        (
            {"BlkioWeightDevice": [{"Path": "/x", "Weight": 70000}]},
            UPDATE_CONTAINER,
            "number into Go struct field UpdateConfig.BlkioWeightDevice.Weight of type uint16",
        ),
        (
            {"BlkioDeviceReadBps": [{"Path": "/x", "Rate": -1}]},
            UPDATE_CONTAINER,
            "number into Go struct field UpdateConfig.BlkioDeviceReadBps.Rate of type uint64",
        ),
        (
            {"DeviceRequests": [{"Count": "1"}]},
            UPDATE_CONTAINER,
            "string into Go struct field UpdateConfig.DeviceRequests.Count of type int64",
        ),
        (
            {"IPAM": {"Config": [{"AuxiliaryAddresses": [1]}]}},
            CREATE_NETWORK,
            "array into Go struct field CreateRequest.IPAM.Config.AuxiliaryAddresses of type map",
        ),
        ({"Memory": True}, UPDATE_CONTAINER, "bool into Go struct field UpdateConfig.Memory of type int64"),
        ({"Cmd": {"a": 1}}, CREATE_EXEC, "object into Go struct field ExecOptions.Cmd of type []"),
        ({"IPAM": {"Config": {}}}, CREATE_NETWORK, "object into Go struct field CreateRequest.IPAM.Config of type []"),
    ],
)
def test_wrong_types(body: Any, shape: Shape, message: str) -> None:
    assert refused(body, shape) == message


def test_a_body_that_is_no_object() -> None:
    values: list[Any] = [[], 1, "x", True]
    for value in values:
        assert refused(value) == "value into Go value of type object"
