"""What can go wrong with images. ``status`` is a hint for whoever answers over HTTP; messages are Docker's own."""

from __future__ import annotations

from typing import ClassVar


class ImageError(Exception):
    """Base of every failure this package reports on purpose."""

    status: ClassVar[int] = 500

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidReference(ImageError):
    """The text is no image reference."""

    status = 400


class ImageNotFound(ImageError):
    """No image of the store has this name or id."""

    status = 404


class ImageConflict(ImageError):
    """The image cannot be deleted or untagged the way it was asked for."""

    status = 409


class InvalidImage(ImageError):
    """An archive, manifest, config or layer is malformed, hostile or not what its digest says. Nothing was kept."""

    status = 400


class StorageFull(ImageError):
    """The disk, quota or file size limit of the store is used up. Nothing half-made was kept."""

    status = 507


class LayerMissing(ImageError):
    """A layer that an image needs is not in the store (deleted by another process meanwhile)."""

    status = 409


class RegistryError(ImageError):
    """A registry answered something unusable."""


class ManifestNotFound(RegistryError):
    """The registry has no such tag or digest, or no image of the platform asked for."""

    status = 404


class AccessDenied(RegistryError):
    """The registry refuses the repository (or hides whether it exists)."""

    status = 404


class Unauthorized(RegistryError):
    """The registry refused the credentials."""

    status = 401


class RegistryUnavailable(RegistryError):
    """The registry cannot be reached, keeps failing or is too slow."""

    status = 503


def first_failure(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What ended a group of tasks: the first failure that is not one of the cancellations it caused."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
