"""What can be wrong with a Dockerfile."""

from __future__ import annotations


class DockerfileError(ValueError):
    """The text is no Dockerfile, or a word of it cannot be expanded; the message is in Docker's words."""


class SyntaxFailure(DockerfileError):
    """A line cannot be split into an instruction and its words. ``line`` counts from 1."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


class InstructionFailure(DockerfileError):
    """A line splits into words, but they make no instruction."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(f"dockerfile parse error on line {line}: {message}")
        self.line = line
