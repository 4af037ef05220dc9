"""What is no Unicode leaves as Go's JSON encoder would write it, wherever it stands."""

from __future__ import annotations

import os

import msgspec
import pytest

from backends.api.errors import NotFound
from backends.api.text import encode, legible
from backends.api.types import Change, ListedNetworks

NAME = os.fsdecode(b"caf\xe9\xff.txt")
SHOWN = "caf\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}.txt"


def test_legible() -> None:
    assert [legible(text) for text in ("plain", "Füße \N{CRAB}", NAME, "\ud800")] == [
        "plain", "Füße \N{CRAB}", SHOWN, "\N{REPLACEMENT CHARACTER}",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "decoded"),
    [
        ([Change(path=NAME, kind=1)], [{"Path": SHOWN, "Kind": 1}]),
        ({NAME: {"a": (NAME, None, 1.5, True)}}, {SHOWN: {"a": [SHOWN, None, 1.5, True]}}),
        (ListedNetworks(networks=msgspec.Raw(b'{"a":1}')), {"Networks": {"a": 1}}),
        ([NAME, ListedNetworks(networks=msgspec.Raw(b'{"a":1}'))], [SHOWN, {"Networks": {"a": 1}}]),
        ("Füße", "Füße"),
    ],
)
def test_values(value: object, decoded: object) -> None:
    assert msgspec.json.decode(encode(value)) == decoded


def test_errors() -> None:
    error = NotFound(f"no {NAME}")
    assert (error.message, str(error)) == (f"no {SHOWN}", f"no {SHOWN}")
