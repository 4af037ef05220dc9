"""Restart policies. Pure."""

from __future__ import annotations

from backends.core.hostconfig import HostConfig
from backends.core.records import ContainerRecord

FIRST, LONGEST, GOOD_RUN = 0.1, 60.0, 10.0


def wanted(record: ContainerRecord, host: HostConfig, exit_code: int) -> bool:
    """Tell whether a container that has just ended is to be started again."""
    policy = host.restart_policy
    if policy is None or record.manually_stopped:
        return False
    if policy.name in ("always", "unless-stopped"):
        return True
    if policy.name == "on-failure" and exit_code != 0:
        return policy.maximum_retry_count == 0 or record.restart_count < policy.maximum_retry_count
    return False


def at_worker_start(record: ContainerRecord, host: HostConfig, was_running: bool) -> bool:
    """Tell whether a container is to be started because its worker has come back."""
    name = host.restart_policy.name if host.restart_policy else "no"
    if name == "always":
        return was_running or record.has_run
    if name == "unless-stopped":
        return (was_running or record.has_run) and not record.manually_stopped
    return name == "on-failure" and (was_running or record.has_run) and wanted(record, host, record.state.exit_code)


def back_off(previous: float, ran: float) -> float:
    """Return the pause in seconds before the next start: 100 ms, doubling to a minute, afresh after ten seconds."""
    if previous <= 0 or ran >= GOOD_RUN:
        return FIRST
    return min(previous * 2, LONGEST)
