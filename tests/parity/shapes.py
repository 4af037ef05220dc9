"""Answers compared value by value: JSON taken apart into its paths, what a machine or a moment decides into types."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from tests.parity.normalise import normalise

ABSENT = "(absent)"
CHANGING = re.compile(
    r"(?:^|\.)(Pid|execDuration|timeNano|time|Size|SizeRw|SizeRootFs|VirtualSize|SharedSize|LayersSize|SpaceReclaimed|TotalSize|Created|CreatedAt"
    r"|HostPort|PublicPort|SandboxID|SandboxKey|EndpointID|Gateway|IPAddress|IPPrefixLen|IPv4Address|Subnet"
    r"|DriverStatus.*|GraphDriver\.Data\..*|Plugins\..*|SystemTime|DockerRootDir|ID|KernelVersion|NCPU|MemTotal|NFd|NGoroutines|NEventsListener"
    r"|(cpu_stats|precpu_stats|memory_stats|blkio_stats|pids_stats|networks|storage_stats)\..*"
    r"|(Runtimes|ContainerdCommit|RuncCommit|InitCommit|Containerd|FirewallBackend)\..*"
    r"|Containers(Running|Paused|Stopped)?|Images|Components\[\d+\]\.Details\..*|Processes\[\d+\]\[0\])$"
)
"""Ends of paths whose values differ from run to run or from machine to machine; their types may not."""
TYPE = re.compile(r"\(\w+\)")
UNORDERED = {
    "Mounts": ("Destination",),
    "Ports": ("PrivatePort", "Type", "IP"),
    "MaskedPaths": (),
    "Names": (),
    "Log": (),
    "Network": (),
    "NetworksDeleted": (),
    "VolumesDeleted": (),
    "Containers": ("Names",),
    "Volumes": ("Name",),
}
"""Lists in no order besides those of networks, and what names an item; without a name it is its own."""


def take_apart(body: str) -> dict[str, str]:
    """Every leaf of the answer by its path. A stream of JSON values is a list of them; other text is one leaf."""
    try:
        value = json.loads(body)
    except ValueError:
        try:
            value = [json.loads(line) for line in body.splitlines()]
        except ValueError:
            return {"": body}
    return leaves(value)


def stable(value: Any, path: str = "") -> Any:
    """The same value: identities masked, what machine or moment decide as its type, lists without order sorted."""
    if isinstance(value, dict) and value:
        return {key: stable(item, f"{path}.{key}" if path else key) for key, item in value.items()}
    if isinstance(value, list) and value:
        items = [stable(item, f"{path}[{index}]") for index, item in enumerate(value)]
        fields = _fields(path, items)
        return items if fields is None else sorted(items, key=lambda item: _name(item, fields))
    if CHANGING.search(path):
        return _type(value)
    return normalise(value) if isinstance(value, str) else value


def stable_text(body: str) -> str:
    """The same of a body: a JSON value, or one a line. Other text is left as it is."""
    try:
        return "\n".join(json.dumps(stable(json.loads(line))) for line in body.splitlines())
    except ValueError:
        return body


def leaves(value: Any) -> dict[str, str]:
    """Every leaf of a JSON value by its path."""
    return dict(_leaves("", value))


def compare(ours: Mapping[str, str], theirs: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Both with the same paths, those that one of them lacks marked so."""
    paths = sorted({*ours, *theirs})
    return {path: ours.get(path, ABSENT) for path in paths}, {path: theirs.get(path, ABSENT) for path in paths}


def _leaves(path: str, value: Any) -> list[tuple[str, str]]:
    if isinstance(value, dict) and value:
        return [leaf for key, item in value.items() for leaf in _leaves(f"{path}.{key}" if path else key, item)]
    if isinstance(value, list) and value:
        fields = _fields(path, value)
        if fields is not None:
            named = {f"{path}[{_name(item, fields)}]": item for item in value}
            return [leaf for key, item in named.items() for leaf in _leaves(key, item)]
        return [leaf for index, item in enumerate(value) for leaf in _leaves(f"{path}[{index}]", item)]
    return [(path, _type(value) if CHANGING.search(path) else json.dumps(value))]


def _fields(path: str, items: list[Any]) -> tuple[str, ...] | None:
    if isinstance(items[0], dict) and "IPAM" in items[0]:
        return ("Name",)
    return UNORDERED.get(path.rpartition(".")[2])


def _name(item: Any, fields: tuple[str, ...]) -> str:
    return " ".join(_text(item.get(field, "")) for field in fields) if fields else str(item)


def _text(value: Any) -> str:
    return ",".join(sorted(value)) if isinstance(value, list) else str(value)


def _type(value: Any) -> str:
    if isinstance(value, str) and TYPE.fullmatch(value):
        return value
    return f"({type(value).__name__})"
