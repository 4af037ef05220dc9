"""Log drivers and their options, in the words of the reference engine."""

from __future__ import annotations

import pytest

from backends.api import types as t
from backends.api.errors import EngineError, InvalidArgument, Unsupported
from backends.core.engine import CoreEngine
from backends.core.hostconfig import LogConfig
from backends.core.logoptions import Rotation, Subject, check, details, rotation
from tests.backends.core.conftest import Shop

SUBJECT = Subject(
    id="53b7ea4bbfba1ff5", name="det", image="busybox", image_id="sha256:0123456789abcdef",
    labels={"a b": "c=d", "z": "1", "k.x": "2"}, env={"FOO": "1 2", "BAR": "x"},
)  # fmt: skip


def config(kind: str, **options: str) -> LogConfig:
    return LogConfig(type=kind, config={key.replace("_", "-"): value for key, value in options.items()})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (config("nosuch"), 'error looking up logging plugin nosuch: plugin "nosuch" not found'),
        (config("json-file", foo="1"), "unknown log opt 'foo' for json-file log driver"),
        (config("", foo="1"), "unknown log opt 'foo' for json-file log driver"),
        (config("local", labels="x"), "unknown log opt 'labels' for log driver local"),
        (config("json-file", mode="foo"), "logger: logging mode not supported: foo"),
        (
            config("local", max_buffer_size="1m"),
            "logger: max-buffer-size option is only supported with 'mode=non-blocking'",
        ),
    ],
)
def test_refused_at_create(given: LogConfig, message: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        check(given)
    assert refused.value.message == message


def test_unsupported_drivers_and_tags() -> None:
    with pytest.raises(Unsupported, match=r"^log driver syslog is not supported: use json-file, local or none$"):
        check(config("syslog"))
    with pytest.raises(Unsupported, match=r"^the log tag {{.DaemonName}} is not supported: known are {{.ID}}"):
        check(config("json-file", tag="{{.DaemonName}}"))


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (None, Rotation(None, 1)),
        (config("none", foo="1"), Rotation(None, 1)),
        (config("json-file", max_file="3"), Rotation(None, 3)),
        (config("json-file", max_size="1k", max_file="3", compress="true", mode="non-blocking"), Rotation(1024, 3)),
        (config("json-file", max_size="1.5mb"), Rotation(3 << 19, 1)),
        (config("local"), Rotation(20 << 20, 5)),
        (config("local", max_size="7", max_file="1", compress="false"), Rotation(7, 1)),
    ],
)
def test_how_much_is_kept(given: LogConfig | None, kept: Rotation) -> None:
    if given is not None:
        check(given)
    assert rotation(given) == kept


@pytest.mark.parametrize(
    ("given", "status", "message"),
    [
        (config("json-file", max_size="abc"), 500, "invalid size: 'abc'"),
        (config("json-file", max_size="-1"), 500, "invalid size: '-1'"),
        (config("local", max_size="abc"), 400, "invalid value for max-size: abc: invalid size: 'abc'"),
        (config("json-file", max_file="x"), 500, 'strconv.Atoi: parsing "x": invalid syntax'),
        (config("json-file", max_file="0"), 500, "max-file cannot be less than 1"),
        (config("local", max_file="0"), 400, "compression cannot be enabled when max file count is 1"),
        (config("json-file", compress="x"), 500, 'strconv.ParseBool: parsing "x": invalid syntax'),
        (
            config("json-file", compress="true"),
            500,
            "compress cannot be true when max-file is less than 2 or max-size is not set",
        ),
    ],
)
async def test_refused_at_start(shop: Shop, given: LogConfig, status: int, message: str) -> None:
    host = {"LogConfig": {"Type": given.type, "Config": given.config}}
    found = await shop.create("true", host=host)
    with pytest.raises(EngineError) as refused:
        await shop.engine.start_container(found)
    assert (
        refused.value.message == f"failed to create task for container: failed to initialize logging driver: {message}"
    )
    assert (await shop.engine.inspect_container(found)).state.status == "created"
    with pytest.raises(EngineError) as refused:
        await shop.logs(found)
    assert (refused.value.status, refused.value.message) == (status, message)


def test_details() -> None:
    options = {
        "labels": "z,a b,none",
        "env": "FOO",
        "labels-regex": "^k",
        "env-regex": "^BA",
        "tag": "{{.Name}}/{{ .ID }}",
    }
    found = details(LogConfig(type="json-file", config=options), SUBJECT)
    assert found == "BAR=x,FOO=1+2,a+b=c%3Dd,k.x=2,tag=det%2F53b7ea4bbfba,z=1"
    assert details(None, SUBJECT) == ""


async def test_logs_with_a_limit(shop: Shop) -> None:
    host = {"LogConfig": {"Type": "local", "Config": {"max-size": "2k", "max-file": "3"}}}
    found, code = await shop.run("sh", "-c", "for i in $(seq 1 2000); do echo line $i; done", host=host, Tty=True)
    assert code == 0
    shown = (await shop.logs(found)).split()[1::2]
    assert shown == [b"%d" % number for number in range(2001 - len(shown), 2001)]
    assert 140 < len(shown) < 800
    assert (await shop.logs(found, tail=3)).split()[1::2] == [b"1998", b"1999", b"2000"]


async def test_log_path_is_that_of_json_file_only(shop: Shop, core: CoreEngine) -> None:
    for kind, told in (("json-file", True), ("local", False), ("none", False)):
        found = await shop.create("true", host={"LogConfig": {"Type": kind}})
        assert (await core.inspect_container(found)).log_path == "", "not before its first start"
        await core.start_container(found)
        shown: t.Container = await core.inspect_container(found)
        assert bool(shown.log_path) == told
