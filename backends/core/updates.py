"""Docker's POST /containers/{id}/update: which fields it changes, and what they contradict.

Recorded from dockerd; moby: container/container_unix.go, UpdateContainer.
"""

from __future__ import annotations

from backends.api.errors import Conflict
from backends.api.types import Json
from backends.core import validate
from backends.core.hostconfig import HostConfig

#: the resources that an update changes; others are left as they are, as dockerd leaves them
FIELDS = (
    "BlkioWeight", "CpuPeriod", "CpuQuota", "CpuRealtimePeriod", "CpuRealtimeRuntime", "CpuShares", "CpusetCpus",
    "CpusetMems", "Memory", "MemoryReservation", "MemorySwap", "NanoCpus",
)  # fmt: skip


def changed(request: Json) -> Json:
    """Return the fields of a HostConfig that ``request`` changes; zero means as it is, but for PidsLimit."""
    found = {field: request[field] for field in FIELDS if request.get(field)}
    if request.get("PidsLimit") is not None:
        limit = request["PidsLimit"]
        found["PidsLimit"] = limit if limit > 0 else 0
    policy = request.get("RestartPolicy") or {}
    if policy.get("Name"):
        retries = policy.get("MaximumRetryCount") or 0
        found["RestartPolicy"] = {"Name": policy["Name"], "MaximumRetryCount": retries}
    return found


def check_policy(host: HostConfig) -> None:
    """Refuse a restart policy that the container cannot have."""
    policy = host.restart_policy
    if host.auto_remove and policy is not None and policy.name not in ("", "no"):
        raise Conflict("Restart policy cannot be updated because AutoRemove is enabled for the container")
    validate.check_restart_policy(policy, False)


def check_conflicts(container: str, now: Json, changes: Json) -> None:
    """Refuse what contradicts the limits that are set already; Conflict."""
    problem = _problem(now, changes)
    if problem:
        raise Conflict(f"Cannot update container {container}: {problem}")


def _problem(now: Json, changes: Json) -> str:
    for field, what in (("CpuPeriod", "CPU Period"), ("CpuQuota", "CPU Quota")):
        if changes.get("NanoCpus") and now.get(field):
            return f"Conflicting options: Nano CPUs cannot be updated as {what} has already been set"
        if changes.get(field) and now.get("NanoCpus"):
            return f"Conflicting options: {what} cannot be updated as NanoCPUs has already been set"
    if 0 < (now.get("MemorySwap") or 0) < changes.get("Memory", 0) and not changes.get("MemorySwap"):
        return (
            "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time"
        )
    return ""
