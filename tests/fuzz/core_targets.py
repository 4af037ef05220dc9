"""What a request says of a container, as the engine reads it."""

from __future__ import annotations

import msgspec

from backends.api.errors import EngineError
from backends.core import filters, hostconfig, links, mounts, names, top, users, validate
from backends.core.config import Config, merge, view
from backends.core.hostconfig import HostConfig
from backends.core.signals import parse_signal
from frontend.docker.containers import create_request
from frontend.wire import bodies
from frontend.wire.errors import BadRequest
from tests.fuzz.target import Target, text
from tests.fuzz.wire_targets import INT64, NOW
from tests.fuzz.wire_targets import TARGETS as WIRE

_IMAGE = {"Cmd": ["sh"], "Env": ["PATH=/bin"], "Volumes": {"/v": {}}, "Healthcheck": {"Test": ["NONE"]}}


def create(data: bytes) -> None:
    """A body that the frontend lets through is checked, completed and planned, or refused."""
    request = create_request(bodies.parse_body(data, "application/json", bodies.CREATE_CONTAINER) or {}, "", "")
    config, host = view(request.config, Config), view(request.host_config, HostConfig)  # type: ignore[arg-type]
    validate.check_config(config)
    validate.check_host_config(host, config)
    merged = merge(request.config, _IMAGE)  # type: ignore[arg-type]
    whole = hostconfig.complete(request.host_config, "memory")
    validate.warnings(whole, (), "memory")
    mounts.plan(view(whole, HostConfig), merged["Volumes"] or (), lambda name: [])
    msgspec.json.encode((merged, whole))


def port(data: bytes) -> None:
    number, protocol = validate.parse_port(text(data))
    assert 0 < number < 65536
    assert validate.parse_port(f"{number}/{protocol}") == (number, protocol)


def host_port(data: bytes) -> None:
    host = HostConfig(port_bindings={"80/tcp": [hostconfig.PortBinding(host_port=text(data))]})
    validate.check_host_config(host, Config())
    low, _, high = text(data).partition("-")
    assert len(range(int(low or 0), int(high or low or 0) + 1)) <= 65536


def bind(data: bytes) -> None:
    mount = mounts.parse_bind(text(data))
    assert mount.destination.startswith("/")
    assert "\0" not in mount.destination + mount.source


def tmpfs(data: bytes) -> None:
    mount = mounts.parse_tmpfs("/t", text(data))
    assert 0 <= mount.size < 2**63
    assert mount.permissions is None or 0 <= mount.permissions <= 0o7777


def signal(data: bytes) -> None:
    assert 1 <= parse_signal(text(data)) <= 64


def platform(data: bytes) -> None:
    validate.check_platform(text(data))


def user(data: bytes) -> None:
    """Both the name that is looked for and the files it is looked for in are the container's."""
    name, _, files = data.partition(b"\n")
    passwd, _, group = files.partition(b"\n\n")
    users.resolve_user(text(name), passwd, group, ["wheel"])


def time_filter(data: bytes) -> None:
    assert filters.parse_time(text(data), NOW) in INT64


def pattern(data: bytes) -> None:
    wanted, _, subject = text(data).partition("\n")
    filters.path_match(wanted).fullmatch(subject)
    filters.name_matches([wanted], subject)


def ps_arguments(data: bytes) -> None:
    top.table([], text(data), 0.0)


def link(data: bytes) -> None:
    name, alias = links.parse_link(text(data))
    links.link_env(name, alias, "10.0.0.1", ["80/tcp", "81/tcp"], ["A=B"])


def extra_host(data: bytes) -> None:
    validate.check_host_config(HostConfig(extra_hosts=[text(data)]), Config())


def container_name(data: bytes) -> None:
    names.check_name(text(data))


_CREATE = next(target for target in WIRE if target.name == "create_body")
_REFUSED = (EngineError,)
TARGETS = (
    Target("create", create, (BadRequest, EngineError), _CREATE.seeds, _CREATE.words),
    Target("port", port, _REFUSED, (b"80/tcp", b"53/udp"), (b"/tcp", b"/", b"65536")),
    Target("host_port", host_port, _REFUSED, (b"8000-8010", b"80"), (b"-", b"65535", b"65536", b"1000000000")),
    Target("bind", bind, _REFUSED, (b"/a:/b:ro,z", b"name:/b", b"/b"), (b":/", b":", b"ro", b"rw", b",", b"..", b"/")),
    Target("tmpfs", tmpfs, _REFUSED, (b"rw,noexec,size=64m,mode=1777",), (b"size=", b"mode=", b"k", b"g", b",", b"-")),
    Target("signal", signal, _REFUSED, (b"SIGTERM", b"9", b"RTMIN+3"), (b"SIG", b"RTMAX-")),
    Target("platform", platform, _REFUSED, (b"linux/amd64/v8", b"linux"), (b"/", b"linux", b"arm")),
    Target(
        "user",
        user,
        _REFUSED,
        (b"a:b\na:x:1:2::/h:/s\n\nb:x:3:a\nwheel:x:4:a",),
        (b"a:x:", b":", b"wheel:x:", b"\n\n", b"\n", b"root", b"wheel:x:1:a"),
    ),
    Target(
        "time_filter",
        time_filter,
        _REFUSED,
        (b"1700000000.5", b"1h2m3s", b"2026-01-02T03:04:05Z"),
        (b"h", b"m", b"s", b"T", b"Z", b"+23:59", b"9999-12-31", b"0001-01-01"),
    ),
    Target("pattern", pattern, _REFUSED, (b"a*[b-c]?\nabc",), (b"*", b"[", b"]", b"^", b"-", b"(", b")", b"+", b"|")),
    Target("ps_arguments", ps_arguments, _REFUSED, (b"-ef", b"aux", b"-o pid,args"), (b"-o", b"pid", b"=", b"'")),
    Target("link", link, _REFUSED, (b"a:b", b"/a:/b/c"), (b":", b"/")),
    Target("extra_host", extra_host, _REFUSED, (b"a:10.0.0.1", b"a=[::1]", b"a:host-gateway"), (b":", b"=", b"[")),
    Target("container_name", container_name, _REFUSED, (b"/a.b-c_d",), (b"/", b"\n")),
)
