"""From the members of an archive to images in a store: docker-archive (manifest.json) or OCI layout (index.json)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from sandbox.images import manifests
from sandbox.images.errors import ImageNotFound, InvalidImage, InvalidReference, LayerMissing
from sandbox.images.image import diff_ids, digest_of, parse_config
from sandbox.images.layers import Blob
from sandbox.images.manifests import Index, Manifest
from sandbox.images.members import Members
from sandbox.images.platforms import Platform
from sandbox.images.reference import Reference, parse
from sandbox.images.store import Store

ATTEMPTS = 3
_NAME = "io.containerd.image.name"
_REF_NAME = "org.opencontainers.image.ref.name"


@dataclass(frozen=True, slots=True)
class Loaded:
    """One image that was loaded: under ``reference`` (familiar), or ``""`` if the archive gives it no name.

    ``replaced`` is the image that had the name before, if it was another.
    """

    image: str
    reference: str = ""
    replaced: str = ""

    @property
    def line(self) -> str:
        """What docker load prints."""
        if self.reference:
            return f"Loaded image: {self.reference}"
        return f"Loaded image ID: {self.image}"


def load_members(store: Store, members: Members, platform: Platform) -> list[Loaded]:
    """Load every image of the archive; of an index with several platforms the one for ``platform``. InvalidImage."""
    brought: list[str] = []
    try:
        if members.find("manifest.json"):
            return _docker(store, members, brought)
        if members.find("index.json"):
            return _oci(store, members, platform, brought)
    except BaseException:
        store.drop_unused(brought)
        raise
    raise InvalidImage("invalid archive: does not contain a manifest.json or an index.json")


def _docker(store: Store, members: Members, brought: list[str]) -> list[Loaded]:
    loaded: list[Loaded] = []
    for item in _list(members.read("manifest.json"), "manifest.json"):
        config = members.read(item.get("Config"))
        layers = item.get("Layers") or []
        tags = item.get("RepoTags") or []
        if not isinstance(layers, list) or not isinstance(tags, list):
            raise InvalidImage("invalid archive: malformed manifest.json")
        sources = [(name, None) for name in layers]
        loaded += _add(store, _New(config, sources, [_reference(tag) for tag in tags]), members, brought)
    return loaded


def _oci(store: Store, members: Members, platform: Platform, brought: list[str]) -> list[Loaded]:
    index = _object(members.read("index.json"), "index.json")
    entries = index.get("manifests")
    if not isinstance(entries, list) or not entries:
        raise InvalidImage("invalid archive: index.json names no manifest")
    loaded: list[Loaded] = []
    parsed = manifests.parse(members.read("index.json"), manifests.OCI_INDEX)
    assert isinstance(parsed, Index)
    names = [_annotated(entry) for entry in entries]
    suitable = _suitable(parsed, platform, names)
    for position in suitable:
        manifest, config = _resolve(members, parsed.entries[position][1].digest, platform)
        sources = [(_blob_name(item.digest), item.digest) for item in manifest.layers]
        loaded += _add(store, _New(config, sources, names[position], manifest.raw), members, brought)
    return loaded


def _suitable(index: Index, platform: Platform, names: list[list[Reference]]) -> list[int]:
    """Entries of one name (or of none) are one image for several platforms: take the one that suits."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for position, references in enumerate(names):
        groups.setdefault(tuple(str(ref) for ref in references), []).append(position)
    chosen: list[int] = []
    for positions in groups.values():
        entries = [index.entries[position] for position in positions]
        if len(positions) == 1 or any(entry[0] is None for entry in entries):
            chosen += positions
            continue
        wanted = Index(b"", "", tuple(entries)).candidates(platform)
        if not wanted:
            raise manifests.unmatched(platform)
        chosen.append(positions[[entry[1] for entry in entries].index(wanted[0][0])])
    return sorted(chosen)


def _resolve(members: Members, digest: str, platform: Platform, depth: int = 0) -> tuple[Manifest, bytes]:
    """The manifest and config of one image."""
    document = manifests.parse(_checked(members, digest))
    if isinstance(document, Manifest):
        return document, _checked(members, document.config.digest)
    if depth == manifests.MAX_DEPTH:
        raise InvalidImage("manifest lists are nested too deep")
    for entry, ask in document.candidates(platform):
        manifest, config = _resolve(members, entry.digest, platform, depth + 1)
        if not ask or platform.rank(Platform.of_config(parse_config(config))) is not None:
            return manifest, config
    raise manifests.unmatched(platform)


def _checked(members: Members, digest: str) -> bytes:
    raw = members.read(_blob_name(digest))
    if digest_of(raw) != digest:
        raise InvalidImage(f"invalid archive: {digest} is not what its name says")
    return raw


@dataclass(frozen=True, slots=True)
class _New:
    """An image of the archive. ``sources``: the member that each layer is, and its digest where the archive tells."""

    config: bytes
    sources: Sequence[tuple[object, str | None]]
    references: list[Reference]
    manifest: bytes | None = None


def _add(store: Store, new: _New, members: Members, brought: list[str]) -> list[Loaded]:
    """Bring the layers and register the image; again if somebody removes one in between with an image that had it."""
    for _ in range(ATTEMPTS):
        _bring_layers(store, new, members, brought)
        try:
            return _register(store, new)
        except LayerMissing:
            continue
    raise LayerMissing("the image's layers keep being deleted while it is loaded")


def _bring_layers(store: Store, new: _New, members: Members, brought: list[str]) -> None:
    parsed = parse_config(new.config)
    system = parsed.get("os") or "linux"
    if system.lower() != "linux":
        raise InvalidImage(f"cannot load {system} image on linux")
    wanted = diff_ids(parsed)
    if len(wanted) != len(new.sources):
        raise InvalidImage(f"invalid manifest, layers length mismatch: expected {len(new.sources)}, got {len(wanted)}")
    for diff_id, (name, digest) in zip(wanted, new.sources, strict=True):
        if store.layers.renew(diff_id):
            continue  # docker load may leave such a layer out of the archive's files
        blob: Blob = members.get(name)
        if digest is not None and blob.digest != digest:
            raise InvalidImage(f"invalid archive: {digest} is not what its name says")
        brought.append(diff_id)
        given = blob.path.with_suffix(".layer")
        given.hardlink_to(blob.path)  # the member itself stays: it may be needed again
        store.layers.put(given, digest=blob.digest, expected=diff_id)


def _register(store: Store, new: _New) -> list[Loaded]:
    before = {str(ref): _current(store, ref) for ref in new.references}
    image = store.add(new.config, references=new.references, manifest=new.manifest)
    loaded = []
    for ref in new.references:
        old = before[str(ref)]
        loaded.append(Loaded(image.id, ref.familiar, old if old != image.id else ""))
    return loaded or [Loaded(image.id)]


def _current(store: Store, reference: Reference) -> str:
    try:
        return store.resolve(str(reference)).id
    except ImageNotFound:
        return ""


def _annotated(entry: dict[str, Any]) -> list[Reference]:
    """containerd's full name, else a ref.name that is more than a tag (skopeo and podman write whole names there)."""
    annotations = entry.get("annotations")
    if not isinstance(annotations, dict):
        return []
    name = annotations.get(_NAME) or annotations.get(_REF_NAME)
    if not isinstance(name, str) or (_NAME not in annotations and "/" not in name and ":" not in name):
        return []
    return [_reference(name)]


def _reference(text: object) -> Reference:
    if not isinstance(text, str):
        raise InvalidImage("invalid archive: a tag is no string")
    try:
        reference = parse(text)
    except InvalidReference as error:
        raise InvalidImage(f"invalid tag {text!r}: {error}") from None
    return reference.tagged()


def _blob_name(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")


def _list(raw: bytes, name: str) -> list[dict[str, Any]]:
    try:
        return msgspec.json.decode(raw, type=list[dict[str, Any]])
    except (ValueError, RecursionError) as error:
        raise InvalidImage(f"invalid archive: {name}: {error}") from None


def _object(raw: bytes, name: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(raw, type=dict[str, Any])
    except (ValueError, RecursionError) as error:
        raise InvalidImage(f"invalid archive: {name}: {error}") from None
