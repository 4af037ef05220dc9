"""results.json and the page made from it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.metrics import Metric, Result, table

RESULTS = Path(__file__).with_name("results.json")
PAGE = Path(__file__).resolve().parents[1] / "docs/performance.md"
HEAD = """\
# Performance

Made by `make bench` from `benchmarks/results.json`. Both engines run on the same machine in the same run, in turns:
ours is the appliance with the memory backend, theirs Debian's dockerd 20.10 in namespaces of its own with the same
programs in its image. Memory is resident memory; dockerd stands against our frontend and its containerd against our
worker. Medians of n rounds; load is the machine's load average when the rounds began.

| metric | what | ours | theirs | ours / theirs | to reach | reached | n | load |
|---|---|---|---|---|---|---|---|---|
"""


def write(results: Mapping[str, Result]) -> None:
    """Writes both files."""
    data = {
        name: {
            "ours": round(result.ours, 3), "theirs": round(result.theirs, 3), "ratio": round(result.ratio, 3),
            "unit": result.unit, "n": result.n, "load": round(result.load, 2),
        }
        for name, result in results.items()
    }  # fmt: skip
    RESULTS.write_text(json.dumps(data, indent=2) + "\n")
    PAGE.write_text(page(data))


def page(data: Mapping[str, Mapping[str, Any]]) -> str:
    """The page for the results as they are in results.json."""
    return HEAD + "".join(_row(metric, data[metric.name]) for metric in table())


def reached(metric: Metric, row: Mapping[str, Any]) -> bool:
    value = row["ours"] if metric.absolute else row["ratio"]
    return bool(value >= metric.target if metric.at_least else value <= metric.target)


def _row(metric: Metric, row: Mapping[str, Any]) -> str:
    sign = "≥" if metric.at_least else "≤"
    goal = f"{sign} {metric.target:,g} {metric.unit if metric.absolute else '×'}"
    cells = [
        f"`{metric.name}`", metric.what, _amount(row["ours"], row["unit"]), _amount(row["theirs"], row["unit"]),
        f"{row['ratio']:.3g}", goal, "yes" if reached(metric, row) else "no", str(row["n"]), f"{row['load']:.1f}",
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |\n"


def _amount(value: float, unit: str) -> str:
    return f"{value:,.0f} {unit}" if value >= 1000 else f"{value:.3g} {unit}"
