"""A short look, guided by coverage, at the readers with the most branches. ``explore.py`` looks for longer."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.explore import explored

RUNS = 2000


@pytest.mark.slow
@pytest.mark.parametrize("name", ["create_body", "dockerfile", "layer", "refusal"])
def test_nothing_new_is_found(name: str, tmp_path: Path) -> None:
    ended = explored(name, RUNS, tmp_path)
    assert list(tmp_path.iterdir()) == [], ended.stderr[-3000:]
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert f"Done {RUNS} runs".encode() in ended.stderr
