"""What may differ between two engines that behave alike: identities, moments, addresses, sizes. Nothing else may."""

from __future__ import annotations

import re

PATTERNS = (
    (re.compile(r"sha256:[0-9a-f]{64}\b"), "<digest>"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "<id>"),
    (re.compile(r"\b[0-9a-f]{12}\b"), "<short id>"),
    (re.compile(r"(?<!0001-01-01T)\b(?!0001-)\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"), "<time>"),
    (re.compile(r"\b(About an?|Less than a|\d+) (second|minute|hour|day|week|month|year)s?( ago)?"), "<age>"),
    (re.compile(r"\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b"), "<mac>"),
    (re.compile(r"\b172\.(1[6-9]|2\d|3[01])\.\d{1,3}\.\d{1,3}\b"), "<address>"),
    (re.compile(r"\b\d+(\.\d+)?(B|kB|MB|GB)\b"), "<size>"),
    (re.compile(r"/\S*/volumes/(\S+?)/_data"), r"<volumes>/\1/_data"),
    (re.compile(r"^/\S*/containers/(<[^>]+>)/"), r"<containers>/\1/"),
)
COLUMNS = re.compile(r" {2,}")
"""The width of a table's column follows from its longest value."""


def normalise(text: str) -> str:
    """The text with every masked thing replaced by its name in angle brackets."""
    for pattern, name in PATTERNS:
        text = pattern.sub(name, text)
    return COLUMNS.sub("  ", text)
