"""Making an image from a parent, a change of its config and a new layer: what a build step and a commit end with."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import msgspec

from backends.api.types import Json
from backends.core.clock import Clock, rfc3339
from sandbox.images.image import Image
from sandbox.images.platforms import Platform
from sandbox.images.store import Store

BLANK: Json = {
    "Hostname": "", "Domainname": "", "User": "", "AttachStdin": False, "AttachStdout": False, "AttachStderr": False,
    "Tty": False, "OpenStdin": False, "StdinOnce": False, "Env": None, "Cmd": None, "Image": "", "Volumes": None,
    "WorkingDir": "", "Entrypoint": None, "OnBuild": None, "Labels": None,
}  # fmt: skip
"""A container config without content, with the fields that Docker writes into every image."""


@dataclass(frozen=True)
class Step:
    """What made an image: ``layer`` is a diff id, "" if no file changed; ``command`` becomes history's created_by.

    ``platform`` is that of an image without a parent (None: this machine's).
    """

    config: Json
    container_config: Json
    command: str
    layer: str = ""
    container: str = ""
    author: str = ""
    comment: str = ""
    platform: Platform | None = None


def config_of(image: Image | None) -> Json:
    """A copy of an image's config with every field that Docker writes."""
    return {**BLANK, **copy.deepcopy((image.config.get("config") or {}) if image else {})}


def make_child(store: Store, parent: Image | None, step: Step, clock: Clock, version: str) -> Image:
    """Add an image to the store; blocks. StorageFull, LayerMissing."""
    created = rfc3339(clock())
    history: Json = {"created": created, "created_by": step.command}
    history |= {key: value for key, value in (("author", step.author), ("comment", step.comment)) if value}
    below = [layer.diff_id for layer in parent.layers] if parent else []
    if not step.layer:
        history["empty_layer"] = True
    document: dict[str, Any] = {
        **_platform(parent, step.platform),
        "author": step.author,
        "config": step.config,
        "container": step.container,
        "container_config": step.container_config,
        "created": created,
        "docker_version": version,
        "history": [*((parent.config.get("history") or []) if parent else []), history],
        "rootfs": {"type": "layers", "diff_ids": [*below, *([step.layer] if step.layer else [])]},
    }
    document = {key: value for key, value in document.items() if value != ""}
    return store.add(msgspec.json.encode(document), parent=parent.id if parent else "")


def _platform(parent: Image | None, alone: Platform | None) -> dict[str, str]:
    if parent is not None and parent.architecture:
        return {"architecture": parent.architecture, "os": parent.os or "linux", "variant": parent.variant}
    found = alone or Platform.local()
    return {"architecture": found.architecture, "os": found.os, "variant": found.variant}
