"""The images that FROM and --from name: those that are here, else pulled."""

from __future__ import annotations

from backends.api.errors import InvalidArgument, NotFound
from backends.api.types import Json
from backends.core.build.parts import Job
from backends.core.images import check_image_platform, image_failures
from backends.core.validate import check_platform
from sandbox.images.image import Image
from sandbox.images.reference import Reference, id_prefix, parse

SCRATCH = "scratch"
_HUB_KEYS = ("https://index.docker.io/v1/", "index.docker.io", "docker.io")


async def find_base(job: Job, name: str, platform: str) -> Image | None:
    """The image of a name; None is scratch. Its pull is part of the build's output."""
    wanted = check_platform(platform)
    if name == SCRATCH:
        if wanted[0] not in ("", "linux"):
            raise InvalidArgument("operating system is not supported")
        return None
    image = _local(job, name, wanted)
    if image is not None:
        return image
    with image_failures():
        reference = parse(name).tagged()
    auth = _credentials(job.request.auths, reference)
    async for line in await job.parts.transfer.pull(str(reference), "", platform, auth):
        await job.output.send(line)
    image = job.parts.images.resolve(str(reference))
    check_image_platform(name, image, wanted)
    return image


def _local(job: Job, name: str, wanted: tuple[str, str, str]) -> Image | None:
    """The image that is here; one by name only if it is of that platform, and with --pull none."""
    try:
        image = job.parts.images.resolve(name)
    except NotFound:
        return None
    digits = id_prefix(name)
    by_id = digits is not None and image.id.startswith(f"sha256:{digits}")
    if job.request.pull and not by_id:
        return None
    try:
        check_image_platform(name, image, wanted)
    except NotFound:
        if by_id:
            raise
        return None
    return image


def _credentials(auths: Json, reference: Reference) -> Json:
    for key in _HUB_KEYS if reference.domain == "docker.io" else (reference.domain,):
        found = auths.get(key)
        if isinstance(found, dict):
            return found
    return {}
