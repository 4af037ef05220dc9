"""What binds name on the host: made when it is missing, or required to be there, as Docker does at each start."""

from __future__ import annotations

import os

from backends.api.errors import EngineError, InvalidArgument
from backends.core.records import MountRecord


def provide(mount: MountRecord) -> None:
    """Have a bind's source there; InvalidArgument in Docker's words for one that is not to be made."""
    if mount.kind != "bind" or os.path.lexists(mount.source):
        return
    if mount.existing:
        raise missing(mount.source)
    try:
        os.makedirs(mount.source, mode=0o755)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise EngineError(f"error while creating mount source path '{mount.source}': mkdir: {why}") from error


def missing(source: str) -> InvalidArgument:
    """Docker's words about a bind whose source is not there."""
    return InvalidArgument(f'invalid mount config for type "bind": bind source path does not exist: {source}')
