"""Images of the engine, and what makes them."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

from backends.api import types as t
from backends.api.engine import Download
from backends.api.errors import Unsupported
from backends.core.clock import SECOND
from backends.core.filters import until
from backends.docker.daemon import Daemon, auth_header

_LIMITS = {
    "Memory": "memory",
    "MemorySwap": "memswap",
    "CpuShares": "cpushares",
    "CpuPeriod": "cpuperiod",
    "CpuQuota": "cpuquota",
    "ShmSize": "shmsize",
    "CpusetCpus": "cpusetcpus",
    "CpusetMems": "cpusetmems",
    "CgroupParent": "cgroupparent",
    "Ulimits": "ulimits",
}


class Images:
    """The operations on images, each one request of Docker's API."""

    daemon: Daemon

    async def list_images(self, all: bool, filters: t.Filters, shared_size: bool) -> list[t.ImageSummary]:
        """The filter ``until`` (Unix seconds) is applied here: older engines refuse it."""
        asked = {key: values for key, values in filters.items() if key != "until"}
        query = {"all": all, "filters": asked, "shared-size": shared_size}
        found = await self.daemon.value(list[t.ImageSummary], "GET", "/images/json", query)
        limit = until(filters, time.time_ns())
        return found if limit is None else [row for row in found if row.created * SECOND <= limit]

    async def inspect_image(self, name: str, platform: str = "") -> t.Image:
        found = await self.daemon.json("GET", _path(name, "json"), {"platform": platform or None})
        found["Layers"] = (found.get("RootFS") or {}).get("Layers")
        found["LastTagTime"] = (found.get("Metadata") or {}).get("LastTagTime")
        return self.daemon.fit(t.Image, found)

    async def image_history(self, name: str) -> list[t.ImageHistory]:
        return await self.daemon.value(list[t.ImageHistory], "GET", _path(name, "history"))

    async def pull_image(self, name: str, tag: str, platform: str, auth: t.Json) -> AsyncIterator[t.Progress]:
        query = {"fromImage": name, "tag": tag or None, "platform": platform or None}
        return await self._progress("/images/create", query, headers=auth_header("X-Registry-Auth", auth))

    async def push_image(self, name: str, tag: str, platform: str, auth: t.Json) -> AsyncIterator[t.Progress]:
        query = {"tag": tag or None, "platform": platform or None}
        headers = auth_header("X-Registry-Auth", auth or {"username": ""})
        return await self._progress(_path(name, "push"), query, headers=headers)

    async def search_images(
        self, term: str, limit: int | None, filters: t.Filters, auth: t.Json
    ) -> list[t.SearchResult]:
        query = {"term": term, "limit": limit, "filters": filters}
        found = await self.daemon.json("GET", "/images/search", query, headers=auth_header("X-Registry-Auth", auth))
        return self.daemon.fit(list[t.SearchResult], found)

    async def inspect_distribution(self, name: str, auth: t.Json) -> t.DistributionInspect:
        path = f"/distribution/{quote(name, safe='/:@')}/json"
        found = await self.daemon.json("GET", path, headers=auth_header("X-Registry-Auth", auth))
        return self.daemon.fit(t.DistributionInspect, found)

    async def import_image(self, body: AsyncIterator[bytes], request: t.ImportImage) -> AsyncIterator[t.Progress]:
        query = {
            "fromSrc": request.source,
            "repo": request.repo,
            "tag": request.tag,
            "message": request.message,
            "changes": request.changes,
            "platform": request.platform or None,
        }
        return await self._progress("/images/create", query, upload=body if request.source == "-" else None)

    async def load_images(
        self, body: AsyncIterator[bytes], quiet: bool, platform: str = ""
    ) -> AsyncIterator[t.Progress]:
        return await self._progress("/images/load", {"quiet": quiet, "platform": platform or None}, upload=body)

    async def save_images(self, names: list[str]) -> Download:
        return await self.daemon.download(lambda _: None, "/images/get", {"names": names})

    async def tag_image(self, name: str, repo: str, tag: str) -> None:
        await self.daemon.json("POST", _path(name, "tag"), {"repo": repo, "tag": tag})

    async def remove_image(self, name: str, force: bool, no_prune: bool) -> list[t.RemovedImage]:
        query = {"force": force, "noprune": no_prune}
        return await self.daemon.value(list[t.RemovedImage], "DELETE", _path(name), query)

    async def prune_images(self, filters: t.Filters) -> tuple[list[t.RemovedImage], int]:
        answer = await self.daemon.json("POST", "/images/prune", {"filters": filters})
        removed = self.daemon.fit(list[t.RemovedImage], answer.get("ImagesDeleted"))
        return removed, answer.get("SpaceReclaimed", 0)

    async def build_image(self, body: AsyncIterator[bytes], request: t.BuildImage) -> AsyncIterator[t.Progress]:
        if request.secrets:
            raise Unsupported("secrets from the context are not supported by the Docker engine's classic builder")
        headers = auth_header("X-Registry-Config", request.auths)
        return await self._progress("/build", _build_query(request), upload=body, headers=headers)

    async def commit_container(self, ref: str, request: t.CommitContainer) -> str:
        query = {"container": ref, "pause": request.pause, "changes": request.changes}
        query |= {name: getattr(request, name) for name in ("repo", "tag", "comment", "author")}
        answer = await self.daemon.json("POST", "/commit", query, request.config or {})
        return str(answer["Id"])

    async def prune_builds(self, filters: t.Filters, all: bool, keep: t.KeepCache) -> t.Pruned:
        sizes = {
            "keep-storage": keep.reserved_space,  # its name before API 1.48
            "reserved-space": keep.reserved_space,
            "max-used-space": keep.max_used_space,
            "min-free-space": keep.min_free_space,
        }
        query = {"filters": filters, "all": all, **{name: size for name, size in sizes.items() if size}}
        answer = await self.daemon.json("POST", "/build/prune", query)
        return t.Pruned(deleted=answer.get("CachesDeleted") or [], space_reclaimed=answer.get("SpaceReclaimed", 0))

    async def _progress(self, path: str, query: dict[str, Any], **sent: Any) -> AsyncIterator[t.Progress]:
        def read(value: Any) -> t.Progress:
            return self.daemon.fit(t.Progress, value)

        return await self.daemon.items(read, "POST", path, query, **sent)


def _path(name: str, action: str = "") -> str:
    path = f"/images/{quote(name, safe='/:@')}"
    return f"{path}/{action}" if action else path


def _build_query(request: t.BuildImage) -> dict[str, Any]:
    limits = {key: request.host_config[name] for name, key in _LIMITS.items() if name in request.host_config}
    if "ulimits" in limits:
        limits["ulimits"] = json.dumps(limits["ulimits"])
    return limits | {
        "t": request.tags,
        "dockerfile": request.dockerfile or None,
        "remote": request.remote or None,
        "q": request.quiet,
        "nocache": request.no_cache,
        "cachefrom": json.dumps(request.cache_from) if request.cache_from else None,
        "pull": request.pull or None,
        "rm": request.remove,
        "forcerm": request.force_remove,
        "target": request.target or None,
        "platform": request.platform or None,
        "networkmode": request.network_mode or None,
        "extrahosts": request.extra_hosts,
        "buildargs": request.build_args,
        "labels": request.labels,
    }
