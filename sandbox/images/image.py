"""What an image is: its config document, and the names a store gives it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from sandbox.images.errors import InvalidImage, InvalidReference
from sandbox.images.layers import Layer
from sandbox.images.reference import Reference, check_digest

MAX_CONFIG = 8 << 20


@dataclass(frozen=True, slots=True)
class Image:
    """One image. ``tags`` and ``digests`` are familiar (``busybox:latest``, ``busybox@sha256:…``), sorted.

    ``config`` is the OCI image config as it is stored (its bytes hash to ``id``); ``size`` is in bytes of files, over
    all layers; ``created`` is the config's RFC 3339 text or ``""``; ``parent`` the id of the image it was built or
    committed from here, or ``""``; ``tagged_at`` RFC 3339 or ``""``.
    """

    id: str
    config: dict[str, Any]
    created: str
    size: int
    layers: tuple[Layer, ...]
    tags: tuple[str, ...]
    digests: tuple[str, ...]
    architecture: str
    os: str
    variant: str
    parent: str
    tagged_at: str
    manifests: tuple[str, ...]

    @property
    def created_ns(self) -> int:
        """``created`` in nanoseconds since 1970 (0 if unknown)."""
        return unix_ns(self.created)

    @property
    def dangling(self) -> bool:
        """Whether no tag names it."""
        return not self.tags

    @property
    def chain_ids(self) -> tuple[str, ...]:
        """The chain id of each layer: what Docker calls the stack up to it."""
        return chain_ids(layer.diff_id for layer in self.layers)


@dataclass(frozen=True, slots=True)
class Named:
    """The references of an image, split as Docker shows them."""

    tags: tuple[str, ...]
    digests: tuple[str, ...]

    @classmethod
    def of(cls, references: Iterable[Reference]) -> Named:
        """Sort ``references`` into tags and digests."""
        ordered = sorted(references, key=str)
        return cls(
            tuple(ref.familiar for ref in ordered if ref.digest is None),
            tuple(ref.familiar for ref in ordered if ref.digest is not None),
        )


def digest_of(data: bytes) -> str:
    """The sha256 digest of ``data``, as OCI writes it."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def parse_config(data: bytes) -> dict[str, Any]:
    """An image config document; InvalidImage if it is none (no JSON object, or without usable rootfs.diff_ids)."""
    if len(data) > MAX_CONFIG:
        raise InvalidImage("image config is too large")
    try:
        config = msgspec.json.decode(data, type=dict[str, Any])
    except (ValueError, RecursionError) as error:
        raise InvalidImage(f"image config is no JSON object: {error}") from None
    diff_ids(config)
    for key in ("architecture", "os", "variant", "created"):
        if not isinstance(config.get(key) or "", str):
            raise InvalidImage(f"image config: {key} is no string")
    if not isinstance(config.get("config") or {}, dict) or not isinstance(config.get("history") or [], list):
        raise InvalidImage("image config: config or history has the wrong type")
    return config


def diff_ids(config: dict[str, Any]) -> list[str]:
    """The layers a config names, lowest first; InvalidImage."""
    rootfs = config.get("rootfs")
    found = (rootfs.get("diff_ids") or []) if isinstance(rootfs, dict) else None
    if not isinstance(found, list) or not all(isinstance(item, str) and _is_sha256(item) for item in found):
        raise InvalidImage("image config has no valid rootfs.diff_ids")
    return found


def _is_sha256(text: str) -> bool:
    if not text.startswith("sha256:"):
        return False
    try:
        check_digest(text)
    except InvalidReference:
        return False
    return True


def chain_ids(ids: Iterable[str]) -> tuple[str, ...]:
    """OCI image-spec, "Layer ChainID"."""
    chain: list[str] = []
    for diff_id in ids:
        chain.append(digest_of(f"{chain[-1]} {diff_id}".encode()) if chain else diff_id)
    return tuple(chain)


def unix_ns(text: str) -> int:
    """RFC 3339 with up to nine digits of fraction, in nanoseconds since 1970; 0 for what is none."""
    whole, dot, rest = text.partition(".")
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))] if dot else ""
    zone = rest[len(digits) :]
    try:
        moment = datetime.fromisoformat(whole + zone)
    except ValueError:
        return 0
    seconds = int(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp())
    return seconds * 1_000_000_000 + int((digits + "0" * 9)[:9])
