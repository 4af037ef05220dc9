"""Every target by its name."""

from __future__ import annotations

from tests.fuzz import core_targets, image_targets, wire_targets
from tests.fuzz.target import Target

TARGETS: dict[str, Target] = {
    target.name: target for target in (*wire_targets.TARGETS, *core_targets.TARGETS, *image_targets.TARGETS)
}
