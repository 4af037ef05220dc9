"""Archives that were made to harm, and what an image archive is made of."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Mapping
from typing import Any

CONTENT = b"something"


def entry(name: str, data: bytes = b"", **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    """One member; ``fields`` are TarInfo's."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, data


def link(name: str, target: str, *, hard: bool = False) -> tuple[tarfile.TarInfo, bytes]:
    return entry(name, type=tarfile.LNKTYPE if hard else tarfile.SYMTYPE, linkname=target)


def tar(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def lying(size: int) -> bytes:
    """A member that claims to be ``size`` bytes long, and is 9."""
    info = tarfile.TarInfo("lie")
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT) + CONTENT.ljust(512, b"\0")


def bad_checksum() -> bytes:
    data = bytearray(tar(entry("file", CONTENT)))
    data[0] ^= 1
    return bytes(data)


def bomb(size: int) -> bytes:
    """A small gzip of a tar with one member of ``size`` zero bytes."""
    buffer = io.BytesIO()
    info = tarfile.TarInfo("zeros")
    info.size = size
    with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=1, mtime=0) as packed:
        packed.write(info.tobuf(tarfile.GNU_FORMAT))
        block = bytes(1 << 20)
        for _ in range(size >> 20):
            packed.write(block)
        packed.write(bytes(1024))
    return buffer.getvalue()


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def config(*layers: bytes, claimed: Iterable[str] | None = None) -> bytes:
    """An image's configuration; ``claimed`` instead of the layers' true digests."""
    ids = [digest(layer) for layer in layers] if claimed is None else list(claimed)
    image = {
        "architecture": "amd64", "os": "linux", "config": {"Cmd": ["true"]},
        "rootfs": {"type": "layers", "diff_ids": ids}, "history": [{"created_by": "test"} for _ in ids],
    }  # fmt: skip
    return json.dumps(image).encode()


def docker_archive(name: str, image: bytes, *layers: bytes, **manifest: Any) -> bytes:
    """What ``docker save`` makes, with some fields of its manifest replaced."""
    paths = [f"{number}/layer.tar" for number in range(len(layers))]
    item = {"Config": "config.json", "RepoTags": [name], "Layers": paths, **manifest}
    files = [entry(path, layer) for path, layer in zip(paths, layers, strict=True)]
    return tar(*files, entry("config.json", image), entry("manifest.json", json.dumps([item]).encode()))


def oci_archive(name: str, image: bytes, layer: bytes, wrong: Mapping[str, bytes] | None = None) -> bytes:
    """An OCI layout; ``wrong`` content of the blob "config", "layer" or "manifest" under the right digest."""
    manifest = json.dumps({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": _descriptor("application/vnd.oci.image.config.v1+json", image),
        "layers": [_descriptor("application/vnd.oci.image.layer.v1.tar", layer)],
    }).encode()  # fmt: skip
    top = _descriptor("application/vnd.oci.image.manifest.v1+json", manifest)
    top["annotations"] = {"io.containerd.image.name": name}
    blobs = {"config": image, "layer": layer, "manifest": manifest}
    files = [entry("blobs/sha256/" + digest(data)[7:], (wrong or {}).get(kind, data)) for kind, data in blobs.items()]
    index = json.dumps({"schemaVersion": 2, "manifests": [top]}).encode()
    return tar(entry("oci-layout", b'{"imageLayoutVersion":"1.0.0"}'), *files, entry("index.json", index))


def _descriptor(kind: str, data: bytes) -> dict[str, Any]:
    return {"mediaType": kind, "digest": digest(data), "size": len(data)}
