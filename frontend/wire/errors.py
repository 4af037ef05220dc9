"""What a client sent is not what the API takes."""

from __future__ import annotations


class BadRequest(Exception):
    """The request is malformed; ``message`` is in the words of Docker's daemon. Answered 400."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class TooOld(BadRequest):
    """The client's API version is no longer served; told in plain text, which those versions expect."""
