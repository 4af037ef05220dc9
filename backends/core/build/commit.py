"""docker commit: a container's changes as an image of their own."""

from __future__ import annotations

from backends.api import types as t
from backends.api.errors import InvalidArgument
from backends.api.types import Json
from backends.core.build.changes import change_config
from backends.core.build.images import BLANK, Step, make_child
from backends.core.build.layers import container_layer
from backends.core.build.parts import Parts
from backends.core.config import env_key
from backends.core.container import Container
from backends.core.images import announce, image_failures
from backends.core.lifecycle import Status
from sandbox.images.image import Image
from sandbox.images.reference import parse
from sandbox.images.threads import in_thread


def complete(config: Json, container: Json) -> Json:
    """What a commit's own config leaves out comes from the container (moby daemon/commit.go, merge)."""
    merged = {**BLANK, **config}
    merged["User"] = merged["User"] or container.get("User") or ""
    merged["WorkingDir"] = merged["WorkingDir"] or container.get("WorkingDir") or ""
    for key in ("ExposedPorts", "Labels", "Volumes"):
        both = {**(container.get(key) or {}), **(merged.get(key) or {})}
        if both:
            merged[key] = both
    names = {env_key(entry) for entry in merged["Env"] or ()}
    old = [entry for entry in container.get("Env") or () if env_key(entry) not in names]
    merged["Env"] = [*(merged["Env"] or ()), *old]
    if not merged["Entrypoint"]:
        merged["Cmd"] = merged["Cmd"] or container.get("Cmd")
        if merged["Entrypoint"] is None:
            merged["Entrypoint"] = container.get("Entrypoint")
    for key in ("Healthcheck", "StopSignal", "Shell"):
        if not merged.get(key) and container.get(key):
            merged[key] = container[key]
    return merged


async def commit(parts: Parts, container: Container, request: t.CommitContainer) -> str:
    """Make the image and name it; its id. Nothing runs in the container meanwhile unless ``pause`` is False."""
    with image_failures():
        reference = parse(f"{request.repo}:{request.tag}" if request.tag else request.repo) if request.repo else None
        if reference is not None and reference.digest:
            raise InvalidArgument("refusing to create a tag with a digest reference")
    mine = request.config if request.config is not None else container.record.config
    config = complete(change_config(mine, request.changes), container.record.config)
    pause = request.pause and container.status is Status.RUNNING
    if pause:
        await parts.control.pause(container)
    try:
        layer = await container_layer(parts.context, container.id)
    finally:
        if pause and container.status is Status.PAUSED:
            await parts.control.unpause(container)
    image = await in_thread(_make, parts, container, Step(
        config={key: value for key, value in config.items() if key != "Healthcheck" or value},
        container_config=container.record.config,
        command=" ".join(container.record.config.get("Cmd") or ()),
        layer=layer,
        container=container.id,
        author=request.author,
        comment=request.comment,
    ))  # fmt: skip
    announce(parts.context, "create", image.id, image.id)
    if reference is not None:
        await parts.images.tag(image.id, request.repo, request.tag)
    named = {"imageRef": reference.tagged().familiar} if reference is not None else {}
    container.emit("commit", comment=request.comment, imageID=image.id, **named)
    return image.id


def _make(parts: Parts, container: Container, step: Step) -> Image:
    context = parts.context
    with image_failures():
        parent = context.images.get(container.record.image) if container.record.image else None
        return make_child(context.images, parent, step, context.clock, parts.version)
