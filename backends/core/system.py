"""What a worker says of itself: info and disk usage."""

from __future__ import annotations

import os
import platform
import socket

from backends.api import types as t
from backends.api.version import VERSION
from backends.core import summary
from backends.core.clock import rfc3339
from backends.core.context import Context
from backends.core.files import sizes
from backends.core.images import Images, blocking, shown
from backends.core.images import summary as image_summary
from backends.core.lifecycle import Status
from backends.core.registry import Registry
from backends.core.volumes import Volumes
from sandbox.images.proxy import settings
from sandbox.images.usage import disk_usage

_KINDS = ("container", "image", "volume", "build-cache")


class System:
    """Docker's /info and /system/df, a worker's part of them."""

    def __init__(self, context: Context, registry: Registry, images: Images, volumes: Volumes, worker_id: str) -> None:
        self._context = context
        self._registry = registry
        self._images = images
        self._volumes = volumes
        self._id = worker_id
        self._proxies = settings(os.environ)
        self._memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")

    def info(self) -> t.Info:
        """Cheap: clients ask for it many times a second."""
        drivers, proxies = self._context.drivers, self._proxies
        paused = running = 0
        for container in self._registry:
            paused += container.status is Status.PAUSED
            running += container.running
        return t.Info(
            id=self._id,
            backend=drivers.name,
            name=socket.gethostname(),
            driver=drivers.storage,
            containers=len(self._registry),
            containers_running=running - paused,
            containers_paused=paused,
            containers_stopped=len(self._registry) - running,
            images=len(self._context.images.ids()),
            kernel_version=drivers.kernel_version or platform.release(),
            operating_system=drivers.operating_system or "Sockerless",
            architecture=platform.machine(),
            ncpu=os.cpu_count() or 1,
            mem_total=self._memory,
            docker_root_dir=str(self._context.directory),
            server_version=VERSION,
            http_proxy=proxies.http,
            https_proxy=proxies.https,
            no_proxy=proxies.none,
            system_time=rfc3339(self._context.clock()),
            memory_limit="Memory" in drivers.honours,
            swap_limit="MemorySwap" in drivers.honours,
            cpu_cfs_period="CpuPeriod" in drivers.honours,
            cpu_cfs_quota="CpuQuota" in drivers.honours,
            cpu_shares="CpuShares" in drivers.honours,
            cpu_set="CpusetCpus" in drivers.honours,
            pids_limit="PidsLimit" in drivers.honours,
            oom_kill_disable="OomKillDisable" in drivers.honours,
        )

    async def disk_usage(self, kinds: list[str]) -> t.DiskUsage:
        """Docker's GET /system/df; ``kinds`` empty = all."""
        wanted = kinds or _KINDS
        images = await blocking(self._context.images.images) if {"image", "container"} & set(wanted) else []
        usage = disk_usage(images)
        users = [container.record.image for container in self._registry]
        return t.DiskUsage(
            layers_size=usage.layers_size if "image" in wanted else 0,
            images=[
                image_summary(image, usage.shared.get(image.id, 0), users.count(image.id)) for image in shown(images)
            ]
            if "image" in wanted
            else [],
            containers=await self._containers() if "container" in wanted else [],
            volumes=await self._volumes.usage() if "volume" in wanted else [],
        )

    async def _containers(self) -> list[t.ContainerSummary]:
        found = await sizes(self._context.drivers.files, self._registry)
        containers = [container for container in self._registry if container.id in found]
        return summary.rows(containers, self._context.clock(), self._registry, found, self._images.ids)
