"""Test suites that run in processes of their own: a client library's, or what its users write with it."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.clients.engine import Result

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"


def outcomes(report: Path, result: Result) -> dict[str, str]:
    """What a JUnit report says of each test, by the last part of its name; AssertionError if there is no report."""
    assert report.exists(), result
    return {case.attrib["name"]: _outcome(case) for case in ET.parse(report).iter("testcase")}


def _outcome(case: ET.Element) -> str:
    if case.find("skipped") is not None:
        return SKIPPED
    return PASSED if case.find("failure") is None and case.find("error") is None else FAILED


def those(found: Mapping[str, str], outcome: str) -> list[str]:
    """The tests with this outcome."""
    return [name for name, what in found.items() if what == outcome]


def pytest_command(report: Path, *arguments: str) -> Sequence[str]:
    """A pytest that knows nothing of ours."""
    return ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null", f"--junitxml={report}", *arguments)
