"""Write images as one tar that is a docker-archive and an OCI layout at once, so that any engine can load it.

Layers that came compressed from a registry, with a manifest that says so, are saved as they came: the image then keeps
its registry digest. Else the layers are plain tars, named by their diff ids. The same images give the same bytes.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from sandbox.images import manifests
from sandbox.images.errors import ImageNotFound
from sandbox.images.image import Image, digest_of
from sandbox.images.layers import Blob
from sandbox.images.manifests import Manifest
from sandbox.images.reference import Reference, id_prefix, parse
from sandbox.images.store import Store

PIECE = 1 << 20


@dataclass(slots=True)
class Saved:
    """An image with the names that it is saved under."""

    image: Image
    references: list[Reference]


def wanted(store: Store, refs: Sequence[str]) -> list[Saved]:
    """What these names and ids mean; ImageNotFound, InvalidReference."""
    found: dict[str, Saved] = {}
    for ref in refs:
        for image, reference in _resolve(store, ref):
            saved = found.setdefault(image.id, Saved(image, []))
            if reference is not None and reference not in saved.references:
                saved.references.append(reference)
    return list(found.values())


def _resolve(store: Store, ref: str) -> list[tuple[Image, Reference | None]]:
    image = None
    try:
        image = store.resolve(ref)
    except ImageNotFound:
        if id_prefix(ref) is not None:
            raise
    if image is not None and _by_id(ref, image):
        return [(image, None)]
    reference = parse(ref)
    if reference.tag or reference.digest:
        return [(image or store.resolve(ref), reference if reference.tag else None)]
    tags = store.repository(reference.name)
    if not tags:
        raise ImageNotFound(f"No such image: {ref}")
    return [(store.get(image_id), tag) for tag, image_id in tags]


def _by_id(ref: str, image: Image) -> bool:
    prefix = id_prefix(ref)
    return prefix is not None and image.id.removeprefix("sha256:").startswith(prefix)


def write(store: Store, images: list[Saved]) -> Iterator[bytes]:
    """The pieces of the archive; LayerMissing."""
    written: set[str] = set()
    docker: list[dict[str, Any]] = []
    index: list[dict[str, Any]] = []
    repositories: dict[str, dict[str, str]] = {}
    yield from _data("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
    for saved in images:
        raw, layers = _manifest(store, saved.image)
        config = store.blob(saved.image.id)
        for blob in layers:
            yield from _once(written, blob.digest, _file(_name(blob.digest), blob.path, blob.size))
        for data in (config, raw):
            yield from _once(written, digest_of(data), _data(_name(digest_of(data)), data))
        tags = [ref.familiar for ref in saved.references]
        names = [_name(blob.digest) for blob in layers]
        docker.append({"Config": _name(saved.image.id), "RepoTags": tags or None, "Layers": names})
        index += _index_entries(saved, raw)
        for ref in saved.references:
            top = saved.image.chain_ids[-1] if saved.image.layers else saved.image.id
            repositories.setdefault(ref.familiar_name, {})[ref.tag or ""] = top.removeprefix("sha256:")
    yield from _data("index.json", _json({"schemaVersion": 2, "mediaType": manifests.OCI_INDEX, "manifests": index}))
    yield from _data("manifest.json", _json(docker))
    if repositories:
        yield from _data("repositories", _json(repositories))
    yield bytes(tarfile.BLOCKSIZE * 2)


def _manifest(store: Store, image: Image) -> tuple[bytes, list[Blob]]:
    """The newest manifest of a registry whose blobs are all here, else one over the plain layers."""
    for digest in reversed(image.manifests):
        raw = store.blob(digest)
        manifest = manifests.parse(raw)
        if isinstance(manifest, Manifest):
            found = [_find(store, image, item.digest) for item in manifest.layers]
            layers = [blob for blob in found if blob is not None]
            if len(layers) == len(found):
                return raw, layers
    layers = [store.layers.tar(layer.diff_id) for layer in image.layers]
    config = store.blob(image.id)
    document = {
        "schemaVersion": 2,
        "mediaType": manifests.OCI_MANIFEST,
        "config": {"mediaType": manifests.OCI_CONFIG, "digest": image.id, "size": len(config)},
        "layers": [{"mediaType": manifests.OCI_LAYER, "digest": blob.digest, "size": blob.size} for blob in layers],
    }
    return _json(document), layers


def _find(store: Store, image: Image, digest: str) -> Blob | None:
    for layer in image.layers:
        for blob in [store.layers.tar(layer.diff_id), *store.layers.blobs(layer.diff_id)]:
            if blob.digest == digest:
                return blob
    return None


def _index_entries(saved: Saved, raw: bytes) -> list[dict[str, Any]]:
    document = msgspec.json.decode(raw, type=dict[str, Any])
    entry: dict[str, Any] = {
        "mediaType": document.get("mediaType") or manifests.OCI_MANIFEST,
        "digest": digest_of(raw),
        "size": len(raw),
        "platform": {"architecture": saved.image.architecture, "os": saved.image.os},
    }
    if saved.image.variant:
        entry["platform"]["variant"] = saved.image.variant
    named = [
        entry
        | {"annotations": {"io.containerd.image.name": str(ref), "org.opencontainers.image.ref.name": ref.tag or ""}}
        for ref in saved.references
    ]
    return named or [entry]


def _name(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")


def _json(value: object) -> bytes:
    return msgspec.json.encode(value)


def _once(written: set[str], digest: str, pieces: Iterator[bytes]) -> Iterator[bytes]:
    if digest not in written:
        written.add(digest)
        yield from pieces


def _data(name: str, data: bytes) -> Iterator[bytes]:
    yield _header(name, len(data)) + data + _padding(len(data))


def _file(name: str, path: Path, size: int) -> Iterator[bytes]:
    yield _header(name, size)
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece
    yield _padding(size)


def _header(name: str, size: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size = size
    return member.tobuf(tarfile.PAX_FORMAT)


def _padding(size: int) -> bytes:
    return bytes(-size % tarfile.BLOCKSIZE)
