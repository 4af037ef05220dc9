"""What images cost on disk, and how they came to be: the figures of ``system df`` and ``docker history``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sandbox.images.image import Image, unix_ns


@dataclass(frozen=True, slots=True)
class DiskUsage:
    """``layers_size``: bytes of all layers, each counted once. ``shared``: image id -> bytes it shares with others."""

    layers_size: int
    shared: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HistoryItem:
    """One line of ``docker history``; ``id`` is ``<missing>`` for what is no image of its own here."""

    id: str
    created: int
    created_by: str
    tags: tuple[str, ...]
    size: int
    comment: str


def disk_usage(images: Sequence[Image]) -> DiskUsage:
    """Add up the layers of ``images``; a layer is the same if everything below it is the same (its chain id)."""
    users: Counter[str] = Counter()
    sizes: dict[str, int] = {}
    for image in images:
        for chain, layer in zip(image.chain_ids, image.layers, strict=True):
            users[chain] += 1
            sizes[chain] = layer.size
    shared = {image.id: sum(sizes[chain] for chain in image.chain_ids if users[chain] > 1) for image in images}
    return DiskUsage(sum(sizes.values()), shared)


def history(image: Image, known: Mapping[str, Image]) -> list[HistoryItem]:
    """The steps that made ``image``, the last first; ``known`` (id -> image) names the parents that are here."""
    steps = [step for step in image.config.get("history") or [] if isinstance(step, dict)]
    sizes = iter(image.layers)
    items: list[HistoryItem] = []
    for step in steps:
        layer = None if step.get("empty_layer") else next(sizes, None)
        created = unix_ns(str(step.get("created") or "")) // 1_000_000_000
        comment = str(step.get("comment") or "")
        size = layer.size if layer else 0
        items.append(HistoryItem("<missing>", created, str(step.get("created_by") or ""), (), size, comment))
    items.reverse()
    owner: Image | None = image
    for position, item in enumerate(items):
        if owner is None:
            break
        items[position] = HistoryItem(owner.id, item.created, item.created_by, owner.tags, item.size, item.comment)
        owner = known.get(owner.parent)
    return items
