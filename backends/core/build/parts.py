"""What building needs of the engine around it, and what the steps of one build share."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from backends.api import types as t
from backends.api.errors import EngineError
from backends.core.build.arguments import BuildArguments
from backends.core.build.cache import Cache
from backends.core.build.context import BuildContext
from backends.core.build.draft import Draft
from backends.core.build.output import Output
from backends.core.build.tree import Trees
from sandbox.images.dockerfile import Expander
from sandbox.images.image import Image
from sandbox.images.platforms import Platform
from sandbox.images.tree import LowerTree, lower_from_entries

if TYPE_CHECKING:
    from backends.core.build.cachemounts import CacheMounts
    from backends.core.context import Context
    from backends.core.control import Control
    from backends.core.create import Creator
    from backends.core.images import Images
    from backends.core.launch import Launcher
    from backends.core.registry import Registry
    from backends.core.transfer import Transfer


class StepFailed(EngineError):
    """A RUN ended with a code other than 0, which the client is told."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Parts:
    """``fetch_urls``: whether ADD may download."""

    context: Context
    registry: Registry
    creator: Creator
    launcher: Launcher
    control: Control
    transfer: Transfer
    images: Images
    trees: Trees
    cache_mounts: CacheMounts
    version: str
    fetch_urls: bool = False


@dataclass
class Job:
    """One build. ``scratch`` goes when it ends; ``containers`` are its intermediate ones that are still there,
    ``fleeting`` those of them that mount something of ``scratch`` and so cannot outlive it."""

    parts: Parts
    request: t.BuildImage
    context: BuildContext
    scratch: Path
    output: Output
    cache: Cache
    arguments: BuildArguments
    escape: str = "\\"
    containers: list[str] = field(default_factory=list)
    fleeting: set[str] = field(default_factory=set)
    stages: list[tuple[str, Image | None]] = field(default_factory=list)
    scratch_names: int = 0

    def place(self, kind: str) -> Path:
        """A path in the scratch directory that nothing has yet."""
        self.scratch_names += 1
        return self.scratch / f"{kind}{self.scratch_names}"

    def tree(self, image: Image | None) -> LowerTree:
        """An image's files; blocks."""
        if image is None:
            return lower_from_entries(())
        return self.parts.trees.of([layer.diff_id for layer in image.layers])


@dataclass
class StageState:
    """Where a stage is: its present image (None: still nothing, for ``platform``) and the next step's config."""

    image: Image | None
    draft: Draft
    platform: Platform

    @property
    def image_id(self) -> str:
        """sha256:…, or "" on scratch."""
        return self.image.id if self.image else ""

    @property
    def short_id(self) -> str:
        """Twelve digits."""
        return self.image_id.removeprefix("sha256:")[:12]

    def variables(self, arguments: BuildArguments) -> dict[str, str]:
        """What $NAME means here: the image's environment, then build arguments it does not hide."""
        environment = self.draft.config.get("Env") or []
        own = dict(entry.partition("=")[::2] for entry in environment)
        return {**own, **arguments.allowed(environment)}

    def expander(self, job: Job) -> Expander:
        """Expands the words of this stage's next instruction."""
        return Expander(self.variables(job.arguments), job.escape)
