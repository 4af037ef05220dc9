"""Docker's request syntax: versions, queries, filters, times, detach keys, credentials, paths."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontend.wire import query
from frontend.wire.auth import parse_registry_auth
from frontend.wire.detach import DEFAULT, parse_detach_keys
from frontend.wire.errors import BadRequest, TooOld
from frontend.wire.filters import parse_filters
from frontend.wire.imagepaths import split_image_path
from frontend.wire.timestamps import log_time, point_in_time
from frontend.wire.versions import NEWEST, Version, split_version

NOW = 1_700_000_000 * 10**9


def refusal(call: object, *arguments: object) -> str:
    with pytest.raises(BadRequest) as error:
        call(*arguments)  # type: ignore[operator]
    return error.value.message


# -- versions


@pytest.mark.parametrize(
    ("path", "version", "rest"),
    [
        ("/info", NEWEST, "/info"),
        ("/v1.24/info", Version(1, 24), "/info"),
        ("/v1.51/a/v1.2/b", NEWEST, "/a/v1.2/b"),
        ("/volumes", NEWEST, "/volumes"),
        ("/v1.44", NEWEST, "/v1.44"),
        ("/v1.x/info", NEWEST, "/v1.x/info"),
    ],
)
def test_versions(path: str, version: Version, rest: str) -> None:
    assert split_version(path) == (version, rest)


def test_versions_that_are_not_served() -> None:
    assert refusal(split_version, "/v1.52/x") == (
        "client version 1.52 is too new. Maximum supported API version is 1.51"
    )
    assert refusal(split_version, "/v2/x") == "client version 2 is too new. Maximum supported API version is 1.51"
    assert refusal(split_version, "/v1..4/x") == "invalid version format: 1..4"
    with pytest.raises(TooOld):
        split_version("/v1.23/x")
    with pytest.raises(TooOld):
        split_version("/v1/x")


# -- values


@pytest.mark.parametrize("text", [None, "", "0", "no", "False", "NONE", " false "])
def test_false(text: str | None) -> None:
    assert not query.boolean(text)


@pytest.mark.parametrize("text", ["1", "True", "true", "yes", "2", "off"])
def test_true(text: str) -> None:
    assert query.boolean(text)


def test_integers() -> None:
    assert (query.integer("-1"), query.integer("+10"), query.integer("007")) == (-1, 10, 7)
    for text in ("x", "", "1.5", "1_000", "٣", " 1"):
        assert refusal(query.integer, text) == f'strconv.Atoi: parsing "{text}": invalid syntax'
    assert refusal(query.integer, str(1 << 63)) == f'strconv.Atoi: parsing "{1 << 63}": value out of range'


def test_dimensions() -> None:
    assert query.dimension("height", "24") == 24
    assert refusal(query.dimension, "width", "-1") == 'invalid resize width "-1": invalid syntax'
    assert refusal(query.dimension, "width", str(1 << 32)) == f'invalid resize width "{1 << 32}": value out of range'


@pytest.mark.parametrize(("text", "lines"), [(None, -1), ("all", -1), ("-5", -1), ("0", 0), ("10", 10), ("x", -1)])
def test_tail(text: str | None, lines: int) -> None:
    assert query.tail(text) == lines


# -- filters

KEYS = st.sampled_from(["label", "name", "id", "ancestor", "network", "volume"])
VALUES = st.lists(st.text(), unique=True)


@given(st.dictionaries(KEYS, VALUES))
def test_both_encodings_of_filters_mean_the_same(filters: dict[str, list[str]]) -> None:
    go = {key: dict.fromkeys(values, True) for key, values in filters.items()}
    assert parse_filters(json.dumps(filters), "containers") == filters
    assert parse_filters(json.dumps(go), "containers") == filters


@given(st.text())
def test_any_text_is_filters_or_refused(text: str) -> None:
    try:
        assert isinstance(parse_filters(text, "events"), dict)
    except BadRequest as error:
        assert error.message == "invalid filter"


@pytest.mark.parametrize(
    ("endpoint", "text", "message"),
    [
        ("containers", '{"foo":{"a":true}}', "invalid filter 'foo'"),
        ("volumes", '{"until":["1"]}', "invalid filter 'until'"),
        ("containers", "[1]", "invalid filter"),
        ("containers", '{"label":"a"}', "invalid filter"),
        (
            "containers",
            '{"status":["x"]}',
            "invalid filter 'status=x': invalid value for state (x): must be one of created, running, paused, "
            "restarting, removing, exited, dead",
        ),
        ("images", '{"dangling":["maybe"]}', "invalid filter 'dangling=maybe'"),
        ("images", '{"dangling":["1","0"]}', "invalid filter 'dangling=1'"),
        ("containers/prune", '{"until":["1","2"]}', "more than one until filter specified"),
    ],
)
def test_filters_that_are_refused(endpoint: str, text: str, message: str) -> None:
    assert refusal(parse_filters, text, endpoint) == message


def test_filters_in_one_form() -> None:
    assert parse_filters('{"dangling":{"1":true}}', "images") == {"dangling": ["true"]}
    assert parse_filters(
        '{"until":["2023-11-14T22:13:20.5Z"],"label!":["a"]}', "volumes/prune".replace("volumes", "networks")
    ) == {"until": ["1700000000.500000000"], "label!": ["a"]}
    assert parse_filters('{"anything":["x"]}', "events") == {"anything": ["x"]}
    assert parse_filters(None, "containers") == parse_filters("", "containers") == {}


# -- times


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("1", 10**9),
        ("1.5", 1_500_000_000),
        ("1.000000001", 1_000_000_001),
        ("1.1234567899", 1_123_456_789),
        ("10m", NOW - 600 * 10**9),
        ("1h30m0.5s", NOW - 5400 * 10**9 - 500_000_000),
        ("1970-01-01T00:00:01.000000002Z", 1_000_000_002),
        ("1970-01-01T01:00:01+01:00", 10**9),
        ("1970-01-02", 86400 * 10**9),
        ("1970-01-01T00:01", 60 * 10**9),
    ],
)
def test_moments(text: str, moment: int) -> None:
    assert point_in_time(text, NOW) == moment


@given(st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)))
def test_rfc3339_round_trip(moment: datetime) -> None:
    aware = moment.replace(tzinfo=UTC)
    expected = (aware - datetime(1970, 1, 1, tzinfo=UTC)) // (aware.resolution) * 1000
    assert point_in_time(aware.isoformat().replace("+00:00", "Z"), NOW) == expected


@given(st.text(max_size=30))
def test_any_text_is_a_moment_or_refused(text: str) -> None:
    try:
        assert isinstance(point_in_time(text, NOW), int)
    except BadRequest as error:
        assert error.message.startswith('invalid timestamp "')


def test_unset_and_before_the_epoch() -> None:
    assert log_time("since", None, NOW) == log_time("since", "0", NOW) == 0
    assert log_time("since", "0001-01-01T00:00:00Z", NOW) == 0
    assert refusal(log_time, "until", "2023-13-01", NOW).startswith(
        "invalid value for 'until': invalid timestamp \"2023-13-01\": "
    )


# -- detach keys


def test_detach_keys() -> None:
    assert parse_detach_keys("") == DEFAULT == parse_detach_keys("ctrl-p,ctrl-q")
    assert parse_detach_keys("a,ctrl-@,ctrl-[,ctrl-_,~") == b"a\x00\x1b\x1f~"
    for text in ("ctrl-??", "ctrl-", "ab", "ctrl-p,", "é", "ctrl-A"):
        assert refusal(parse_detach_keys, text) == f"Invalid detach keys ({text}) provided"


# -- credentials and paths


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("padding", [True, False])
def test_credentials(encode: object, padding: bool) -> None:
    data = encode(b'{"username":"a","password":"\xc3\xbf?>~"}').decode()  # type: ignore[operator]
    assert parse_registry_auth(data if padding else data.rstrip("=")) == {"username": "a", "password": "ÿ?>~"}


@given(st.text())
def test_what_is_no_credentials_counts_as_none(text: str) -> None:
    assert isinstance(parse_registry_auth(text), dict)


def test_no_credentials() -> None:
    assert parse_registry_auth(None) == parse_registry_auth("e30=") == parse_registry_auth("????") == {}


def test_image_paths() -> None:
    assert split_image_path("GET", "a/b:1/json") == ("a/b:1", "json")
    assert split_image_path("GET", "json/json") == ("json", "json")
    assert split_image_path("POST", "a/json") is None
    assert split_image_path("GET", "json") is None
    assert split_image_path("GET", "/json") is None
