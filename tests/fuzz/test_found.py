"""Inputs that once were answered by a crash, by minutes of work or by nonsense: each is refused."""

from __future__ import annotations

import pytest

from tests.fuzz.targets import TARGETS

DIGITS = b"9" * 5000
FOUND = (
    ("version", b"/v1." + DIGITS + b"/info"),
    ("numbers", DIGITS),
    ("moment", DIGITS),
    ("moment", DIGITS + b"h"),
    ("time_filter", DIGITS),
    ("port", DIGITS),
    ("host_port", DIGITS),
    ("host_port", b"80-1"),
    ("signal", DIGITS),
    ("bind", b"/a:/b\0"),
    ("tmpfs", b"size=" + DIGITS),
    ("tmpfs", b"size=9999999999999999999g"),
    ("tmpfs", b"mode=-1"),
    ("user", b"a:" + DIGITS + b"\na:x:1:2::/h:/s\n\n"),
    ("user", b"a\na:x:not:numbers::/h:/s\n\n"),
    ("pattern", b"(a+)+$\n" + b"a" * 60 + b"b"),
    ("changes", b"ONBUILD " * 2000),
    ("dockerfile", b"FROM a\n" + b"ONBUILD " * 2000),
    ("dockerfile", b"FROM a\nHEALTHCHECK --retries=" + DIGITS + b" CMD x"),
    ("expansion", b"${A:-" * 2000),
    ("run_mount", b'type=bind,target="a\nb"x,"' + b"c" * 200_000),
    ("run_mount", b"type=tmpfs,target=/x,size=" + DIGITS),
    ("run_mount", b"type=cache,target=/x,uid=-1"),
    ("duration", DIGITS + b"h"),
    ("manifest", b'{"a":"\xff"}'),
    ("image_config", b'{"a":"\xff"}'),
    ("credentials", '{"auth":"ä"}'.encode()),
)


@pytest.mark.parametrize(
    ("name", "data"), FOUND, ids=lambda value: value if isinstance(value, str) else repr(value[:30])
)
def test_what_was_found_is_refused(name: str, data: bytes) -> None:
    assert not TARGETS[name].feed(data)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("refusal", b'\xff\xfe|Bearer realm="\xff"\n{'),
        ("refusal", b"No\n" + b'{"a":' * 5000),
        ("registry_auth", b"W1tb" * 5000),
        ("moment", b"9999-12-31"),
        ("exec_body", b'{"Cmd":["a"],"ConsoleSize":[null,5]}'),
        ("create_body", b'{"Image":"a","Env":[null],"Tty":null}'),
        ("dockerfile", b'FROM a\nCMD ["\\ud800"]'),
        ("name", b"docker.io/localhost/a"),
        ("user", "0\na:x:1:2::/h:/s\n\nb:x:²:a\nwheel:x:4:a".encode()),
        ("path_pattern", b"*a" * 40 + b"b\n" + b"a" * 4000),
    ],
)
def test_what_was_found_is_taken(name: str, data: bytes) -> None:
    assert TARGETS[name].feed(data)
