"""What volumes of the local driver are made of, by its options ``type``, ``o`` and ``device``: a directory of their own
without any, one of the host that the user chose, or memory.

Source of the checks and their words: moby volume/local/local_unix.go.
"""

from __future__ import annotations

from pathlib import Path

from backends.api.errors import EngineError, InvalidArgument, Unsupported
from backends.core.tmpfs import Tmpfs

_KNOWN = {"device", "o", "size", "type"}
_NEEDED = {"device": ("type",), "o": ("device", "type"), "type": ("device",)}
_BINDING = {"bind", "rbind"}
_HARMLESS = {"", "rw"}


def check_options(name: str, options: dict[str, str]) -> None:
    """Refuse what the driver refuses, and what asks for another mount than that of a host directory or a tmpfs."""
    for option in sorted(options):
        if option not in _KNOWN:
            raise InvalidArgument(f'create {name}: invalid option: "{option}"')
    for option, needed in _NEEDED.items():
        for other in needed:
            if option in options and other not in options:
                raise InvalidArgument(f'create {name}: missing required option: "{other}"')
    words = _words(options)
    known = words <= _BINDING | _HARMLESS if words & _BINDING else options.get("type") == "tmpfs"
    if "size" in options or not known:
        raise Unsupported(
            f"create {name}: options of the local volume driver are not supported: {sorted(options)}; "
            "o=bind with a device is, and type=tmpfs"
        )
    try:
        memory(options)
    except InvalidArgument as error:
        raise InvalidArgument(f"create {name}: {error.message}") from None


def _words(options: dict[str, str]) -> set[str]:
    return set(options.get("o", "").split(","))


def memory(options: dict[str, str]) -> Tmpfs | None:
    """The tmpfs that such a volume is, or None."""
    if options["type"] != "tmpfs" or _words(options) & _BINDING:
        return None
    return Tmpfs.parse(options.get("o", ""))


def directory(data: Path, options: dict[str, str]) -> Path:
    """The host directory of such a volume, which has to exist. ``data`` is where the driver would mount it."""
    device = options["device"]
    if not Path(device).is_dir():
        raise EngineError(
            f"error while mounting volume '{data}': failed to mount local volume: mount {device}:{data}, "
            "flags: 0x1000: no such file or directory"
        )
    return Path(device)
