"""Images for the tests, made from sockerless/base without a registry and without running anything."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Mapping
from typing import Any

from tests.clients.engine import Engine
from tests.oracle.tools import tool

BASE = "sockerless/base:latest"


def derive(engine: Engine, name: str, config: Mapping[str, Any], files: Mapping[str, str] | None = None) -> None:
    """Loads `name`: sockerless/base with `config` (the image's `config` object) and one more layer of executables."""
    image, layers = contents(engine)
    if files:
        layers.append(_tar({path: text.encode() for path, text in files.items()}))
        image["rootfs"]["diff_ids"].append("sha256:" + hashlib.sha256(layers[-1]).hexdigest())
        image.setdefault("history", []).append({"created_by": "test"})
    image["config"] = {**(image.get("config") or {}), **config}
    _docker(engine, "load", input=_archive(name, image, layers))


def contents(engine: Engine) -> tuple[dict[str, Any], list[bytes]]:
    """The image configuration and the uncompressed layers of sockerless/base."""
    archive = _read(_docker(engine, "save", BASE))
    (manifest,) = json.loads(archive["manifest.json"])
    return json.loads(archive[manifest["Config"]]), [archive[path] for path in manifest["Layers"]]


def _archive(name: str, image: Mapping[str, Any], layers: list[bytes]) -> bytes:
    config = json.dumps(image).encode()
    config_path = hashlib.sha256(config).hexdigest() + ".json"
    paths = [f"{hashlib.sha256(layer).hexdigest()}.tar" for layer in layers]
    manifest = json.dumps([{"Config": config_path, "RepoTags": [name], "Layers": paths}]).encode()
    return _tar({"manifest.json": manifest, config_path: config, **dict(zip(paths, layers, strict=True))})


def _read(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        members = {member.name: tar.extractfile(member) for member in tar if not member.isdir()}
        return {name: content.read() for name, content in members.items() if content is not None}


def _tar(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(content), 0o755
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _docker(engine: Engine, *arguments: str, input: bytes = b"") -> bytes:
    done = subprocess.run(
        [tool("docker"), *arguments],
        input=input,
        capture_output=True,
        env=engine.environment(),
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"docker {' '.join(arguments)}: exit {done.returncode}: {done.stderr!r}"
    return done.stdout
