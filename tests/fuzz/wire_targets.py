"""What a client sends, as the frontend reads it."""

from __future__ import annotations

import json

import msgspec

from backends.api import types as t
from backends.api.framing import Deframer, frame
from backends.api.http import OPERATIONS
from frontend.docker.containers import check_endpoints, create_request
from frontend.docker.exec import exec_request
from frontend.wire import auth, bodies, detach, filters, imagepaths, query, timestamps, versions
from frontend.wire.errors import BadRequest
from frontend.wire.shapes import Shape
from tests.fuzz.target import Target, text

NOW = 1_800_000_000_000_000_000
INT64 = range(-(2**63), 2**63)
_ENDPOINTS = tuple(filters.ACCEPTED)
_SHAPES: tuple[Shape, ...] = (
    bodies.COMMIT,
    bodies.UPDATE_CONTAINER,
    bodies.START_EXEC,
    bodies.CREATE_NETWORK,
    bodies.CONNECT_NETWORK,
    bodies.DISCONNECT_NETWORK,
    bodies.CREATE_VOLUME,
    bodies.AUTH,
)


def version(data: bytes) -> None:
    found, rest = versions.split_version(text(data))
    assert versions.OLDEST <= found <= versions.NEWEST
    assert rest in text(data)


def numbers(data: bytes) -> None:
    word = text(data)
    query.boolean(word)
    assert -1 <= query.tail(word) < 2**63
    try:
        assert 0 <= query.dimension("height", word) < 2**32
    except BadRequest:
        pass
    assert query.integer(word) in INT64


def moment(data: bytes) -> None:
    found = timestamps.log_time("since", text(data), NOW)
    assert found in INT64
    assert found >= 0


def filter_map(data: bytes) -> None:
    """Both encodings mean the same."""
    endpoint = _ENDPOINTS[data[0] % len(_ENDPOINTS)] if data else "events"
    found = filters.parse_filters(text(data[1:]), endpoint)
    as_map = json.dumps({key: dict.fromkeys(values, True) for key, values in found.items()})
    as_list = json.dumps({key: list(dict.fromkeys(values)) for key, values in found.items()})
    if endpoint == "events":
        assert filters.parse_filters(as_map, endpoint) == filters.parse_filters(as_list, endpoint)
    msgspec.json.encode(found)


def detach_keys(data: bytes) -> None:
    assert detach.parse_detach_keys(text(data))


def registry_auth(data: bytes) -> None:
    msgspec.json.encode(auth.parse_registry_auth(data.decode("latin-1")))


def image_path(data: bytes) -> None:
    found = imagepaths.split_image_path("GET", text(data))
    assert found is None or "/".join(found) == text(data)


def body(data: bytes) -> None:
    for shape in _SHAPES:
        try:
            found = bodies.parse_body(data, "application/json", shape)
        except BadRequest:
            continue
        msgspec.json.encode(found)


def create_body(data: bytes) -> None:
    """What passes here can be sent to a worker, whose types are strict."""
    found = bodies.parse_body(data, "application/json", bodies.CREATE_CONTAINER)
    request = create_request(found or {}, "", "")
    check_endpoints(request, versions.OLDEST)
    sent, _ = OPERATIONS["create_container"].bind((request,), {})
    OPERATIONS["create_container"].values(sent)


def exec_body(data: bytes) -> None:
    request: t.CreateExec = exec_request(bodies.parse_body(data, "application/json", bodies.CREATE_EXEC) or {})
    sent, _ = OPERATIONS["create_exec"].bind(("ref", request), {})
    assert OPERATIONS["create_exec"].values(sent)["request"] == request


def framing(data: bytes) -> None:
    """A framed stream in pieces of any size gives what was framed; what is no frame is only held."""
    step = (data[0] if data else 0) % 7 + 1
    parts = [data[at : at + 5] for at in range(0, len(data), 5)]
    framed = b"".join(frame(1 + index % 2, part) for index, part in enumerate(parts))
    deframer = Deframer()
    found = [item for at in range(0, len(framed), step) for item in deframer.feed(framed[at : at + step])]
    assert found == [(1 + index % 2, part) for index, part in enumerate(parts)]
    assert deframer.pending == 0
    odd = Deframer()
    assert sum(8 + len(part) for _, part in odd.feed(data)) + odd.pending == len(data)


_JSON = (
    b'"',
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b"null",
    b"true",
    b"1",
    b"-1",
    b"1.5",
    b'""',
    b'"a"',
    b"[null]",
    b"{}",
)
_BODY_KEYS = (
    "Image Cmd Entrypoint Env Labels ExposedPorts HostConfig NetworkingConfig EndpointsConfig Binds Mounts Type Source "
    "Target PortBindings HostPort HostIp Memory RestartPolicy Name Tmpfs ConsoleSize Healthcheck Test Interval Ulimits "
    "IPAMConfig Config Subnet Driver Container EndpointConfig Aliases LogConfig Tty bridge 80/tcp"
)
_KEYS = tuple(f'"{key}":'.encode() for key in _BODY_KEYS.split())
_CREATE = (
    b'{"Image":"a","Cmd":["sh","-c","x"],"Env":["A=B"],"Labels":{"a":"b"},"ExposedPorts":{"80/tcp":{}},'
    b'"Healthcheck":{"Test":["CMD","x"],"Interval":1000000},"HostConfig":{"Binds":["/a:/b:ro"],"Memory":9999999,'
    b'"PortBindings":{"80/tcp":[{"HostIp":"","HostPort":"80"}]},"Mounts":[{"Type":"tmpfs","Target":"/x"}],'
    b'"RestartPolicy":{"Name":"no"},"Tmpfs":{"/t":"size=1m"},"ConsoleSize":[1,2],"Ulimits":[{"Name":"cpu","Soft":1,"Hard":1}]},'
    b'"NetworkingConfig":{"EndpointsConfig":{"n":{"Aliases":["a"],"IPAMConfig":{"IPv4Address":"10.0.0.1"}}}}}'
)
TARGETS = (
    Target("version", version, (BadRequest,), (b"/v1.41/info", b"/info"), (b"/v", b"1.", b".", b"51", b"/")),
    Target("numbers", numbers, (BadRequest,), (b"10", b"-1", b"+7"), (b"+", b"0x", b"1_0")),
    Target(
        "moment",
        moment,
        (BadRequest,),
        (b"1700000000.5", b"2026-01-02T03:04:05.6Z", b"1h30m", b"10s"),
        (b"h", b"m", b"s", b"ns", b"T", b"Z", b"+01:00", b"-", b":", b".", b"9999-12-31", b"0001-01-01"),
    ),
    Target(
        "filter_map",
        filter_map,
        (BadRequest,),
        (b'\0{"status":["running"]}', b'\x01{"until":["10m"]}', b'\x0b{"label":{"a=b":true}}', b'\2{"dangling":["1"]}'),
        (b'{"label":', b'{"until":', b'{"exited":', b'"}', b"]}", b'["', b'{"', b'":true}}', *_JSON),
    ),
    Target("detach_keys", detach_keys, (BadRequest,), (b"ctrl-p,ctrl-q", b"a,b"), (b"ctrl-", b",", b"^", b"@")),
    Target("registry_auth", registry_auth, (), (b"eyJ1c2VybmFtZSI6ImEifQ==", b"e30="), (b"W1tb", b"e30", b"=", b"-_")),
    Target("image_path", image_path, (), (b"a/b:c/json",), (b"/json", b"/get", b"/")),
    Target(
        "body",
        body,
        (BadRequest,),
        (b"{}", _CREATE, b'{"Name":"n","IPAM":{"Config":[{"Subnet":"10.0.0.0/8"}]}}'),
        (*_JSON, *_KEYS),
    ),
    Target("create_body", create_body, (BadRequest,), (_CREATE,), (*_JSON, *_KEYS)),
    Target(
        "exec_body",
        exec_body,
        (BadRequest,),
        (b'{"Cmd":["a"],"Env":["A=B"],"ConsoleSize":[1,2],"Tty":true}',),
        (*_JSON, b'"Cmd":', b'"Env":', b'"ConsoleSize":', b"[null,5]", b"[1,null]", b'{"Cmd":["a"],'),
    ),
    Target("framing", framing, (), (b"\1\0\0\0\0\0\0\1x",)),
)
