"""Merge rules, mounts, users, links: the pure parts of creating a container."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from backends.api.errors import EngineError, InvalidArgument
from backends.core import hostconfig, mounts
from backends.core.config import merge
from backends.core.hostconfig import MountRequest
from backends.core.links import link_env, parse_link
from backends.core.records import MountRecord
from backends.core.signals import parse_signal
from backends.core.users import resolve_user

IMAGE = {
    "Env": ["PATH=/bin", "A=image"], "Cmd": ["serve"], "Entrypoint": ["/entry"], "WorkingDir": "/srv", "User": "www",
}  # fmt: skip


@pytest.mark.parametrize(
    ("user", "entrypoint", "cmd"),
    [
        ({}, ["/entry"], ["serve"]),
        ({"Cmd": ["x"]}, ["/entry"], ["x"]),
        ({"Cmd": "x"}, ["/entry"], ["x"]),
        ({"Entrypoint": ["/mine"]}, ["/mine"], None),
        ({"Entrypoint": "/mine", "Cmd": ["y"]}, ["/mine"], ["y"]),
        ({"Entrypoint": [""], "Cmd": ["y"]}, None, ["y"]),
        ({"Entrypoint": []}, [], ["serve"]),
        ({"Entrypoint": None, "Cmd": None}, ["/entry"], ["serve"]),
    ],
)
def test_entrypoint_and_cmd(user: dict[str, object], entrypoint: object, cmd: object) -> None:
    found = merge(user, IMAGE)
    assert (found["Entrypoint"], found["Cmd"]) == (entrypoint, cmd)


def test_environment_is_merged_by_name_the_user_first() -> None:
    assert merge({"Env": ["A=mine", "B=2"], "Cmd": ["x"]}, IMAGE)["Env"] == ["A=mine", "B=2", "PATH=/bin"]


def test_the_rest_of_the_merge() -> None:
    image = {
        **IMAGE,
        "Labels": {"a": "1", "b": "1"},
        "ExposedPorts": {"80/tcp": {}},
        "Volumes": {"/data": {}},
        "StopSignal": "INT",
        "Healthcheck": {"Test": ["CMD", "ok"], "Interval": 5_000_000_000, "Retries": 4},
    }
    user = {
        "Labels": {"b": "2"},
        "ExposedPorts": {"81/udp": {}},
        "Healthcheck": {"Interval": 1_000_000_000},
        "Unknown": {"kept": True},
        "WorkingDir": "/a//b/../c",
    }
    found = merge(user, image)
    assert found["Labels"] == {"a": "1", "b": "2"}
    assert found["ExposedPorts"] == {"80/tcp": {}, "81/udp": {}}
    assert found["Volumes"] == {"/data": {}}
    assert (found["StopSignal"], found["User"], found["WorkingDir"]) == ("INT", "www", "/a/c")
    assert found["Healthcheck"] == {"Test": ["CMD", "ok"], "Interval": 1_000_000_000, "Retries": 4}
    assert found["Unknown"] == {"kept": True}


def test_no_command() -> None:
    with pytest.raises(InvalidArgument, match=r"^no command specified$"):
        merge({}, {})


def test_host_config_defaults_are_those_docker_shows() -> None:
    found = hostconfig.complete({"Memory": 64 << 20, "Odd": 1, "NetworkMode": "default", "Dns": None}, "memory")
    assert (found["MemorySwap"], found["Odd"]) == (128 << 20, 1)
    assert (found["NetworkMode"], found["Runtime"]) == ("bridge", "memory")
    assert found["RestartPolicy"] == {"Name": "no", "MaximumRetryCount": 0}
    assert found["LogConfig"] == {"Type": "json-file", "Config": {}}
    assert found["ShmSize"] == 67108864
    assert hostconfig.complete({"PidsLimit": -5}, "memory")["PidsLimit"] is None
    ports: dict[str, Any] = {"80/tcp": [{"HostPort": "8080"}], "81/tcp": [{}], "82/tcp": None, "83/tcp": []}
    assert hostconfig.complete({"PortBindings": ports}, "memory")["PortBindings"] == {
        "80/tcp": [{"HostIp": "", "HostPort": "8080"}], "81/tcp": [{"HostIp": "", "HostPort": ""}],
        "82/tcp": None, "83/tcp": [],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("spec", "kind", "source", "destination", "read_only", "mode"),
    [
        ("gv:/data", "volume", "", "/data", False, "z"),
        ("/tmp:/ht:ro", "bind", "/tmp", "/ht", True, "ro"),
        ("/a/../b:/c/", "bind", "/b", "/c", False, ""),
        ("/anon", "volume", "", "/anon", False, ""),
        ("vv:/x:nocopy,ro", "volume", "", "/x", True, "nocopy,ro"),
    ],
)
def test_binds(spec: str, kind: str, source: str, destination: str, read_only: bool, mode: str) -> None:
    found = mounts.parse_bind(spec)
    assert (found.kind, found.source, found.destination, found.read_only, found.mode) == (
        kind, source, destination, read_only, mode,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            "/a:b",
            "invalid volume specification: '/a:b': invalid mount config for type \"bind\": "
            "invalid mount path: 'b' mount path must be absolute",
        ),
        ("/a:/b:bad", "invalid volume specification: '/a:/b:bad': invalid mode: bad"),
        ("/a:/b:ro,rw", "invalid volume specification: '/a:/b:ro,rw': invalid mode: ro,rw"),
        ("/a::ro", "invalid volume specification: '/a::ro'"),
    ],
)
def test_bad_binds(spec: str, message: str) -> None:
    with pytest.raises(EngineError) as refused:
        mounts.parse_bind(spec)
    assert refused.value.message == message


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (
            MountRequest(type="bind", target="/a"),
            'invalid mount config for type "bind": field Source must not be empty',
        ),
        (
            MountRequest(type="bind", source="/nosuchdir", target="/a"),
            'invalid mount config for type "bind": bind source path does not exist: /nosuchdir',
        ),
        (MountRequest(type="foo", target="/a"), 'invalid mount config for type "foo": mount type unknown'),
        (MountRequest(type="volume"), 'invalid mount config for type "volume": field Target must not be empty'),
    ],
)
def test_bad_mounts(request_: MountRequest, message: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        mounts.parse_mount(request_)
    assert refused.value.message == message


def test_plan_orders_parents_first_and_inherits(tmp_path: Path) -> None:
    other = [MountRecord(kind="volume", destination="/shared", volume="sv")]
    other.append(MountRecord(kind="tmpfs", destination="/t"))
    host = hostconfig.HostConfig(
        binds=["vv:/a/b", f"{tmp_path}:/a"], volumes_from=["other:ro"], tmpfs={"/run": "size=1m,mode=755,uid=7,gid=8"}
    )
    found = mounts.plan(host, ["/a", "/image"], lambda name: {"other": other}[name])
    assert [(m.destination, m.kind, m.volume, m.read_only) for m in found] == [
        ("/shared", "volume", "sv", True), ("/a", "bind", "", False), ("/run", "tmpfs", "", False),
        ("/image", "volume", "", False), ("/a/b", "volume", "vv", False),
    ]  # fmt: skip
    assert (found[2].size, found[2].permissions, found[2].listed) == (1 << 20, 0o755, False)
    assert (found[2].uid, found[2].gid) == (7, 8)


def test_duplicate_mount_point() -> None:
    host = hostconfig.HostConfig(binds=["vv:/a"], mounts=[MountRequest(type="volume", source="ww", target="/a")])
    with pytest.raises(InvalidArgument, match=r"^Duplicate mount point: /a$"):
        mounts.plan(host, [], lambda _: [])


PASSWD = b"root:x:0:0:root:/root:/bin/sh\nann:x:1000:100::/home/ann:/bin/sh\n"
GROUP = b"root:x:0:\nusers:x:100:\nwheel:x:10:bob,ann\n"


@pytest.mark.parametrize(
    ("text", "uid", "gid", "groups", "home"),
    [
        ("", 0, 0, (0,), "/root"),
        ("ann", 1000, 100, (100, 10), "/home/ann"),
        ("1000", 1000, 100, (100, 10), "/home/ann"),
        ("ann:wheel", 1000, 10, (10,), "/home/ann"),
        ("5:6", 5, 6, (6,), "/"),
        ("77", 77, 0, (0,), "/"),
    ],
)
def test_users(text: str, uid: int, gid: int, groups: tuple[int, ...], home: str) -> None:
    found = resolve_user(text, PASSWD, GROUP)
    assert (found.credentials.uid, found.credentials.gid, found.credentials.groups) == (uid, gid, groups)
    assert found.home == home


def test_unknown_users() -> None:
    with pytest.raises(InvalidArgument, match=r"^unable to find user nosuch: no matching entries in passwd file$"):
        resolve_user("nosuch", PASSWD, GROUP)
    with pytest.raises(InvalidArgument, match=r"^unable to find group nosuch: no matching entries in group file$"):
        resolve_user("ann:nosuch", PASSWD, GROUP)


def test_no_passwd_file_at_all() -> None:
    assert resolve_user("", b"", b"").home == "/root"


def test_links() -> None:
    assert parse_link("db") == ("db", "db")
    assert parse_link("/db:/web/database") == ("db", "database")
    assert link_env("web", "db", "172.17.0.2", ["80/tcp"], ["A=1", "PATH=/bin"]) == [
        "DB_PORT=tcp://172.17.0.2:80", "DB_PORT_80_TCP=tcp://172.17.0.2:80", "DB_PORT_80_TCP_ADDR=172.17.0.2",
        "DB_PORT_80_TCP_PORT=80", "DB_PORT_80_TCP_PROTO=tcp", "DB_NAME=/web/db", "DB_ENV_A=1",
    ]  # fmt: skip


@pytest.mark.parametrize(("text", "number"), [("KILL", 9), ("sigterm", 15), ("15", 15), ("RTMIN+3", 37), ("SIGIO", 29)])
def test_signals(text: str, number: int) -> None:
    assert parse_signal(text) == number


@pytest.mark.parametrize("text", ["FOO", "0", "65", "-1", ""])
def test_bad_signals(text: str) -> None:
    with pytest.raises(InvalidArgument, match=f"^invalid signal: {text}$"):
        parse_signal(text)
