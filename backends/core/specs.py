"""What a driver is told: records turned into the specs of :mod:`backends.core.drivers`."""

from __future__ import annotations

from backends.api.errors import EngineError
from backends.core.container import Container
from backends.core.drivers import ContainerSpec, Limits, MountSpec
from backends.core.hostconfig import SHM_SIZE, HostConfig
from backends.core.records import MountRecord
from backends.core.tmpfs import Tmpfs
from backends.core.validate import ulimit
from backends.core.volumes import Volumes, subpath

SYSTEM_FILES = ("hosts", "hostname", "resolv.conf")


def container_spec(container: Container, volumes: Volumes, *, whole: bool = True) -> ContainerSpec:
    """Return the spec of a container as it is now. ``whole`` False: a volume without its directory is no failure."""
    record, host = container.record, container.host
    found = [mount_spec(mount, volumes, whole=whole) for mount in record.mounts]
    taken = {mount.destination for mount in found}
    for name in SYSTEM_FILES:
        path = container.directory / name
        if f"/etc/{name}" not in taken and path.exists():
            found.append(MountSpec(kind="bind", destination=f"/etc/{name}", source=str(path)))
    return ContainerSpec(
        id=record.id,
        name=record.name,
        image=container.image,
        directory=container.directory,
        hostname=record.config.get("Hostname") or record.id[:12],
        domainname=record.config.get("Domainname") or "",
        mounts=tuple(found),
        read_only=host.readonly_rootfs,
        privileged=host.privileged,
        limits=limits(host),
        sysctls=host.sysctls or {},
        host_config=record.host_config,
    )


def mount_spec(mount: MountRecord, volumes: Volumes, *, whole: bool) -> MountSpec:
    """Return one mount; a volume's directory and a subpath must exist by now if it is to be ``whole``."""
    if mount.kind == "tmpfs":
        return _tmpfs(mount, Tmpfs(mount.size, mount.permissions, mount.uid, mount.gid))
    source = mount.source
    if mount.kind == "volume":
        try:
            if (memory := volumes.memory(mount.volume)) is not None:
                return _tmpfs(mount, memory)
            directory = volumes.content(mount.volume)
            source = str(subpath(directory, mount.subpath) if mount.subpath else directory)
        except EngineError:
            if whole:
                raise
            source = ""
    return MountSpec(kind=mount.kind, destination=mount.destination, source=source, read_only=mount.read_only)


def _tmpfs(mount: MountRecord, how: Tmpfs) -> MountSpec:
    """A tmpfs of the container's own, or one that is a volume: it is shared by that name."""
    return MountSpec(
        kind="tmpfs",
        destination=mount.destination,
        read_only=mount.read_only,
        size=how.size,
        mode=how.mode,
        owner=(how.uid, how.gid),
        shared=mount.volume,
    )


def limits(host: HostConfig) -> Limits:
    """Return the resource limits of a HostConfig."""
    return Limits(
        memory=host.memory,
        nano_cpus=host.nano_cpus,
        pids=max(host.pids_limit or 0, 0),
        shm_size=host.shm_size or SHM_SIZE,
        ulimits=tuple(ulimit(found) for found in host.ulimits or ()),
    )
