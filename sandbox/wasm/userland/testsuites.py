"""The programs' own test suites, unpacked from their sources: the safety net of the kernel."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from sandbox.wasm.userland.recipes.programs import configure_busybox
from sandbox.wasm.userland.sources import Source, fetch_sources, unpack

SUITES = {
    "busybox-ash": ("busybox", "shell/ash_test"),
    "busybox": ("busybox", "testsuite"),
    "bash": ("bash", "tests"),
    "rsync": ("rsync", "testsuite"),
}
"""Name of the suite: the package and the folder in its source."""
__all__ = ["SUITES", "configure_busybox", "unpack_testsuites"]


def unpack_testsuites(cache: Path, environ: Mapping[str, str] = os.environ) -> Path:
    """The folder with a sub-folder per suite of SUITES. Unpacked once per version of the sources."""
    folder = cache / "userland"
    (folder / "sources").mkdir(parents=True, exist_ok=True)
    sources = fetch_sources(folder / "sources", environ)
    done = folder / f"testsuites-{_versions(sources)}"
    if not done.is_dir():
        _unpack_new(done, sources)
    return done


def _versions(sources: Mapping[str, Source]) -> str:
    packages = sorted({package for package, _ in SUITES.values()})
    return "-".join(sources[package].identity[:8] for package in packages)


def _unpack_new(done: Path, sources: Mapping[str, Source]) -> None:
    with tempfile.TemporaryDirectory(dir=done.parent, prefix=".testsuites-") as scratch:
        out = Path(scratch) / "out"
        trees: dict[str, Path] = {}
        for name, (package, inner) in SUITES.items():
            if package not in trees:
                trees[package] = unpack(sources[package], Path(scratch) / package)
            shutil.copytree(trees[package] / inner, out / name, symlinks=True)
        try:
            os.rename(out, done)
        except OSError:
            # Another process was first; its copy is the same.
            if not done.is_dir():
                raise
