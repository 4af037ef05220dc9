"""Folders that look like an installed toolchain and fetched sources, so that hashes are told without building."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from sandbox.wasm.userland.sources import PACKAGES


def script(path: Path, output: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{output}'\n")
    path.chmod(0o755)
    return path


def toolchain(
    root: Path, *, clang: str = "clang version 19.1.7", wasm_opt: str = "wasm-opt version 132"
) -> dict[str, str]:
    """The environment that names a complete toolchain under `root`."""
    (root / "include/linux").mkdir(parents=True, exist_ok=True)
    (root / "include/linux/version.h").write_text("#define LINUX_VERSION_CODE 393729\n")
    return {
        "PATH": "/usr/bin:/bin",
        "SOCKERLESS_CLANG": str(script(root / "bin/clang", clang)),
        "SOCKERLESS_WASM_OPT": str(script(root / "bin/wasm-opt", wasm_opt)),
        "SOCKERLESS_LINUX_HEADERS": str(root / "include"),
    }


def fetched_sources(cache: Path) -> None:
    """Source packages in the cache, as apt leaves them."""
    folder = cache / "userland/sources"
    folder.mkdir(parents=True)
    index = {}
    for name, version in PACKAGES.items():
        dsc = folder / f"{name}_{version}0.dsc"
        dsc.write_text(f"Version: {version}0\n")
        digest = hashlib.sha256(dsc.read_bytes()).hexdigest()
        index[name] = {"version": f"{version}0", "dsc": dsc.name, "sha256": digest}
    (folder / "index.json").write_text(json.dumps(index))
