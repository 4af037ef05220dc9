"""The error tree of the engine contract.

Every failure an operation reports is one of these. ``status`` is the HTTP status that Docker's API gives the class;
the message is Docker's own wording and is shown to the user as it is.
"""

from __future__ import annotations

from typing import ClassVar

from backends.api.text import legible


class EngineError(Exception):
    """An operation failed for a reason the user should read."""

    status: ClassVar[int] = 500
    kinds: ClassVar[dict[str, type[EngineError]]] = {}

    def __init__(self, message: str = "") -> None:
        self.message = legible(message)
        super().__init__(self.message)

    def __init_subclass__(cls) -> None:
        EngineError.kinds[cls.__name__] = cls


EngineError.kinds["EngineError"] = EngineError


class NotFound(EngineError):
    """What the request names does not exist."""

    status = 404


class Conflict(EngineError):
    """The request does not fit the present state of what it names."""

    status = 409


class NotModified(EngineError):
    """The state asked for is the present one; answered without a body."""

    status = 304


class InvalidArgument(EngineError):
    """A parameter is malformed or means nothing."""

    status = 400


class Unauthorized(EngineError):
    """A registry refused the credentials."""

    status = 401


class Forbidden(EngineError):
    """The operation is not allowed on this object."""

    status = 403


class Unsupported(EngineError):
    """This backend cannot do it; the message says what and why."""

    status = 501


class Unavailable(EngineError):
    """A worker, a registry or a cloud cannot be reached now."""

    status = 503


def error_for(kind: str, message: str) -> EngineError:
    """Return the error that ``kind`` names (as it travels between worker and frontend)."""
    return EngineError.kinds.get(kind, EngineError)(message)
