"""`python -m benchmarks [metric …]`: measures, prints, writes benchmarks/results.json and docs/performance.md."""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterable
from dataclasses import replace

from benchmarks import report, subjects
from benchmarks.metrics import Metric, Result, measure, table

STARTS = 3


def main() -> None:
    """Without arguments measures all and writes the files; metrics named on the command line are only printed."""
    names = [metric.name for metric in table()]
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("metrics", nargs="*", help=f"of {', '.join(names)}; all, unless named")
    chosen = parser.parse_args().metrics or names
    results = _measure([metric for metric in table() if metric.name in chosen])
    if chosen == names:
        report.write({name: results[name] for name in names})


def _measure(metrics: list[Metric]) -> dict[str, Result]:
    results = {}
    with subjects.ours() as ours, subjects.theirs() as theirs:
        for metric in in_turn(metrics):
            result = measure(metric, ours, theirs)
            if metric.name == "up_ready_s":
                result = _more_starts(result)
            results[metric.name] = result
            print(
                f"{metric.name:18} {result.ours:10.4g} {result.theirs:10.4g} {metric.unit:5} {result.ratio:8.3g}",
                flush=True,
            )
    return results


def in_turn(metrics: Iterable[Metric]) -> list[Metric]:
    """What is measured idle comes before anything has run, what leaves many containers behind comes last."""
    idle = ("_rss_mb", "up_ready_s")
    return sorted(metrics, key=lambda metric: (metric.name.startswith("ps_"), not metric.name.endswith(idle)))


def _more_starts(first: Result) -> Result:
    mine, reference = [first.ours], [first.theirs]
    for _ in range(STARTS - 1):
        with subjects.ours() as ours:
            mine.append(ours.started)
        with subjects.theirs() as theirs:
            reference.append(theirs.started)
    return replace(first, ours=statistics.median(mine), theirs=statistics.median(reference), n=STARTS)


if __name__ == "__main__":
    main()
