"""Fuzz one target guided by coverage: ``python -m tests.fuzz.explore NAME [libFuzzer's options]``.

The corpus begins with the target's seeds; what is new goes to the folder that is named first, if one is. A crash, a run
of more than ten seconds or more than a gigabyte of memory ends it with an error and the input in a file.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import atheris

from tests.fuzz.target import NASTY

LIMITS = ("-timeout=10", "-rss_limit_mb=1024", "-max_len=20000", "-close_fd_mask=1")


def explore(name: str, options: list[str]) -> None:
    with atheris.instrument_imports(include=["frontend", "backends", "sandbox"]):
        from tests.fuzz.targets import TARGETS
    target = TARGETS[name]
    with tempfile.TemporaryDirectory() as folder:
        seeds = Path(folder, "seeds")
        seeds.mkdir()
        for number, seed in enumerate(target.seeds):
            (seeds / str(number)).write_bytes(seed)
        words = Path(folder, "words")
        words.write_text("".join(f'"{escaped(word)}"\n' for word in (*target.words, *NASTY) if len(word) < 100))
        arguments = [sys.argv[0], *LIMITS, f"-dict={words}", *options, str(seeds)]
        atheris.Setup(arguments, target.feed)
        atheris.Fuzz()


def escaped(word: bytes) -> str:
    """As libFuzzer's dictionaries want it."""
    return "".join(f"\\x{value:02x}" for value in word)


def explored(name: str, runs: int, folder: Path) -> subprocess.CompletedProcess[bytes]:
    """Do it in a process of its own: libFuzzer ends with the process."""
    options = [f"-runs={runs}", "-seed=1", f"-artifact_prefix={folder}/"]
    command = [sys.executable, "-m", "tests.fuzz.explore", name, *options]
    return subprocess.run(command, capture_output=True, check=False, timeout=250)


if __name__ == "__main__":
    explore(sys.argv[1], sys.argv[2:])
