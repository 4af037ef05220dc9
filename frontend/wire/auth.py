"""Registry credentials in headers: base64 (URL alphabet) of a JSON object."""

from __future__ import annotations

import base64
from typing import Any

import msgspec


def parse_registry_auth(header: str | None) -> dict[str, Any]:
    """Return X-Registry-Auth's object. What cannot be read counts as no credentials, as the daemon has it for pulls."""
    if not header:
        return {}
    try:
        raw = base64.b64decode(header.replace("-", "+").replace("_", "/") + "=" * (-len(header) % 4))
        return msgspec.json.decode(raw, type=dict[str, Any])
    except (ValueError, RecursionError):
        return {}
