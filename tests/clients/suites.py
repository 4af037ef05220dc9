"""Test suites that run in processes of their own: a client library's, or what its users write with it."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from tests.clients.engine import Result

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"


def outcomes(report: Path, result: Result, *, classes: bool = False) -> dict[str, str]:
    """What a JUnit report says of each test, by the last part of its name, or with its class as Class::test.

    Raises AssertionError if there is no report.
    """
    assert report.exists(), result
    return {_name(case, classes): _outcome(case) for case in ET.parse(report).iter("testcase")}


def _name(case: ET.Element, classes: bool) -> str:
    name = case.attrib["name"]
    return f"{case.attrib['classname'].rpartition('.')[2]}::{name}" if classes else name


def _outcome(case: ET.Element) -> str:
    if case.find("skipped") is not None:
        return SKIPPED
    return PASSED if case.find("failure") is None and case.find("error") is None else FAILED


def those(found: Mapping[str, str], outcome: str) -> list[str]:
    """The tests with this outcome."""
    return [name for name, what in found.items() if what == outcome]


def run_twice(run: Callable[..., dict[str, str]], folder: Path, fails: Collection[str]) -> dict[str, str]:
    """What became of each test, where `run` gives that of those that a report's path and pytest's options name.

    Such tests wait two seconds at most for many things: what fails unexpectedly runs a second time, by itself.
    """
    found = run(folder / "first.xml")
    late = {name.rpartition("::")[2].partition("[")[0] for name in those(found, FAILED) if name not in fails}
    return found | run(folder / "second.xml", "-k", " or ".join(late)) if late else found


def pytest_command(report: Path, *arguments: str) -> Sequence[str]:
    """A pytest that knows nothing of ours."""
    return ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null", f"--junitxml={report}", *arguments)
