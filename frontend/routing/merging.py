"""What several workers say, as one answer. Rows of the default worker come first where the order is free."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from backends.api import types as t


def containers(lists: Iterable[list[t.ContainerSummary]], limit: int) -> list[t.ContainerSummary]:
    """The newest first, at most ``limit`` if it is positive."""
    rows = sorted((row for rows in lists for row in rows), key=lambda row: row.created, reverse=True)
    return rows[:limit] if limit > 0 else rows


def images(lists: Iterable[list[t.ImageSummary]]) -> list[t.ImageSummary]:
    """One row for each id, with all its names; the newest first."""
    merged: dict[str, t.ImageSummary] = {}
    for row in (row for rows in lists for row in rows):
        known = merged.get(row.id)
        merged[row.id] = row if known is None else _same_image(known, row)
    return sorted(merged.values(), key=lambda row: row.created, reverse=True)


def _same_image(one: t.ImageSummary, other: t.ImageSummary) -> t.ImageSummary:
    return replace(
        one,
        repo_tags=_union(one.repo_tags, other.repo_tags),
        repo_digests=_union(one.repo_digests, other.repo_digests),
        containers=_sum_known(one.containers, other.containers),
    )


def _union(one: list[str], other: list[str]) -> list[str]:
    named = list(dict.fromkeys([*one, *other]))
    real = [name for name in named if not name.startswith("<none>")]
    return real or named


def by_name(lists: Iterable[list[Any]]) -> list[Any]:
    """Networks or volumes: what a later worker has under the name of an earlier one's is the same to the user."""
    merged: list[Any] = []
    for rows in lists:
        taken = {row.name for row in merged}
        merged += [row for row in rows if row.name not in taken]
    return merged


def network(rows: list[t.Network]) -> t.Network:
    """The first row with the containers of all."""
    members = {identity: member for row in rows for identity, member in row.containers.items()}
    return replace(rows[0], containers=members)


def pruned(answers: Iterable[t.Pruned]) -> t.Pruned:
    """All that was deleted."""
    found = list(answers)
    deleted = list(dict.fromkeys(name for one in found for name in one.deleted))
    return t.Pruned(deleted=deleted, space_reclaimed=sum(one.space_reclaimed for one in found))


def info(infos: list[t.Info], runtimes: list[str], away: list[str]) -> t.Info:
    """The first worker's words with everybody's containers and images counted; ``away`` says who did not answer."""
    counted = ("containers", "containers_running", "containers_paused", "containers_stopped", "images")
    sums = {name: sum(getattr(one, name) for one in infos) for name in counted}
    warnings = [text for one in infos for text in one.warnings] + away
    return replace(infos[0], **sums, runtimes=runtimes, warnings=list(dict.fromkeys(warnings)))


def disk_usage(usages: list[t.DiskUsage]) -> t.DiskUsage:
    """All objects, each image and each volume's name once."""
    return t.DiskUsage(
        layers_size=sum(one.layers_size for one in usages),
        images=images(one.images for one in usages),
        containers=containers((one.containers for one in usages), 0),
        volumes=_used_volumes([volume for one in usages for volume in one.volumes]),
        build_cache=[row for one in usages for row in one.build_cache],
    )


def _used_volumes(rows: list[t.Volume]) -> list[t.Volume]:
    """One row for each name, with the sizes and users of all."""
    merged: dict[str, t.Volume] = {}
    for row in rows:
        known, here = (merged.setdefault(row.name, row).usage_data or {}), (row.usage_data or {})
        if merged[row.name] is not row:
            sums = {key: _sum_known(known.get(key, -1), here.get(key, -1)) for key in ("RefCount", "Size")}
            merged[row.name] = replace(merged[row.name], usage_data=sums)
    return list(merged.values())


def _sum_known(*counts: int) -> int:
    """-1 = unknown."""
    known = [count for count in counts if count >= 0]
    return sum(known) if known else -1


def moment(text: str) -> datetime:
    """A time of RFC 3339, to the microsecond; "" = never."""
    return datetime.fromisoformat(text or t.ZERO_TIME)
