"""The records that make images exist, ``images/<hex>``, and what they need: which image holds a layer or a blob.

The answer costs no walk over the store: the counts are kept in memory and corrected with each change. A change by
another process is noticed by the store's stamp (``images.stamp``, a random text written before each change, under the
store's lock), and then everything is counted anew.
"""

from __future__ import annotations

import os
import secrets
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import msgspec

from sandbox.images.disk import Disk, storage_errors
from sandbox.images.image import chain_ids, diff_ids, parse_config


class Record(msgspec.Struct, omit_defaults=True):
    """What a store knows of an image beside its config. ``manifests`` are digests of blobs."""

    parent: str = ""
    tagged_at: str = ""
    manifests: list[str] = []


@dataclass(slots=True)
class Needs:
    """How many images need each layer (diff id), each stack of layers (chain id) and each blob, and their children."""

    layers: Counter[str] = field(default_factory=Counter)
    chains: Counter[str] = field(default_factory=Counter)
    blobs: Counter[str] = field(default_factory=Counter)
    children: dict[str, set[str]] = field(default_factory=dict)


class Records:
    """The image records of one store. Whoever calls ``needs``, ``write`` or ``remove`` holds the store's lock."""

    def __init__(self, disk: Disk, blob: Callable[[str], bytes]) -> None:
        self._disk = disk
        self._blob = blob
        self._directory = disk.root / "images"
        self._stamp_path = disk.root / "images.stamp"
        self._stamp = ""
        self._known: dict[str, Record] = {}
        self._stacks: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {}
        self._needs = Needs()

    def ids(self) -> list[str]:
        """Every image's id."""
        return [f"sha256:{name}" for name in os.listdir(self._directory)]

    def has(self, image_id: str) -> bool:
        """Whether there is such an image."""
        return (self._directory / image_id.removeprefix("sha256:")).exists()

    def read(self, image_id: str) -> Record:
        """FileNotFoundError if there is no such image."""
        return msgspec.json.decode((self._directory / image_id.removeprefix("sha256:")).read_bytes(), type=Record)

    def write(self, image_id: str, record: Record) -> None:
        """Make an image exist, or change its record; its config is a blob already."""
        current = self._change()
        self._disk.write(self._directory / image_id.removeprefix("sha256:"), msgspec.json.encode(record))
        if current:
            self._count(image_id, msgspec.structs.replace(record, manifests=list(record.manifests)))
            self._stamp = current

    def remove(self, image_id: str) -> None:
        """Make an image exist no more; FileNotFoundError."""
        current = self._change()
        (self._directory / image_id.removeprefix("sha256:")).unlink()
        if current:
            self._count(image_id, None)
            self._stamp = current

    def needs(self) -> Needs:
        """What all images need now. Never modify the answer."""
        stamp = self._read_stamp()
        if not stamp or stamp != self._stamp:
            self._known, self._needs = {}, Needs()
            for image_id in self.ids():
                self._count(image_id, self.read(image_id))
            self._stacks = {image_id: self._stacks[image_id] for image_id in self._known}
            self._stamp = stamp
        return self._needs

    def _change(self) -> str:
        """Tell other processes of a change that is about to come; the new stamp if ours are the latest counts."""
        current = bool(self._stamp) and self._read_stamp() == self._stamp
        self._stamp = ""  # until the change is done: should it fail, everything is counted anew
        new = secrets.token_hex(16)
        with storage_errors():
            fd = os.open(self._stamp_path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.pwrite(fd, new.encode(), 0)
            finally:
                os.close(fd)
        return new if current else ""

    def _read_stamp(self) -> str:
        try:
            return self._stamp_path.read_text()
        except FileNotFoundError:
            return ""

    def _count(self, image_id: str, record: Record | None) -> None:
        old = self._known.pop(image_id, None)
        if old is not None:
            self._add(image_id, old, -1)
        if record is None:
            self._stacks.pop(image_id, None)
        else:
            self._known[image_id] = record
            self._add(image_id, record, 1)

    def _add(self, image_id: str, record: Record, sign: int) -> None:
        layers, chains = self._stack(image_id)
        for counter, items in (
            (self._needs.layers, set(layers)),
            (self._needs.chains, set(chains)),
            (self._needs.blobs, {image_id, *record.manifests}),
        ):
            _sum(counter, items, sign)
        if record.parent:
            children = self._needs.children.setdefault(record.parent, set())
            (children.add if sign > 0 else children.discard)(image_id)

    def _stack(self, image_id: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The diff ids and chain ids of an image: its config never changes."""
        if image_id not in self._stacks:
            layers = diff_ids(parse_config(self._blob(image_id)))
            self._stacks[image_id] = tuple(layers), chain_ids(layers)
        return self._stacks[image_id]


def _sum(counter: Counter[str], items: Iterable[str], sign: int) -> None:
    for item in items:
        counter[item] += sign
        if not counter[item]:
            del counter[item]
