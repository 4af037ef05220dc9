"""The limit on a process's file descriptors: every connection, container and stream takes some."""

from __future__ import annotations

import resource


def raise_limit() -> None:
    """As many as this process may have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
