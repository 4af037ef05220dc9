"""The performance page is the one that the results give; the results have the metrics in their order."""

from __future__ import annotations

import json

from benchmarks import report
from benchmarks.metrics import table


def test_page_is_generated_from_the_results() -> None:
    assert report.PAGE.read_text() == report.page(json.loads(report.RESULTS.read_text()))


def test_results_have_every_metric_in_order() -> None:
    data = json.loads(report.RESULTS.read_text())
    assert list(data) == [
        "run_rm", "exec_true", "exec_stdout_mbps", "ping_rps", "info_rps", "act_three_steps",
        "frontend_rss_mb", "worker_rss_mb", "up_ready_s", "ps_p99_ms_200",
        "build_ten_steps", "build_cached_ms", "pull_200mb", "ps_p99_ms_1000", "attach_1000_rss_mb",
        "logs_follow_p95_ms",
    ]  # fmt: skip
    assert list(data) == [metric.name for metric in table()]
    assert {tuple(row) for row in data.values()} == {("ours", "theirs", "ratio", "unit", "n", "load")}


def test_targets_look_the_right_way() -> None:
    by_name = {metric.name: metric for metric in table()}
    row = {"ours": 4999, "theirs": 1, "ratio": 0.2}
    assert report.reached(by_name["ping_rps"], row) is False
    assert report.reached(by_name["ping_rps"], {**row, "ours": 5000}) is True
    assert report.reached(by_name["run_rm"], row) is True
    assert report.reached(by_name["run_rm"], {**row, "ratio": 0.21}) is False
    assert report.reached(by_name["exec_stdout_mbps"], row) is False
