"""EXPOSE, as dockerd 20.10 reads it; its words are those of newer engines."""

from __future__ import annotations

import pytest

from backends.api.errors import InvalidArgument
from backends.core.build.ports import exposed_ports


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ("80", ["80/tcp"]), ("80/", ["80/tcp"]), ("80/TCP", ["80/tcp"]), ("80/udp/x", ["80/udp"]), ("080", ["80/tcp"]),
        ("3-5/sctp", ["3/sctp", "4/sctp", "5/sctp"]), (":80", ["80/tcp"]), ("1:80", ["80/tcp"]), ("80//", ["80/tcp"]),
        ("0:80", ["80/tcp"]), ("127.0.0.1:1:81", ["81/tcp"]), ("127.0.0.1::82/udp", ["82/udp"]),
        ("[::1]::80", ["80/tcp"]), ("80-81:90-91", ["90/tcp", "91/tcp"]), ("3-5:80", ["80/tcp"]),
        ("0", ["0/tcp"]), ("0-1", ["0/tcp", "1/tcp"]),
    ],
)  # fmt: skip
def test_ports(text: str, ports: list[str]) -> None:
    assert exposed_ports(text) == ports


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("80/foo", "invalid proto: foo"), ("/tcp", "no port specified: /tcp<empty>"),
        ("80:", "no port specified: 80:<empty>"), ("x/foo", "invalid containerPort: x"),
        ("99999/foo", "invalid containerPort: 99999"), ("+80", "invalid containerPort: +80"),
        ("-1", "invalid containerPort: -1"), ("5-3", "invalid containerPort: 5-3"),
        ("80-", "invalid containerPort: 80-"),
        ("a:80", "invalid hostPort: a"), ("1:2:80", "invalid IP address: 1"),
        ("1.2.3.4:80", "invalid hostPort: 1.2.3.4"), ("1" * 5000, f"invalid containerPort: {'1' * 5000}"),
        ("1-3:80-81", "invalid ranges specified for container and host Ports: 80-81 and 1-3"),
    ],
)  # fmt: skip
def test_what_is_no_port(text: str, said: str) -> None:
    with pytest.raises(InvalidArgument) as failure:
        exposed_ports(text)
    assert failure.value.message == said
