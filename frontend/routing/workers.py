"""The workers of one endpoint."""

from __future__ import annotations

from dataclasses import dataclass, field

from backends.api.client import EngineClient
from frontend.routing.pulse import PATIENCE_SECONDS, Pulse


@dataclass(eq=False)
class Worker:
    """A backend's worker. ``relays``: a Docker engine stands behind it, and takes requests as they are.

    ``patience`` (seconds): how long an answer may take until the worker is asked for a sign of life.
    """

    name: str
    engine: EngineClient
    relays: bool = False
    patience: float = PATIENCE_SECONDS
    pulse: Pulse = field(init=False)

    def __post_init__(self) -> None:
        self.pulse = Pulse(self.engine, self.patience)
