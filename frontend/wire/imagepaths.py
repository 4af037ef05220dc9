"""Paths below ``/images/``: an image's name holds slashes, so the action is what comes after the last one."""

from __future__ import annotations

ACTIONS = {
    "GET": ("json", "history", "get", "attestations"),
    "POST": ("tag", "push"),
}


def split_image_path(method: str, rest: str) -> tuple[str, str] | None:
    """Return (name, action) of ``rest``, the path after /images/; None when there is no such endpoint."""
    name, slash, action = rest.rpartition("/")
    if slash and name and action in ACTIONS.get(method, ()):
        return name, action
    return None
