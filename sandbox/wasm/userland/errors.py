"""What can go wrong in a build, each with a hint that says what to do."""

from __future__ import annotations


class UserlandError(Exception):
    """A build cannot be made or found. `hint` is a sentence for whoever asked for it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(f"{message}\n{hint}" if hint else message)
        self.hint = hint


class ToolMissing(UserlandError):
    """A program, library or header that a build needs is not on this machine."""


class SourceMissing(UserlandError):
    """A program's source package cannot be fetched."""


class BuildFailed(UserlandError):
    """A build step ended with an error. The message has the end of its output."""


class NotBuilt(UserlandError):
    """There is no build of the present recipes in the cache."""
