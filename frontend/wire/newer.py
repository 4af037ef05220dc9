"""Fields of request bodies that not every API version has.

A field that a version does not have is left out as the engine does, and refused where the container would be another
one without it (moby: api/server/router/container, postContainersCreate; network, postNetworkCreate).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from frontend.wire.errors import BadRequest
from frontend.wire.versions import Version

Table = dict[str, tuple[int, int]]  # where a field is, every key or item on the way being "*" → its first version

CREATE_CONTAINER: Table = {
    "HostConfig.AutoRemove": (1, 25),
    "HostConfig.KernelMemoryTCP": (1, 40),
    "HostConfig.Mounts.*.BindOptions.NonRecursive": (1, 40),
    "HostConfig.Mounts.*.BindOptions.CreateMountpoint": (1, 42),
    "HostConfig.ConsoleSize": (1, 42),
    "HostConfig.Annotations": (1, 43),
    "Healthcheck.StartInterval": (1, 44),
    "NetworkingConfig.EndpointsConfig.*.MacAddress": (1, 44),
    "NetworkingConfig.EndpointsConfig.*.GwPriority": (1, 48),
}
UPDATE_CONTAINER: Table = {"PidsLimit": (1, 40)}
EXEC: Table = {"ConsoleSize": (1, 42)}
CREATE_NETWORK: Table = {"EnableIPv4": (1, 48)}
_REFUSED: Table = {
    "HostConfig.Mounts.*.BindOptions.ReadOnlyForceRecursive": (1, 44),
    "HostConfig.Mounts.*.VolumeOptions.Subpath": (1, 45),
}
_GONE: Table = {"HostConfig.KernelMemory": (1, 42), "KernelMemory": (1, 42)}


def leave_out(body: dict[str, Any], version: Version, table: Table) -> None:
    """Take what ``version`` does not have, or no longer has, out of ``body``. Raises BadRequest."""
    for path, since in _REFUSED.items():
        if version < since:
            _refuse(body, path, since)
    for path, since in table.items():
        if version < since:
            for parent, field in _places(body, path):
                parent.pop(field, None)
    for path, until in _GONE.items():
        if version >= until:
            for parent, field in _places(body, path):
                parent.pop(field, None)


def _refuse(body: dict[str, Any], path: str, since: tuple[int, int]) -> None:
    for parent, field in _places(body, path):
        if parent.get(field):
            options = path.split(".")[-2]
            raise BadRequest(f"{options}.{field} needs API v{Version(*since)} or newer")


def _places(body: dict[str, Any], path: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Every object that may have the field, and its name."""
    *way, field = path.split(".")
    found: list[Any] = [body]
    for step in way:
        found = [inner for outer in found for inner in _inside(outer, step)]
    return ((parent, field) for parent in found if isinstance(parent, dict))


def _inside(outer: Any, step: str) -> list[Any]:
    if step != "*":
        return [outer[step]] if isinstance(outer, dict) and step in outer else []
    return list(outer.values()) if isinstance(outer, dict) else list(outer or ())
