"""The accepted differences between our answers and the reference's: one file, a reason for each, none out of date."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).with_name("differences.toml")


@dataclass(frozen=True)
class Difference:
    """`what` (a script's step or a request's label) gives `ours` in its `part` instead of the reference's `theirs`."""

    group: str
    what: str
    part: str
    ours: str
    theirs: str
    reason: str


def load(group: str) -> dict[tuple[str, str], Difference]:
    """The accepted differences of one group (`cli`, `api`, `older`), by what and part. KeyError if a field lacks."""
    entries = tomllib.loads(FILE.read_text()).get(group, [])
    found = [Difference(group, e["what"], e["part"], e["ours"], e["theirs"], e["reason"]) for e in entries]
    return {(difference.what, difference.part): difference for difference in found}


def undeclared(group: str, what: str, ours: dict[str, str], theirs: dict[str, str]) -> list[str]:
    """One line for each part that differs without being declared so, or is declared so and does not differ that way."""
    declared = load(group)
    problems = []
    for part, mine in ours.items():
        expected = declared.get((what, part))
        pair = (expected.ours, expected.theirs) if expected else (theirs[part], theirs[part])
        if (mine, theirs[part]) != pair:
            note = " (declared otherwise)" if expected else ""
            problems.append(f"{what}\n    {part}{note}\n      ours:   {mine!r}\n      theirs: {theirs[part]!r}")
    return problems


@dataclass(frozen=True)
class Kind:
    """Differences of one kind. `*` in `what` and `part` stands for anything, as do `ours` and `theirs` if None."""

    what: str
    part: str
    ours: str | None
    theirs: str | None
    reason: str

    def covers(self, what: str, part: str, ours: str, theirs: str) -> bool:
        """Whether this difference is of the kind."""
        values = self.ours in (None, ours) and self.theirs in (None, theirs)
        return values and _matches(self.what, what) and _matches(self.part, part)


def kinds(group: str) -> list[Kind]:
    """The accepted kinds of one group (`shapes`, `replay`). KeyError if a field lacks."""
    entries = tomllib.loads(FILE.read_text()).get(group, [])
    return [Kind(e["what"], e["part"], e.get("ours"), e.get("theirs"), e["reason"]) for e in entries]


@dataclass
class Judge:
    """Judges differences by the kinds that a group accepts, and knows the kinds that never came."""

    accepted: list[Kind]

    def __post_init__(self) -> None:
        self.unseen = set(self.accepted)

    def problems(self, what: str, ours: dict[str, str], theirs: dict[str, str]) -> list[str]:
        """One line for each part that differs and is of no accepted kind. Both have the same parts."""
        found = []
        for part, mine in ours.items():
            other = theirs[part]
            if mine != other and not self._accepts(what, part, mine, other):
                found.append(f"{what}\n    {part}\n      ours:   {mine}\n      theirs: {other}")
        return found

    def _accepts(self, what: str, part: str, ours: str, theirs: str) -> bool:
        covering = [kind for kind in self.accepted if kind.covers(what, part, ours, theirs)]
        self.unseen.difference_update(covering)
        return bool(covering)


def _matches(pattern: str, text: str) -> bool:
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), text) is not None
