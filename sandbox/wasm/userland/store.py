"""The cache of builds: one folder per hash of recipes, overlay, sources and tools, whole or not there at all."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from sandbox.wasm.userland.errors import NotBuilt
from sandbox.wasm.userland.recipes.asyncify import asyncify
from sandbox.wasm.userland.recipes.musl import build_musl
from sandbox.wasm.userland.recipes.programs import PROGRAMS, Program
from sandbox.wasm.userland.recipes.shop import Shop
from sandbox.wasm.userland.sources import Source, fetch_sources, find_sources, unpack
from sandbox.wasm.userland.tools import HERE, Tools, find_tools

RECIPES = (HERE / "recipes", HERE / "overlay")
_HINT = "Run: python -m sandbox.wasm.userland build"


def default_cache(environ: Mapping[str, str]) -> Path:
    """The folder that builds are kept under: $SOCKERLESS_CACHE, or sockerless in the user's cache."""
    if environ.get("SOCKERLESS_CACHE"):
        return Path(environ["SOCKERLESS_CACHE"])
    home = environ.get("XDG_CACHE_HOME") or Path(environ.get("HOME", "~")).expanduser() / ".cache"
    return Path(home) / "sockerless"


def build(cache: Path, environ: Mapping[str, str] = os.environ) -> Path:
    """Build what is missing and return its folder.

    It has busybox.wasm, bash.wasm, rsync.wasm, applets.txt (the path of every busybox applet, one a line), SOURCES.json
    and LICENSES/. Takes minutes once, then nothing. Of two builds at once the second waits. Raises ToolMissing,
    SourceMissing or BuildFailed.
    """
    folder = cache / "userland"
    tools = find_tools(environ)
    sources = find_sources(folder / "sources", environ)
    if sources and (done := folder / build_hash(sources, tools)).is_dir():
        return done
    with _locked(folder):
        sources = fetch_sources(folder / "sources", environ)
        done = folder / build_hash(sources, tools)
        return done if done.is_dir() else _build_new(done, sources, tools)


def current(cache: Path, environ: Mapping[str, str] = os.environ) -> Path:
    """The folder of the present recipes' build. Raises NotBuilt if there is none, ToolMissing if none can be told."""
    folder = cache / "userland"
    sources = find_sources(folder / "sources", environ)
    if sources is None:
        raise NotBuilt(f"The programs' sources are not in {folder}.", _HINT)
    done = folder / build_hash(sources, find_tools(environ))
    if not done.is_dir():
        raise NotBuilt(f"{done} is not built.", _HINT)
    return done


def build_hash(sources: Mapping[str, Source], tools: Tools, recipes: tuple[Path, ...] = RECIPES) -> str:
    """What names a build: 16 hexadecimal digits that change with any recipe, source or tool."""
    digest = hashlib.sha256()
    for folder in recipes:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(f"{path.relative_to(folder)}\0{path.stat().st_size}\0".encode() + path.read_bytes())
    facts = [sorted((source.name, source.identity) for source in sources.values()), tools.identity]
    digest.update(json.dumps(facts).encode())
    return digest.hexdigest()[:16]


def _build_new(done: Path, sources: Mapping[str, Source], tools: Tools) -> Path:
    # Without the lock nobody builds: what an earlier build left was killed.
    for abandoned in done.parent.glob(".build-*"):
        shutil.rmtree(abandoned)
    root = Path(tempfile.mkdtemp(prefix=".build-", dir=done.parent))
    try:
        out = root / "out"
        out.mkdir()
        shop = Shop(root, {name: unpack(source, root / name) for name, source in sources.items()}, tools)
        _build_all(shop, out)
        _describe(shop, sources, out)
        os.rename(out, done)
    finally:
        shutil.rmtree(root)
    return done


def _build_all(shop: Shop, out: Path) -> None:
    shop.prepare()
    build_musl(shop)
    with ThreadPoolExecutor(max_workers=len(PROGRAMS)) as pool:
        for built in [pool.submit(_build_program, shop, program, out) for program in PROGRAMS]:
            built.result()


def _build_program(shop: Shop, program: Program, out: Path) -> None:
    asyncify(shop, program.compile(shop), out / f"{program.name}.wasm", casts=program.casts)


def _describe(shop: Shop, sources: Mapping[str, Source], out: Path) -> None:
    """Everything beside the modules: applets, what it was built from, and under which licences."""
    shutil.copy(shop.trees["busybox"] / "busybox.links", out / "applets.txt")
    licences = out / "LICENSES"
    licences.mkdir()
    for name, file in [("musl", "COPYRIGHT"), *((program.name, program.licence) for program in PROGRAMS)]:
        shutil.copy(shop.trees[name] / file, licences / f"{name}.txt")
    facts = {source.name: {"version": source.version, "sha256": source.identity} for source in sources.values()}
    (out / "SOURCES.json").write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n")


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sources").mkdir(exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
