"""What a create request is refused for: Docker's statuses and words (facts: Appendix A)."""

from __future__ import annotations

from typing import Any

import pytest

from backends.api import types as t
from backends.api.errors import EngineError, InvalidArgument
from backends.core.engine import CoreEngine
from tests.backends.core.conftest import Shop

BB = {"Image": "busybox", "Cmd": ["true"]}
REFUSED: list[tuple[dict[str, Any], dict[str, Any], int, str]] = [
    ({}, {}, 400, "config cannot be empty in order to create a container"),
    ({"Image": "nosuch:1"}, {}, 404, "No such image: nosuch:1"),
    ({"Image": "UPPER case"}, {}, 400,
     "invalid reference format: repository name (library/UPPER case) must be lowercase"),
    ({**BB, "Env": ["=x"]}, {}, 400, "invalid environment variable: =x"),
    (BB, {"AutoRemove": True, "RestartPolicy": {"Name": "always"}}, 400,
     "can't create 'AutoRemove' container with restart policy"),
    (BB, {"RestartPolicy": {"Name": "foo"}}, 400,
     "invalid restart policy: unknown policy 'foo'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"),
    (BB, {"RestartPolicy": {"Name": "always", "MaximumRetryCount": 3}}, 400,
     "invalid restart policy: maximum retry count can only be used with 'on-failure'"),
    (BB, {"Binds": ["/a:b"]}, 500,
     "invalid volume specification: '/a:b': invalid mount config for type \"bind\": "
     "invalid mount path: 'b' mount path must be absolute"),
    (BB, {"Binds": ["va:/a", "vb:/a"]}, 400, "Duplicate mount point: /a"),
    ({**BB, "Healthcheck": {"Test": ["CMD", "x"], "Interval": 10}}, {}, 400,
     "Interval in Healthcheck cannot be less than 1ms"),
    (BB, {"Tmpfs": {"/t": "1m"}}, 400, 'invalid tmpfs option ["1m"]'),
    (BB, {"Tmpfs": {"/t": "rw,huge=never"}}, 400, 'invalid tmpfs option ["huge" "never"]'),
    (BB, {"Tmpfs": {"/": ""}}, 400, "invalid specification: destination can't be '/'"),
    (BB, {"Memory": 1024}, 400, "Minimum memory limit allowed is 6MB"),
    ({**BB, "WorkingDir": "rel"}, {}, 400, "the working directory 'rel' is invalid, it needs to be an absolute path"),
    (BB, {"Links": ["nosuch:x"]}, 400, "could not get container for nosuch: No such container: nosuch"),
    (BB, {"VolumesFrom": ["nosuch"]}, 400, "No such container: nosuch"),
    ({**BB, "StopSignal": "FOO"}, {}, 400, "invalid signal: FOO"),
    ({**BB, "Env": "x"}, {}, 400, "invalid JSON: Expected `array | null`, got `str` - at `$.Env`"),
    (BB, {"LogConfig": {"Type": "foo"}}, 400, 'error looking up logging plugin foo: plugin "foo" not found'),
    (BB, {"LogConfig": {"Type": "syslog"}}, 501, "log driver syslog is not supported: use json-file, local or none"),
    (BB, {"CapAdd": ["all", "CAP_CHOWN", "foo"]}, 400, 'invalid CapAdd: unknown capability: "CAP_FOO"'),
    (BB, {"SecurityOpt": ["no-new-privileges", "label=disable", "foo"]}, 400, 'invalid --security-opt 1: "foo"'),
    (BB, {"SecurityOpt": ["foo=bar"]}, 400, 'invalid --security-opt 2: "foo=bar"'),
    (BB, {"Isolation": "hyperv"}, 400, "invalid isolation (hyperv): linux only supports 'default'"),
    (BB, {"IpcMode": "foo"}, 400, "invalid IPC mode: foo"),
    (BB, {"IpcMode": "container:nosuch"}, 400, "No such container: nosuch"),
    (BB, {"PidMode": "private"}, 400, "invalid PID mode: private"),
    (BB, {"UTSMode": "container:x"}, 400, "invalid UTS mode: container:x"),
    ({**BB, "MacAddress": "zz"}, {}, 400, "invalid config for network bridge: invalid MAC address zz"),
    (BB, {"CpuShares": -1}, 400, "invalid CPU shares (-1): value must be a positive integer"),
    (BB, {"CgroupnsMode": "foo"}, 400, "invalid cgroup namespace mode: foo"),
    (BB, {"BlkioWeight": 5}, 400, "range of blkio weight is from 10 to 1000"),
    (BB, {"CpusetCpus": "a"}, 400, "Invalid value a for cpuset cpus: invalid format: a"),
    (BB, {"CpusetMems": "0,9"}, 400, "Requested memory nodes are not available - requested 0,9, available: 0"),
    (BB, {"VolumeDriver": "foo", "Binds": ["v1:/x"]}, 404,
     'create v1: error looking up volume plugin foo: plugin "foo" not found'),
    (BB, {"Mounts": [{"Type": "volume", "Source": "v1", "Target": "/t",
                      "VolumeOptions": {"DriverConfig": {"Name": "foo"}}}]}, 404,
     'create v1: error looking up volume plugin foo: plugin "foo" not found'),
    (BB, {"Mounts": [{"Type": "bind", "Source": "/etc", "Target": "/t", "VolumeOptions": {}}]}, 400,
     'VolumeOptions must not be specified on mount type "bind"'),
    (BB, {"Mounts": [{"Type": "bind", "Source": "/etc", "Target": "/t", "BindOptions": {"Propagation": "foo"}}]}, 400,
     'invalid mount config for type "bind": invalid propagation mode: foo'),
    (BB, {"ExtraHosts": ["x"]}, 400, 'bad format for add-host: "x"'),
    (BB, {"ExtraHosts": ["x:y"]}, 400, 'invalid IP address in add-host: "y"'),
    (BB, {"PortBindings": {"x": []}}, 400, 'invalid port specification: "x"'),
]  # fmt: skip


@pytest.mark.parametrize(("config", "host", "status", "message"), REFUSED)
async def test_refused(core: CoreEngine, config: t.Json, host: t.Json, status: int, message: str) -> None:
    with pytest.raises(EngineError) as refused:
        await core.create_container(t.CreateContainer(config=config, host_config=host))
    assert (refused.value.status, refused.value.message) == (status, message)
    assert await core.list_containers(True, 0, False, {}) == []
    assert await core.list_volumes({}) == []


@pytest.mark.parametrize("name", ["a/b", "a", "-x", "ab c", ".x"])
async def test_bad_names(core: CoreEngine, name: str) -> None:
    with pytest.raises(EngineError) as refused:
        await core.create_container(t.CreateContainer(name=name, config=BB))
    assert refused.value.message == f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"


async def test_name_in_use(core: CoreEngine, shop: Shop) -> None:
    found = await shop.create("true", name="pc")
    with pytest.raises(EngineError) as refused:
        await shop.create("true", name="/pc")
    assert (refused.value.status, refused.value.message) == (
        409,
        f'Conflict. The container name "/pc" is already in use by container "{found}". '
        "You have to remove (or rename) that container to be able to reuse that name.",
    )
    await core.remove_container("pc")
    await shop.create("true", name="pc")


@pytest.mark.parametrize(
    ("platform", "status", "message"),
    [
        ("foo/bar/baz/qux", 400, '"foo/bar/baz/qux": cannot parse platform specifier: invalid argument'),
        (
            "linux/s390x",
            404,
            "image with reference busybox was found but its platform (linux/amd64) "
            "does not match the specified platform (linux/s390x)",
        ),
    ],
)
async def test_platforms(core: CoreEngine, platform: str, status: int, message: str) -> None:
    with pytest.raises(EngineError) as refused:
        await core.create_container(t.CreateContainer(platform=platform, config=BB))
    assert (refused.value.status, refused.value.message) == (status, message)


async def test_what_has_no_effect_is_said(core: CoreEngine) -> None:
    found = await core.create_container(t.CreateContainer(config=BB, host_config={"Privileged": True, "CapAdd": []}))
    assert found.warnings == ["Privileged is accepted and has no effect: the local backend cannot apply it"]


async def test_names_ids_and_prefixes_resolve(core: CoreEngine, shop: Shop) -> None:
    found = await shop.create("true", name="one")
    for ref in (found, found[:12], found[:3], "one", "/one"):
        assert (await core.inspect_container(ref)).id == found
    generated = (await core.inspect_container(await shop.create("true"))).name
    assert generated.startswith("/")
    assert "_" in generated


async def test_defaults_are_echoed(core: CoreEngine, shop: Shop) -> None:
    found = await shop.create("echo", "a b", name="one", Labels={"mine": "1"}, host={"Odd": {"kept": 1}})
    shown = await core.inspect_container("one")
    assert (shown.path, shown.args, shown.name) == ("echo", ["a b"], "/one")
    assert shown.config["Hostname"] == found[:12]
    assert shown.config["Labels"] == {"base": "yes", "mine": "1"}
    assert shown.host_config["Odd"] == {"kept": 1}
    assert (shown.state.status, shown.state.started_at) == ("created", t.ZERO_TIME)
    assert list(shown.network_settings.networks) == ["bridge"]


async def test_a_mount_labels_the_volume_that_it_makes(core: CoreEngine, shop: Shop) -> None:
    await core.create_volume({"Name": "old", "Labels": {"a": "1"}})
    mounts = [
        {"Type": "volume", "Source": name, "Target": f"/{name}", "VolumeOptions": {"Labels": {"b": "2"}}}
        for name in ("old", "new")
    ]
    await shop.create("true", host={"Mounts": mounts})
    assert [(await core.inspect_volume(name)).labels for name in ("old", "new")] == [{"a": "1"}, {"b": "2"}]


async def test_a_container_without_network(core: CoreEngine, shop: Shop) -> None:
    found, code = await shop.run("true", NetworkDisabled=True, ExposedPorts={"80/tcp": {}})
    shown = await core.inspect_container(found)
    assert (code, shown.network_settings.networks, shown.config["NetworkDisabled"]) == (0, {}, True)


async def test_warnings_name_what_has_no_effect(core: CoreEngine) -> None:
    asked = {"Privileged": True, "IpcMode": "private", "PidMode": "host", "CgroupnsMode": "host", "CapAdd": []}
    created = await core.create_container(t.CreateContainer(config=BB, host_config=asked))
    words = "is accepted and has no effect: the local backend cannot apply it"
    assert created.warnings == [f"{field} {words}" for field in ("CgroupnsMode", "PidMode", "Privileged")]


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ({"Name": "nofiles", "Soft": 1, "Hard": 1}, "invalid ulimit type: nofiles"),
        ({"Name": "cpu", "Soft": 2, "Hard": 1}, "ulimit soft limit must be less than or equal to hard limit: 2 > 1"),
        ({"Name": "cpu", "Soft": -1, "Hard": 9}, "ulimit soft limit must be less than or equal to hard limit: -1 > 9"),
    ],
)
async def test_limits_that_cannot_be_are_refused(core: CoreEngine, limit: t.Json, message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        await core.create_container(t.CreateContainer(config=BB, host_config={"Ulimits": [limit]}))
    assert (caught.value.message, len(core.registry)) == (message, 0)
