"""Volumes that are a directory of the host chosen by the user: the local driver's ``type``, ``o`` and ``device``.

Source of the checks and their words: moby volume/local/local_unix.go.
"""

from __future__ import annotations

from pathlib import Path

from backends.api.errors import EngineError, InvalidArgument, Unsupported

_KNOWN = {"device", "o", "size", "type"}
_NEEDED = {"device": ("type",), "o": ("device", "type"), "type": ("device",)}
_BINDING = {"bind", "rbind"}
_HARMLESS = {"", "rw"}


def check_options(name: str, options: dict[str, str]) -> None:
    """Refuse what the driver refuses, and what asks for another mount than that of a host directory."""
    for option in sorted(options):
        if option not in _KNOWN:
            raise InvalidArgument(f'create {name}: invalid option: "{option}"')
    for option, needed in _NEEDED.items():
        for other in needed:
            if option in options and other not in options:
                raise InvalidArgument(f'create {name}: missing required option: "{other}"')
    words = set(options.get("o", "").split(","))
    if "size" in options or not words & _BINDING or words - _BINDING - _HARMLESS:
        raise Unsupported(
            f"create {name}: options of the local volume driver are not supported: {sorted(options)}; "
            "o=bind with a device is"
        )


def directory(data: Path, options: dict[str, str]) -> Path:
    """The host directory of such a volume, which has to exist. ``data`` is where the driver would mount it."""
    device = options["device"]
    if not Path(device).is_dir():
        raise EngineError(
            f"error while mounting volume '{data}': failed to mount local volume: mount {device}:{data}, "
            "flags: 0x1000: no such file or directory"
        )
    return Path(device)
