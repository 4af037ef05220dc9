"""`docker pull` of an image that compression makes no smaller, from a docker-registry on the engine's loopback."""

from __future__ import annotations

import atexit
import functools
import gzip
import hashlib
import io
import random
import shutil
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.subjects import Subject
from tests.clients import registry

LAYERS, FILES, FILE = 5, 8, 5_000_000
"""200 MB: files of so many bytes, so many a layer."""


def rate(subject: Subject) -> float:
    """Megabytes a second. The image is removed again."""
    folder, served = _registry()
    with registry.also(subject.engine, folder, served):
        start = time.perf_counter()
        subject.engine.ok("pull", "--quiet", served.image)
        spent = time.perf_counter() - start
    subject.engine.ok("rmi", "--force", served.image)
    return LAYERS * FILES * FILE / 1e6 / spent


@functools.cache
def _registry() -> tuple[Path, registry.Registry]:
    """The registry's folder, made once and removed at the end of the process."""
    folder = Path(tempfile.mkdtemp(prefix="sockerless-bench-"))
    atexit.register(shutil.rmtree, folder)
    layers = [_layer(number) for number in range(LAYERS)]
    image: dict[str, Any] = {
        "architecture": "amd64", "os": "linux", "config": {"Cmd": ["true"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers]},
    }  # fmt: skip
    return folder, registry.fill(folder, image, [gzip.compress(layer, 1) for layer in layers])


def _layer(number: int) -> bytes:
    source = random.Random(number)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name in range(FILES):
            entry = tarfile.TarInfo(f"data/{number}/{name}")
            entry.size = FILE
            tar.addfile(entry, io.BytesIO(source.randbytes(FILE)))
    return buffer.getvalue()
