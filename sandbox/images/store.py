"""The content store: images, their layers and their names in one directory that any number of processes share.

``images/<hex>`` is the record that makes an image exist, written last; ``blobs/<hex>`` holds configs and manifests;
``layers/`` the layers; ``names.json`` the references. A killed process leaves at most content nobody refers to
(``collect``) and dead scratch (removed when the next store is opened).
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from sandbox.images.disk import Disk
from sandbox.images.errors import ImageNotFound, InvalidImage, InvalidReference, LayerMissing
from sandbox.images.image import Image, Named, diff_ids, digest_of, parse_config
from sandbox.images.layer import LayerIndex
from sandbox.images.layers import LayerStore
from sandbox.images.records import Record, Records
from sandbox.images.reference import Reference, id_prefix, parse, parse_canonical

UNUSED_AGE = 24 * 3600.0
PRUNED_AGE = 3600.0


class Store:
    """One OCI content store. Every method blocks on the disk only, and may be called from any thread."""

    def __init__(self, root: Path) -> None:
        self.disk = Disk(root)
        self.layers = LayerStore(self.disk)
        self._blobs = root / "blobs"
        self._records = Records(self.disk, self.blob)
        self._names_path = root / "names.json"
        self._names: tuple[tuple[int, int, int], dict[str, str]] = ((0, 0, 0), {})
        self._by_image: tuple[dict[str, str], dict[str, list[str]]] = ({}, {})
        self._by_image_lock = threading.Lock()
        self.disk.sweep()

    def resolve(self, ref: str) -> Image:
        """The image that a name, ``name@digest``, id or unique start of an id means; ImageNotFound, InvalidReference.

        A name wins over an id prefix that looks like it, as in Docker.
        """
        return self.get(self.identify(ref))

    def identify(self, ref: str) -> str:
        """The id that ``ref`` means, as ``resolve`` finds it; of a whole id it is not looked up whether it exists."""
        whole = ref.removeprefix("sha256:")
        if len(whole) == 64 and id_prefix(whole):
            return f"sha256:{whole}"
        try:
            reference = parse(ref).tagged()
        except InvalidReference:
            if id_prefix(ref) is None:
                raise
            reference = None
        found = self._named(reference) if reference else None
        found = found or self._by_prefix(ref)
        if found is None:
            raise ImageNotFound(f"No such image: {reference.familiar if reference else ref}")
        return found

    def get(self, image_id: str) -> Image:
        """The image of a full id; ImageNotFound."""
        try:
            record = self._records.read(image_id)
            config = parse_config(self.blob(image_id))
        except FileNotFoundError:
            raise ImageNotFound(f"No such image: {image_id}") from None
        layers = tuple(self.layers.info(diff_id) for diff_id in diff_ids(config))
        named = Named.of(self.references(image_id))
        return Image(
            id=image_id,
            config=config,
            created=config.get("created") or "",
            size=sum(layer.size for layer in layers),
            layers=layers,
            tags=named.tags,
            digests=named.digests,
            architecture=config.get("architecture") or "",
            os=config.get("os") or "",
            variant=config.get("variant") or "",
            parent=record.parent,
            tagged_at=record.tagged_at,
            manifests=tuple(record.manifests),
        )

    def images(self) -> list[Image]:
        """Every image, the newest first (by its config's creation time, then id)."""
        found = []
        for image_id in self.ids():
            try:
                found.append(self.get(image_id))
            except (ImageNotFound, LayerMissing):
                continue  # deleted by another process since the listing
        return sorted(found, key=lambda image: (-image.created_ns, image.id))

    def has(self, image_id: str) -> bool:
        """Whether there is an image of this full id."""
        return self._records.has(image_id)

    def ids(self) -> list[str]:
        """Every image's id."""
        return self._records.ids()

    def references(self, image_id: str) -> list[Reference]:
        """The names and digests that mean this image."""
        names = self._read_names()
        with self._by_image_lock:
            if self._by_image[0] is not names:
                grouped: dict[str, list[str]] = {}
                for name, target in names.items():
                    grouped.setdefault(target, []).append(name)
                self._by_image = (names, grouped)
            return [parse_canonical(name) for name in self._by_image[1].get(image_id, ())]

    def children(self, image_id: str) -> list[str]:
        """The ids of the images that were built or committed from this one here."""
        with self.disk.lock():
            return sorted(self._records.needs().children.get(image_id, ()))

    def repository(self, name: str, *, digests: bool = False) -> list[tuple[Reference, str]]:
        """The tags (and digests) of a canonical repository name with the ids they mean, sorted."""
        found = [(parse_canonical(text), image_id) for text, image_id in sorted(self._read_names().items())]
        return [(ref, image_id) for ref, image_id in found if ref.name == name and (ref.tag or digests)]

    def layer(self, diff_id: str) -> LayerIndex:
        """A layer opened for reading; LayerMissing."""
        return self.layers.open(diff_id)

    def blob(self, digest: str) -> bytes:
        """A config or manifest; FileNotFoundError."""
        return (self._blobs / digest.removeprefix("sha256:")).read_bytes()

    def add(
        self,
        config: bytes,
        layers: Sequence[str] | None = None,
        *,
        references: Iterable[Reference] = (),
        manifest: bytes | None = None,
        parent: str = "",
    ) -> Image:
        """Make an image of a config whose layers are all here, and name it; both or neither happens.

        ``layers``, if given, must be the config's diff ids. LayerMissing names the first layer that is not here (it may
        have been deleted since the caller looked: bring it again). Adding an image twice is no error.
        """
        wanted = diff_ids(parse_config(config))
        if layers is not None and list(layers) != wanted:
            raise InvalidImage("the layers are not those of the image config")
        image_id = digest_of(config)
        with self.disk.lock():
            for diff_id in wanted:
                if not self.layers.has(diff_id):
                    raise LayerMissing(f"layer {diff_id} is not in the store")
            record = self._known_record(image_id)
            self._put_blob(config)
            if manifest is not None and digest_of(manifest) not in record.manifests:
                record.manifests.append(self._put_blob(manifest))
            record.parent = record.parent or parent
            self._name(image_id, record, list(references))
            return self.get(image_id)

    def tag(self, image_id: str, ref: str | Reference) -> Reference:
        """Let a name mean this image, and no other any more; returns the completed name. ImageNotFound."""
        reference = parse(ref) if isinstance(ref, str) else ref
        if isinstance(ref, str) and reference.digest:
            raise InvalidReference("refusing to create a tag with a digest reference")
        if reference.familiar_name == "sha256":
            raise InvalidReference("refusing to create an ambiguous tag using digest algorithm as name")
        reference = reference.tagged()
        with self.disk.lock():
            try:
                record = self._records.read(image_id)
            except FileNotFoundError:
                raise ImageNotFound(f"No such image: {image_id}") from None
            self._name(image_id, record, [reference])
        return reference

    def pushed(self, image_id: str, reference: Reference, manifest: bytes) -> None:
        """A registry has this image under ``reference`` (a tag) as ``manifest``; ImageNotFound if it went meanwhile."""
        with self.disk.lock():
            try:
                record = self._records.read(image_id)
            except FileNotFoundError:
                raise ImageNotFound(f"No such image: {image_id}") from None
            digest = self._put_blob(manifest)
            if digest not in record.manifests:
                record.manifests.append(digest)
                self._records.write(image_id, record)
            self._write_names({**self._read_names(), str(reference.with_digest(digest)): image_id})

    def untag(self, ref: str | Reference) -> Reference:
        """Forget a name; the image stays. Returns the completed name; ImageNotFound."""
        reference = (parse(ref) if isinstance(ref, str) else ref).tagged()
        with self.disk.lock():
            names = dict(self._read_names())
            if names.pop(str(reference), None) is None:
                raise ImageNotFound(f"No such image: {reference.familiar}")
            self._write_names(names)
        return reference

    def delete(self, image_id: str) -> list[str]:
        """Remove an image, its names and what no other image needs; ImageNotFound.

        Returns the image's id, then the chain ids of the layers that went, topmost first (what Docker lists as
        Deleted). Whether it is in use is the caller's business.
        """
        with self.disk.lock():
            image = self.get(image_id)
            names = self._read_names()
            kept = {name: target for name, target in names.items() if target != image_id}
            if len(kept) != len(names):
                self._write_names(kept)
            self._records.needs()
            self._records.remove(image_id)
            needs = self._records.needs()
            for digest in {image_id, *image.manifests} - needs.blobs.keys():
                (self._blobs / digest.removeprefix("sha256:")).unlink(missing_ok=True)
            for diff_id in [layer.diff_id for layer in image.layers if layer.diff_id not in needs.layers]:
                self.layers.delete(diff_id)
            return [image_id, *(chain for chain in reversed(image.chain_ids) if chain not in needs.chains)]

    def drop_unused(self, layers: Iterable[str]) -> None:
        """Remove those of ``layers`` that no image needs: what an operation brought before it failed."""
        with self.disk.lock():
            for diff_id in set(layers) - self._records.needs().layers.keys():
                self.layers.delete(diff_id)

    def collect(self, older_than: float = UNUSED_AGE) -> int:
        """Remove layers, blobs and partial downloads that no image needs and nobody touched for so many seconds.

        The age spares what a pull or a build brought and has yet to make an image of (they bring a layer again that
        goes nevertheless), and what a repeated pull can go on with. Returns the bytes freed.
        """
        freed = 0
        now = time.time()
        self.disk.sweep()
        with self.disk.lock():
            needs = self._records.needs()
            for diff_id in self.layers.all():
                if diff_id not in needs.layers and self.layers.age(diff_id, now) >= older_than:
                    freed += self.layers.info(diff_id).tar_size
                    self.layers.delete(diff_id)
            for path in self._blobs.iterdir():
                if f"sha256:{path.name}" not in needs.blobs:
                    freed += self._remove_old(path, now - older_than)
        for path in (self.disk.root / "partial").iterdir():
            freed += self._remove_old(path, now - older_than)
        return freed

    def _remove_old(self, path: Path, limit: float) -> int:
        """Remove a file last written before ``limit`` that nobody works on; the bytes freed."""
        try:
            status = path.stat()
            return status.st_size if status.st_mtime <= limit and self.disk.remove_idle(path) else 0
        except FileNotFoundError:
            return 0  # a download ended just now

    def _known_record(self, image_id: str) -> Record:
        try:
            return self._records.read(image_id)
        except FileNotFoundError:
            return Record()

    def _name(self, image_id: str, record: Record, references: list[Reference]) -> None:
        """Write the record, then the names: a name never means an image that is not there."""
        if references:
            record.tagged_at = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        self._records.write(image_id, record)
        if references:
            self._write_names({**self._read_names(), **{str(ref): image_id for ref in references}})

    def _put_blob(self, data: bytes) -> str:
        digest = digest_of(data)
        path = self._blobs / digest.removeprefix("sha256:")
        if not path.exists():
            self.disk.write(path, data)
        return digest

    def _named(self, reference: Reference) -> str | None:
        if reference.digest and reference.tag:
            reference = reference.with_digest(reference.digest)
        return self._read_names().get(str(reference))

    def _by_prefix(self, text: str) -> str | None:
        prefix = id_prefix(text)
        found = [image_id for image_id in self.ids() if image_id[7:].startswith(prefix)] if prefix else []
        return found[0] if len(found) == 1 else None

    def _read_names(self) -> dict[str, str]:
        """The references; read again only when the file changed. Never modify the answer."""
        try:
            status = os.stat(self._names_path)
        except FileNotFoundError:
            return {}
        signature = (status.st_ino, status.st_mtime_ns, status.st_size)
        if self._names[0] != signature:
            self._names = (signature, msgspec.json.decode(self._names_path.read_bytes(), type=dict[str, str]))
        return self._names[1]

    def _write_names(self, names: dict[str, str]) -> None:
        self.disk.write(self._names_path, msgspec.json.encode(names))
