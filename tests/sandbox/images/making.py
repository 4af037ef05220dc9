"""Material for the image tests: tars, layers, configs and archives made in memory."""

from __future__ import annotations

import gzip
import hashlib
import io
import random
import subprocess
import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from sandbox.images.image import Image
from sandbox.images.reference import parse
from sandbox.images.store import Store


def member(name: str, data: bytes | None = None, **attributes: Any) -> tuple[tarfile.TarInfo, bytes]:
    """One tar member: a file with ``data``, a directory without, or what ``type`` says."""
    info = tarfile.TarInfo(name)
    info.mode = 0o755 if data is None else 0o644
    info.type = tarfile.DIRTYPE if data is None else tarfile.REGTYPE
    for key, value in attributes.items():
        setattr(info, key, value)
    info.size = len(data or b"") if info.type == tarfile.REGTYPE else 0
    return info, data or b""


def tar(members: Iterable[tuple[tarfile.TarInfo, bytes]], form: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def files(content: dict[str, bytes]) -> bytes:
    return tar(member(name, data) for name, data in content.items())


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def config(layers: Sequence[bytes], **extra: Any) -> bytes:
    document = {
        "architecture": "amd64",
        "os": "linux",
        "created": "2024-01-02T03:04:05.123456789Z",
        "config": {"Cmd": ["/bin/sh"]},
        "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in layers]},
    }
    return msgspec.json.encode(document | extra)


def packed(layer: bytes) -> bytes:
    return gzip.compress(layer, 1, mtime=0)


def put_layer(store: Store, layer: bytes, tmp: Path) -> str:
    path = tmp / digest(layer)[7:]
    path.write_bytes(layer)
    return store.layers.put(path).diff_id


def add_image(store: Store, tmp: Path, layers: Sequence[bytes], *names: str, **extra: Any) -> Image:
    parent = extra.pop("parent", "")
    for layer in layers:
        put_layer(store, layer, tmp)
    return store.add(config(layers, **extra), references=[parse(name).tagged() for name in names], parent=parent)


def docker_archive(layers: Sequence[bytes], *tags: str, **extra: Any) -> bytes:
    document = config(layers, **extra)
    names = [f"{digest(layer)[7:]}/layer.tar" for layer in layers]
    name = f"{digest(document)[7:]}.json"
    item = {"Config": name, "RepoTags": list(tags), "Layers": names}
    return files(
        {
            name: document,
            **dict(zip(names, layers, strict=True)),
            "manifest.json": msgspec.json.encode([item]),
        }
    )


def left_behind(root: Path) -> list[str]:
    """What of half-made things a store has on disk."""
    return sorted(str(path.relative_to(root)) for name in ("scratch", "partial") for path in (root / name).iterdir())


BLOCK = 4096
SPARSE_FORMS = ["gnu", "0.0", "0.1", "1.0"]
SPARSE_FILES = {
    "first": b"plain",
    "holes": b"".join(random.Random(piece).randbytes(BLOCK) + bytes(BLOCK * (1 + piece % 3)) for piece in range(60)),
    "hole": bytes(1 << 20),
    "ends": bytes(BLOCK) + b"the end",
    "last": b"plain too",
}


def sparse_archive(form: str, tmp: Path) -> Path:
    """An archive of SPARSE_FILES in one of SPARSE_FORMS, made by GNU tar, which leaves out blocks of zeros."""
    home = tmp / "files"
    home.mkdir()
    for name, content in SPARSE_FILES.items():
        _write_sparse(home / name, content)
    version = ["--format=gnu"] if form == "gnu" else ["--format=posix", f"--sparse-version={form}"]
    made = tmp / "made.tar"
    options = ["--sparse", "--hole-detection=raw", *version, "--blocking-factor=1"]
    subprocess.run(["tar", "-cf", str(made), *options, "-C", str(home), *SPARSE_FILES], check=True)
    assert made.stat().st_size < sum(map(len, SPARSE_FILES.values())) - (1 << 20)
    return made


def _write_sparse(path: Path, content: bytes) -> None:
    """With holes: GNU tar looks for them only in a file that takes less room than its size says."""
    with path.open("wb") as file:
        for start in range(0, len(content), BLOCK):
            if any(block := content[start : start + BLOCK]):
                file.seek(start)
                file.write(block)
        file.truncate(len(content))
