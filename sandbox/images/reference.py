"""Image references: the grammar of distribution/reference and Docker's way of completing short names.

``busybox`` is ``docker.io/library/busybox:latest``; what counts as a registry host before the first slash is what has a
dot or a colon, is ``localhost``, or has a capital letter. Messages are the daemon's own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from sandbox.images.errors import InvalidReference

DEFAULT_DOMAIN = "docker.io"
DEFAULT_TAG = "latest"
MAX_NAME = 255

_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_HOST = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[(?:[a-fA-F0-9:]+)\])"
_DOMAIN = rf"{_HOST}(?::[0-9]+)?"
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"
_REFERENCE = re.compile(
    rf"(?P<domain>{_DOMAIN})/(?P<path>{_PART}(?:/{_PART})*)(?::(?P<tag>{_TAG}))?(?:@(?P<digest>{_DIGEST}))?"
)
_TAG_ONLY = re.compile(_TAG)
_IDENTIFIER = re.compile(r"[a-f0-9]{64}")
_PREFIX = re.compile(r"(?:sha256:)?([a-f0-9]{1,64})")
_CHECKSUM_LENGTH = {"sha256": 64, "sha384": 96, "sha512": 128}


@dataclass(frozen=True, slots=True)
class Reference:
    """A normalised name: ``domain/path[:tag][@digest]`` as ``str()`` gives it; ``familiar`` is how Docker prints it."""

    domain: str
    path: str
    tag: str | None = None
    digest: str | None = None

    @property
    def name(self) -> str:
        """The canonical repository, ``docker.io/library/busybox``."""
        return f"{self.domain}/{self.path}"

    @property
    def familiar_name(self) -> str:
        """The repository as users write it, ``busybox``; what that would be another host's stays canonical."""
        if self.domain != DEFAULT_DOMAIN or _is_host(self.path.partition("/")[0]):
            return self.name
        short = self.path.removeprefix("library/")
        return self.path if "/" in short else short

    @property
    def familiar(self) -> str:
        """The whole reference as users write it, ``busybox:latest``."""
        return self.familiar_name + self._suffix()

    def __str__(self) -> str:
        return self.name + self._suffix()

    def _suffix(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    def tagged(self) -> Reference:
        """This reference, with ``latest`` if it has neither tag nor digest."""
        return self if self.tag or self.digest else replace(self, tag=DEFAULT_TAG)

    def with_tag(self, tag: str) -> Reference:
        """The same repository under ``tag``."""
        if not _TAG_ONLY.fullmatch(tag):
            raise InvalidReference("invalid tag format")
        return replace(self, tag=tag, digest=None)

    def with_digest(self, digest: str) -> Reference:
        """The same repository at ``digest``, without a tag."""
        return replace(self, tag=None, digest=check_digest(digest))


def parse(text: str) -> Reference:
    """Normalise ``text``; raises InvalidReference with the daemon's words. Adds no tag: see ``Reference.tagged``."""
    if _IDENTIFIER.fullmatch(text):
        raise InvalidReference(f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings")
    domain, remainder = _split_domain(text)
    repository = remainder.partition(":")[0]
    if repository.lower() != repository:
        raise InvalidReference(f"invalid reference format: repository name ({repository}) must be lowercase")
    found = _REFERENCE.fullmatch(f"{domain}/{remainder}")
    if found is None:
        raise InvalidReference("invalid reference format")
    if len(found["domain"]) + 1 + len(found["path"]) > MAX_NAME:
        raise InvalidReference(f"repository name must not be more than {MAX_NAME} characters")
    digest = check_digest(found["digest"]) if found["digest"] else None
    return Reference(found["domain"], found["path"], found["tag"], digest)


def parse_canonical(text: str) -> Reference:
    """Read back what ``str(Reference)`` wrote."""
    found = _REFERENCE.fullmatch(text)
    if found is None:
        raise InvalidReference("invalid reference format")
    return Reference(found["domain"], found["path"], found["tag"], found["digest"])


def check_digest(digest: str) -> str:
    """Return ``digest`` if it is a well-formed sha256, sha384 or sha512 digest; InvalidReference otherwise."""
    algorithm, _, checksum = digest.partition(":")
    length = _CHECKSUM_LENGTH.get(algorithm)
    if length is None:
        raise InvalidReference("unsupported digest algorithm")
    if len(checksum) != length:
        raise InvalidReference("invalid checksum digest length")
    if not re.fullmatch(r"[a-f0-9]+", checksum):
        raise InvalidReference("invalid checksum digest format")
    return digest


def id_prefix(text: str) -> str | None:
    """The hexadecimal part if ``text`` may be an image id or the start of one, with or without ``sha256:``."""
    found = _PREFIX.fullmatch(text)
    return found[1] if found else None


def _split_domain(text: str) -> tuple[str, str]:
    first, slash, rest = text.partition("/")
    domain, remainder = (first, rest) if slash and _is_host(first) else (DEFAULT_DOMAIN, text)
    if domain == "index.docker.io":
        domain = DEFAULT_DOMAIN
    if domain == DEFAULT_DOMAIN and "/" not in remainder:
        remainder = f"library/{remainder}"
    return domain, remainder


def _is_host(first: str) -> bool:
    """Whether the first part of a name with several is a host."""
    return "." in first or ":" in first or first == "localhost" or first.lower() != first
