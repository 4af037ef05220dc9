"""Manifests as registries and OCI layouts hold them: schema 2 and OCI images, manifest lists and indexes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from sandbox.images.errors import InvalidImage, InvalidReference, ManifestNotFound
from sandbox.images.image import digest_of
from sandbox.images.platforms import Platform, choose
from sandbox.images.reference import check_digest

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
ACCEPT = ", ".join((DOCKER_MANIFEST, DOCKER_LIST, OCI_MANIFEST, OCI_INDEX))
MAX_DEPTH = 2
"""How many indexes may be around an image, one in another."""
_CONFIGS = (DOCKER_CONFIG, OCI_CONFIG, "application/octet-stream", "")
_SCHEMA1 = (
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
)


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What one manifest says of one blob."""

    digest: str
    size: int
    media_type: str = ""


@dataclass(frozen=True, slots=True)
class Manifest:
    """One image's manifest: its bytes, their digest, and the blobs it names (layers lowest first)."""

    raw: bytes
    digest: str
    config: Descriptor
    layers: tuple[Descriptor, ...]


@dataclass(frozen=True, slots=True)
class Index:
    """A list of manifests, one a platform; entries without a platform have None."""

    raw: bytes
    digest: str
    entries: tuple[tuple[Platform | None, Descriptor], ...]

    def candidates(self, wanted: Platform) -> list[tuple[Descriptor, bool]]:
        """The entry for ``wanted``, or else those without a platform: True for one whose config has yet to tell."""
        offered = [(platform, entry) for platform, entry in self.entries if platform is not None]
        found = choose(wanted, offered)
        if found is not None:
            return [(found, False)]
        return [(entry, True) for platform, entry in self.entries if platform is None]


def unmatched(wanted: Platform) -> ManifestNotFound:
    """No entry is for ``wanted``, in Docker's words."""
    return ManifestNotFound(f"no matching manifest for {wanted} in the manifest list entries")


def parse(raw: bytes, media_type: str = "") -> Manifest | Index:
    """Read a manifest or index; InvalidImage. ``media_type`` is what the transport said, the document's own wins."""
    document = _object(raw)
    kind = document.get("mediaType") or media_type.partition(";")[0].strip()
    if kind in _SCHEMA1 or document.get("schemaVersion") == 1:
        raise InvalidImage(
            "Docker Image manifest version 2, schema 1 is not supported: the image must be pushed again "
            "as schema 2 or as an OCI image"
        )
    if document.get("schemaVersion") != 2:
        raise InvalidImage("manifest has no supported schemaVersion")
    if "layers" in document and "manifests" in document:
        raise InvalidImage("manifest names both layers and manifests")
    if "manifests" in document:
        return Index(raw, digest_of(raw), tuple(_entry(item) for item in _items(document, "manifests")))
    config = _descriptor(document.get("config"))
    if config.media_type not in _CONFIGS:
        raise InvalidImage(f"{config.media_type} is no container image")
    return Manifest(raw, digest_of(raw), config, tuple(_descriptor(item) for item in _items(document, "layers")))


def schema2(config: Descriptor, layers: Sequence[Descriptor]) -> bytes:
    """The manifest of an image with gzip layers, byte for byte as dockerd writes it: same image, same digest."""

    def described(media_type: str, blob: Descriptor) -> dict[str, Any]:
        return {"mediaType": media_type, "size": blob.size, "digest": blob.digest}

    document = {
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST,
        "config": described(DOCKER_CONFIG, config),
        "layers": [described(DOCKER_LAYER, layer) for layer in layers],
    }
    return json.dumps(document, indent=3).encode()


def media_type(raw: bytes) -> str:
    """What a stored manifest is to be called in a Content-Type; OCI leaves the field of the document optional."""
    document = _object(raw)
    default = OCI_INDEX if "manifests" in document else OCI_MANIFEST
    return str(document.get("mediaType") or default)


def platforms(raw: bytes) -> list[dict[str, Any]]:
    """The platforms that an index's document lists, as they stand there."""
    items = [item.get("platform") for item in _items(_object(raw), "manifests") if isinstance(item, dict)]
    return [platform(item) for item in items if isinstance(item, dict)]


def platform(document: dict[str, Any]) -> dict[str, Any]:
    """The OCI platform in an image config or an index's entry; empty if it names none."""
    keys = ("architecture", "os", "os.version", "os.features", "variant")
    found = {key: document[key] for key in keys if document.get(key)}
    return found if "os" in found or "architecture" in found else {}


def _object(raw: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(raw, type=dict[str, Any])
    except (ValueError, RecursionError) as error:  # no JSON, no UTF-8, or nested without end
        raise InvalidImage(f"manifest is no JSON object: {error}") from None


def _items(document: dict[str, Any], key: str) -> list[Any]:
    items = document.get(key)
    if not isinstance(items, list):
        raise InvalidImage(f"manifest has no {key}")
    return items


def _descriptor(item: object) -> Descriptor:
    if not isinstance(item, dict):
        raise InvalidImage("manifest has a malformed descriptor")
    digest, size, media_type = item.get("digest"), item.get("size"), item.get("mediaType") or ""
    if not isinstance(digest, str) or not isinstance(size, int) or size < 0 or not isinstance(media_type, str):
        raise InvalidImage("manifest has a malformed descriptor")
    try:
        check_digest(digest)
    except InvalidReference as error:
        raise InvalidImage(f"manifest: {error}") from None
    if not digest.startswith("sha256:"):
        raise InvalidImage(f"manifest: {digest.partition(':')[0]} digests are not supported")
    return Descriptor(digest, size, media_type)


def _entry(item: object) -> tuple[Platform | None, Descriptor]:
    descriptor = _descriptor(item)
    assert isinstance(item, dict)
    platform = item.get("platform")
    if not isinstance(platform, dict) or not platform:
        return None, descriptor
    parts = [platform.get(key) or "" for key in ("os", "architecture", "variant")]
    if not all(isinstance(part, str) for part in parts):
        raise InvalidImage("manifest has a malformed platform")
    return Platform.of(*parts), descriptor
