"""Durations and RUN --mount options."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.images.dockerfile import DockerfileError
from sandbox.images.dockerfile.durations import format_duration, parse_duration
from sandbox.images.dockerfile.instructions import RunMount
from sandbox.images.dockerfile.mounts import parse_mount


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [("0", 0), ("1h30m", 5400 * 10**9), ("1.5s", 15 * 10**8), (".5ms", 500_000), ("3us4ns", 3004), ("-2s", -2 * 10**9)],
)
def test_durations(text: str, nanoseconds: int) -> None:
    assert parse_duration(text) == nanoseconds


@pytest.mark.parametrize(
    ("text", "said"),
    [("5", 'missing unit in duration "5"'), ("", 'invalid duration ""'), ("1x", 'invalid duration "1x"')],
)
def test_wrong_durations(text: str, said: str) -> None:
    with pytest.raises(DockerfileError, match=said):
        parse_duration(text)


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [(0, "0s"), (1, "1ns"), (1500, "1.5µs"), (2_000_000, "2ms"), (30 * 10**9, "30s"), (90 * 10**9, "1m30s"),
     (3600 * 10**9, "1h0m0s"), (3661_500_000_000, "1h1m1.5s"), (-10**9, "-1s")],
)  # fmt: skip
def test_durations_as_go_prints_them(nanoseconds: int, text: str) -> None:
    assert format_duration(nanoseconds) == text


@given(st.integers(-(2**62), 2**62))
def test_a_printed_duration_reads_as_itself(nanoseconds: int) -> None:
    assert parse_duration(format_duration(nanoseconds)) == nanoseconds


@pytest.mark.parametrize(
    ("text", "mount"),
    [
        ("target=/a", RunMount("bind", "/a", read_only=True)),
        ("type=bind,src=b,dst=/a,rw,from=x", RunMount("bind", "/a", "b", "x")),
        (
            "type=cache,target=/a,id=i,sharing=locked,mode=0700,uid=1,gid=2",
            RunMount("cache", "/a", identity="i", sharing="locked", mode=0o700, uid=1, gid=2),
        ),
        ("type=tmpfs,target=/a,size=2m", RunMount("tmpfs", "/a", size=2 << 20)),
        ("type=secret,id=s,required,env=X", RunMount("secret", identity="s", required=True, variable="X")),
        ('"target=/a,b",ro=false', RunMount("bind", "/a,b", read_only=False)),
    ],
)
def test_mounts(text: str, mount: RunMount) -> None:
    assert parse_mount(text) == mount


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("type=cache", "target is required"),
        ("type=foo", 'unsupported mount type "foo"'),
        ("type=cache,target=/a,sharing=x", 'unsupported sharing value "x"'),
        ("target=/a,size=1", "unexpected key 'size' for mount type 'bind'"),
        ("target=/a,foo=1", "unexpected key 'foo' in 'foo=1'"),
        ("target=/a,foo", "invalid field 'foo' must be a key=value pair"),
        ("type=cache,target=/a,mode=9", "invalid value 9 for mode"),
    ],
)
def test_wrong_mounts(text: str, said: str) -> None:
    with pytest.raises(DockerfileError) as failure:
        parse_mount(text)
    assert str(failure.value) == said
