"""Removing what nobody uses, on any of several workers.

A network or volume is one by its name, while each worker knows the containers of its own only: what one has unused may
be in use under the same name on another, so that who uses what is asked of all before anything is removed. What comes
into use meanwhile is refused by its worker, and stays.
"""

from __future__ import annotations

import logging
from typing import Any

from backends.api import types as t
from backends.api.errors import NotFound, Unavailable
from frontend.routing import merging
from frontend.routing.asking import Said, answered, ask
from frontend.routing.workers import Worker

log = logging.getLogger(__name__)
ANONYMOUS = "com.docker.volume.anonymous"


async def used(workers: list[Worker], listing: str) -> set[str]:
    """The names of the networks or volumes (``listing``: the operation) that containers on any worker use."""
    said = answered(await ask(workers, listing, {"dangling": ["false"]}))
    return {row.name for one in said for row in one.value}


async def networks(workers: list[Worker], filters: t.Filters) -> t.Pruned:
    """Docker's POST /networks/prune."""
    limit = float(filters["until"][0]) if filters.get("until") else None
    found = [
        (worker, network)
        for worker, network in await _unused(workers, "list_networks", filters)
        if not (network.ingress or network.config_only)
        and (limit is None or merging.moment(network.created).timestamp() <= limit)
    ]
    return t.Pruned(deleted=await _remove("remove_network", [(worker, row.name, (row.id,)) for worker, row in found]))


async def volumes(workers: list[Worker], filters: t.Filters) -> t.Pruned:
    """Docker's POST /volumes/prune: anonymous ones, or all with the filter all=true."""
    everything = filters.get("all") == ["true"]
    found = [
        (worker, volume)
        for worker, volume in await _unused(workers, "list_volumes", filters)
        if volume.driver == "local" and (everything or ANONYMOUS in (volume.labels or {}))
    ]
    sizes = await _sizes(list(dict.fromkeys(worker for worker, _ in found)))
    gone = await _remove("remove_volume", [(worker, row.name, (row.name, False)) for worker, row in found])
    space = sum(sizes.get((worker, row.name), 0) for worker, row in found if row.name in gone)
    return t.Pruned(deleted=gone, space_reclaimed=space)


async def everywhere(workers: list[Worker], operation: str, *args: Any) -> list[Any]:
    """Have every worker prune what is its own. A refusal is raised; it tells what the others removed all the same."""
    said = await ask(workers, operation, *args)
    gone = [name for one in said if one.error is None for name in _names(one)]
    for one in said:
        if gone and one.error is not None and not isinstance(one.error, Unavailable):
            raise type(one.error)(f"{one.error.message} (removed on other backends: {', '.join(gone)})")
    return [one.value for one in answered(said)]


async def images(workers: list[Worker], filters: t.Filters) -> tuple[list[t.RemovedImage], int]:
    """Docker's POST /images/prune. A copy that another worker uses stays, and is not told as removed."""
    answers = await everywhere(workers, "prune_images", filters)
    rows = [row for one in answered(await ask(workers, "list_images", True, {}, False)) for row in one.value]
    left = {name for row in rows for name in (row.id, *row.repo_tags, *row.repo_digests)}
    removed = dict.fromkeys(one for deleted, _ in answers for one in deleted)
    return [one for one in removed if not {one.deleted, one.untagged} & left], sum(space for _, space in answers)


async def _unused(workers: list[Worker], listing: str, filters: t.Filters) -> list[tuple[Worker, Any]]:
    taken = await used(workers, listing)
    asked = {"dangling": ["true"], **({"label": filters["label"]} if filters.get("label") else {})}
    rows = [(one.worker, row) for one in answered(await ask(workers, listing, asked)) for row in one.value]
    return [(worker, row) for worker, row in rows if row.name not in taken and not _excluded(row.labels, filters)]


def _excluded(labels: dict[str, str] | None, filters: t.Filters) -> bool:
    """Whether all of ``label!`` ("key" or "key=value") hold."""
    unwanted = [text.partition("=") for text in filters.get("label!", [])]
    have = labels or {}
    return bool(unwanted) and all(k in have and (not equals or have[k] == v) for k, equals, v in unwanted)


async def _remove(operation: str, found: list[tuple[Worker, str, tuple[Any, ...]]]) -> list[str]:
    """Remove each, as its worker and arguments tell; the names of which nothing is left."""
    gone: dict[str, bool] = {}
    for worker, name, args in found:
        error = (await ask([worker], operation, *args))[0].error
        if error is not None and not isinstance(error, NotFound):
            log.info("not pruned", extra={"backend": worker.name, "what": name, "reason": error.message})
        gone[name] = gone.get(name, True) and (error is None or isinstance(error, NotFound))
    return [name for name, whole in gone.items() if whole]


async def _sizes(workers: list[Worker]) -> dict[tuple[Worker, str], int]:
    said = await ask(workers, "disk_usage", ["volume"])
    rows = [(one.worker, row) for one in said if one.error is None for row in one.value.volumes]
    return {(worker, row.name): max((row.usage_data or {}).get("Size", 0), 0) for worker, row in rows}


def _names(said: Said) -> list[str]:
    if isinstance(said.value, t.Pruned):
        return said.value.deleted
    return [str(one.deleted or one.untagged) for one in said.value[0]]
