"""The workers of one endpoint."""

from __future__ import annotations

from dataclasses import dataclass

from backends.api.client import EngineClient


@dataclass(frozen=True)
class Worker:
    """A backend's worker. ``relays``: a Docker engine stands behind it, and takes requests as they are."""

    name: str
    engine: EngineClient
    relays: bool = False
