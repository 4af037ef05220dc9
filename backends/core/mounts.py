"""Where a container's mounts come from: Binds, Mounts, Tmpfs, VolumesFrom and the image's VOLUMEs, as records.

Pure: nothing is created here. A record of kind volume with no ``volume`` name is one to create anonymously.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from backends.api.errors import InvalidArgument, NotFound, Unsupported
from backends.api.types import Json
from backends.core.hostconfig import HostConfig, MountRequest
from backends.core.names import new_id
from backends.core.records import MountRecord
from backends.core.sources import missing
from backends.core.tmpfs import Tmpfs
from backends.core.validate import bad_volume

_PROPAGATION = {"shared", "rshared", "slave", "rslave", "private", "rprivate"}
_MODES = {"ro", "rw", "z", "Z", "nocopy", "consistent", "cached", "delegated"} | _PROPAGATION
_ALL_BITS = 0o7777
VOLUME_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+\Z")


def plan(
    host: HostConfig, image_volumes: Iterable[str], mounts_of: Callable[[str], list[MountRecord]]
) -> list[MountRecord]:
    """Return all mounts, parents before children. ``mounts_of`` finds the mounts of a container by name."""
    found: dict[str, MountRecord] = {}
    for source in host.volumes_from or ():
        for mount in _inherited(source, mounts_of):
            found[mount.destination] = mount
    own: set[str] = set()
    explicit = [parse_bind(spec) for spec in host.binds or ()]
    for mount in explicit:
        if mount.kind == "volume":
            check_driver(host.volume_driver, mount.volume or new_id())
    explicit += [parse_mount(request) for request in host.mounts or ()]
    explicit += [parse_tmpfs(path, options) for path, options in (host.tmpfs or {}).items()]
    for mount in explicit:
        if mount.destination in own:
            raise InvalidArgument(f"Duplicate mount point: {mount.destination}")
        own.add(mount.destination)
        found[mount.destination] = mount
    for path in image_volumes:
        destination = posixpath.normpath(path)
        if destination not in found:
            found[destination] = MountRecord(kind="volume", destination=destination, anonymous=True, from_image=True)
    return sorted(found.values(), key=lambda mount: mount.destination.count("/") if mount.destination != "/" else 0)


def _inherited(source: str, mounts_of: Callable[[str], list[MountRecord]]) -> list[MountRecord]:
    name, _, mode = source.partition(":")
    if not name:
        raise InvalidArgument(f"invalid volumes-from specification: {source}")
    if mode not in ("", "ro", "rw", "z", "Z"):
        raise InvalidArgument(f"invalid mode: {mode}")
    return [
        msgspec.structs.replace(mount, read_only=mount.read_only or mode == "ro", mode="", copy_up=False)
        for mount in mounts_of(name)
        if mount.kind != "tmpfs"
    ]


def parse_bind(spec: str) -> MountRecord:
    """Read "src:dst[:options]", or a lone destination (an anonymous volume)."""
    parts = spec.split(":")
    if len(parts) > 3 or not all(parts) or "\0" in spec:
        raise InvalidArgument(f"invalid volume specification: '{spec}'")
    if len(parts) == 1:
        return MountRecord(kind="volume", destination=_destination(parts[0], spec, "volume"), anonymous=True)
    source, target, mode = (*parts, "")[:3]
    options = [option for option in mode.split(",") if option]
    _check_options(spec, mode, options)
    kind = "bind" if source.startswith("/") else "volume"
    mount = MountRecord(
        kind=kind,
        destination=_destination(target, spec, kind),
        read_only="ro" in options,
        copy_up="nocopy" not in options,
        mode=mode or ("z" if kind == "volume" else ""),
    )
    if kind == "bind":
        mount.source = posixpath.normpath(source)
        mount.propagation = next((option for option in options if option in _PROPAGATION), "rprivate")
    else:
        mount.volume = check_volume_name(source)
    return mount


def _check_options(spec: str, mode: str, options: list[str]) -> None:
    groups = ({"ro", "rw"}, {"z", "Z"}, _PROPAGATION, {"consistent", "cached", "delegated"})
    known = all(option in _MODES for option in options)
    if not known or any(sum(option in group for option in options) > 1 for group in groups):
        raise bad_volume(spec, f"invalid mode: {mode}")


def _destination(target: str, spec: str, kind: str) -> str:
    prefix = f'invalid mount config for type "{kind}": '
    if not target.startswith("/"):
        raise bad_volume(spec, f"{prefix}invalid mount path: '{target}' mount path must be absolute")
    clean = posixpath.normpath(target).replace("//", "/")
    if clean == "/":
        raise bad_volume(spec, f"{prefix}invalid specification: destination can't be '/'")
    return clean


def check_volume_name(name: str) -> str:
    """Refuse a volume name that the local driver refuses."""
    if len(name) == 1:
        raise InvalidArgument(
            f"create {name}: volume name is too short, names should be at least two alphanumeric characters"
        )
    if not VOLUME_NAME.match(name):
        raise InvalidArgument(
            f'create {name}: "{name}" includes invalid characters for a local volume name, only '
            '"[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path'
        )
    return name


def parse_mount(request: MountRequest) -> MountRecord:
    """Read one of HostConfig.Mounts."""
    kind = request.type
    if kind not in ("bind", "volume", "tmpfs"):
        if kind in ("cluster", "image"):
            raise Unsupported(f'invalid mount config for type "{kind}": this mount type is not supported here')
        raise InvalidArgument(f'invalid mount config for type "{kind}": mount type unknown')
    prefix = f'invalid mount config for type "{kind}": '
    if "\0" in request.target + request.source:
        raise InvalidArgument(f"{prefix}invalid mount path: a path holds no NUL")
    if not request.target:
        raise InvalidArgument(f"{prefix}field Target must not be empty")
    if not request.target.startswith("/"):
        raise InvalidArgument(f"{prefix}invalid mount path: '{request.target}' mount path must be absolute")
    destination = posixpath.normpath(request.target).replace("//", "/")
    if destination == "/":
        raise InvalidArgument(f"{prefix}invalid specification: destination can't be '/'")
    for other, options in _options(request).items():
        if other != kind and options is not None:
            raise InvalidArgument(f'{other.capitalize()}Options must not be specified on mount type "{kind}"')
    mount = MountRecord(kind=kind, destination=destination, read_only=request.read_only)
    {"bind": _bind, "volume": _volume, "tmpfs": _tmpfs}[kind](mount, request, prefix)
    return mount


def _options(request: MountRequest) -> dict[str, Json | None]:
    return {"bind": request.bind_options, "volume": request.volume_options, "tmpfs": request.tmpfs_options}


def _bind(mount: MountRecord, request: MountRequest, prefix: str) -> None:
    if not request.source:
        raise InvalidArgument(f"{prefix}field Source must not be empty")
    if not request.source.startswith("/"):
        raise InvalidArgument(f"{prefix}invalid mount path: '{request.source}' mount path must be absolute")
    options = request.bind_options or {}
    mount.existing = not options.get("CreateMountpoint")
    if mount.existing and not Path(request.source).exists():
        raise missing(request.source)
    mount.source = posixpath.normpath(request.source)
    mount.propagation = options.get("Propagation") or "rprivate"
    if mount.propagation not in _PROPAGATION:
        raise InvalidArgument(f"{prefix}invalid propagation mode: {mount.propagation}")


def _volume(mount: MountRecord, request: MountRequest, prefix: str) -> None:
    options = request.volume_options or {}
    driver = options.get("DriverConfig") or {}
    check_driver(driver.get("Name") or "", request.source or new_id())
    mount.labels = options.get("Labels") or None
    if request.source:
        mount.volume = check_volume_name(request.source)
    mount.anonymous = not request.source
    mount.options = driver.get("Options") or None
    mount.copy_up = not options.get("NoCopy", False)
    mount.mode = "z"
    mount.subpath = _subpath(options.get("Subpath") or "", prefix)


def check_driver(driver: str, name: str) -> None:
    """Refuse a volume driver that is none."""
    if driver not in ("", "local"):
        raise NotFound(f'create {name}: error looking up volume plugin {driver}: plugin "{driver}" not found')


def _subpath(text: str, prefix: str) -> str:
    if text.startswith("/") or ".." in text.split("/"):
        raise InvalidArgument(f"{prefix}subpath must be a relative path within the volume")
    return posixpath.normpath(text) if text else ""


def _tmpfs(mount: MountRecord, request: MountRequest, prefix: str) -> None:
    if request.source:
        raise InvalidArgument(f"{prefix}field Source must not be specified")
    options = request.tmpfs_options or {}
    mount.size = int(options.get("SizeBytes") or 0)
    mount.permissions = options.get("Mode")
    if mount.size < 0:
        raise InvalidArgument(f"{prefix}invalid tmpfs size: {mount.size}")
    if mount.permissions is not None and not 0 <= mount.permissions <= _ALL_BITS:
        raise InvalidArgument(f"{prefix}invalid tmpfs mode: {mount.permissions}")


def parse_tmpfs(path: str, options: str) -> MountRecord:
    """Read one of HostConfig.Tmpfs, e.g. {"/run": "rw,noexec,size=64m,mode=1777"}."""
    if not path.startswith("/") or "\0" in path:
        raise InvalidArgument(f"invalid mount path: '{path}' mount path must be absolute")
    destination = posixpath.normpath(path)
    if destination == "/":
        raise InvalidArgument("invalid specification: destination can't be '/'")
    found = Tmpfs.parse(options)
    return MountRecord(
        kind="tmpfs",
        destination=destination,
        read_only=found.read_only,
        size=found.size,
        permissions=found.mode,
        uid=found.uid,
        gid=found.gid,
        listed=False,
    )
