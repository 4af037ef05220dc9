"""Where a layer's blob can be had for a registry: what each layer is called there, and who there has it already.

A layer is known by its diff id here and by the digest of its (compressed) blob in a registry. Every manifest in the
store ties the two together, also those of other images with the same layer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sandbox.images import manifests
from sandbox.images.compression import MAGIC_LENGTH, sniff
from sandbox.images.errors import InvalidImage
from sandbox.images.image import Image
from sandbox.images.layers import Blob
from sandbox.images.manifests import Descriptor, Manifest
from sandbox.images.reference import Reference
from sandbox.images.store import Store


@dataclass(frozen=True, slots=True)
class LayerSource:
    """One layer. ``preferred`` is its blob in the manifest to reproduce, if there is one; ``others`` are gzip blobs
    with the same content, newest first; ``repositories`` of the registry that are known to have one: (digest, path)."""

    diff_id: str
    preferred: Descriptor | None
    others: tuple[Descriptor, ...]
    repositories: tuple[tuple[str, str], ...]

    @property
    def known(self) -> list[Descriptor]:
        """All blobs this layer may have in a registry, the best first."""
        return [*([self.preferred] if self.preferred else []), *self.others]


@dataclass(frozen=True, slots=True)
class Plan:
    """How to push an image: the manifest to reproduce, if any, and its layers, lowest first."""

    manifest: Manifest | None
    layers: tuple[LayerSource, ...]


def plan(store: Store, image: Image, target: Reference) -> Plan:
    """Look through the store for what is known of the image's layers. Blocks on the disk."""
    manifest = _preferred(store, image, target)
    known: dict[str, list[Descriptor]] = {layer.diff_id: [] for layer in image.layers}
    where: dict[str, list[tuple[str, str]]] = {diff_id: [] for diff_id in known}
    for other in [image, *(found for found in store.images() if found.id != image.id)]:
        paths = [ref.path for ref in store.references(other.id) if ref.domain == target.domain and ref.digest]
        for found in _manifests(store, other):
            for layer, blob in zip(other.layers, found.layers, strict=True):
                if layer.diff_id in known:
                    _note(known[layer.diff_id], where[layer.diff_id], blob, paths)
    layers = []
    for position, layer in enumerate(image.layers):
        preferred = manifest.layers[position] if manifest else None
        others = tuple(blob for blob in known[layer.diff_id] if blob.media_type.endswith("gzip") and blob != preferred)
        places = tuple(place for place in where[layer.diff_id] if place[1] != target.path)
        layers.append(LayerSource(layer.diff_id, preferred, others, places))
    return Plan(manifest, tuple(layers))


def local(store: Store, source: LayerSource) -> tuple[Descriptor, Blob] | None:
    """The best of the layer's blobs that is on disk as it has to be sent; None if the layer has to be packed."""
    packed = store.layers.blobs(source.diff_id)
    here = {blob.digest: blob for blob in [store.layers.tar(source.diff_id), *packed]}
    for descriptor in source.known:
        if descriptor.digest in here:
            return descriptor, here[descriptor.digest]
    for blob in packed:
        with blob.path.open("rb") as file:
            if sniff(file.read(MAGIC_LENGTH)) == "gzip":
                return Descriptor(blob.digest, blob.size, manifests.DOCKER_LAYER), blob
    return None


def _note(known: list[Descriptor], where: list[tuple[str, str]], blob: Descriptor, paths: list[str]) -> None:
    if blob not in known:
        known.append(blob)
    where += [(blob.digest, path) for path in paths if (blob.digest, path) not in where]


def _preferred(store: Store, image: Image, target: Reference) -> Manifest | None:
    """One that the target repository had before, else one whose blobs are all here, else the newest."""
    found = list(_manifests(store, image))
    there = {ref.digest for ref in store.references(image.id) if ref.name == target.name}
    here = {blob.digest for layer in image.layers for blob in store.layers.blobs(layer.diff_id)}
    here.update(layer.diff_id for layer in image.layers)

    def rank(manifest: Manifest) -> tuple[bool, bool]:
        return manifest.digest in there, all(blob.digest in here for blob in manifest.layers)

    return max(found, key=rank, default=None)


def _manifests(store: Store, image: Image) -> Iterator[Manifest]:
    """The manifests an image is known by, the newest first."""
    for digest in reversed(image.manifests):
        try:
            manifest = manifests.parse(store.blob(digest))
        except (FileNotFoundError, InvalidImage):
            continue  # the image is being deleted by another process
        if isinstance(manifest, Manifest) and len(manifest.layers) == len(image.layers):
            yield manifest
