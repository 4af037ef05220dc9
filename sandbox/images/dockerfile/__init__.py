"""Dockerfiles and .dockerignore files, read without any input or output: text in, frozen structs or errors out."""

from sandbox.images.dockerfile.dockerfile import Dockerfile, parse, parse_changes, parse_trigger
from sandbox.images.dockerfile.errors import DockerfileError, InstructionFailure, SyntaxFailure
from sandbox.images.dockerfile.expand import Expander
from sandbox.images.dockerfile.patterns import PatternMatcher, read_ignore

__all__ = [
    "Dockerfile",
    "DockerfileError",
    "Expander",
    "InstructionFailure",
    "PatternMatcher",
    "SyntaxFailure",
    "parse",
    "parse_changes",
    "parse_trigger",
    "read_ignore",
]
