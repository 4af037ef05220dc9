"""The options of a tmpfs, as mount(8) writes them: of HostConfig.Tmpfs, and of volumes of that type."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from backends.api.errors import InvalidArgument

_FLAGS = {
    "defaults", "rw", "suid", "nosuid", "dev", "nodev", "exec", "noexec", "sync", "async", "dirsync", "remount",
    "mand", "nomand", "atime", "noatime", "diratime", "nodiratime", "relatime", "norelatime", "strictatime",
    "nostrictatime", "bind", "rbind", "unbindable", "runbindable", "private", "rprivate", "shared", "rshared",
    "slave", "rslave",
}  # fmt: skip
_VALUED = ("nr_inodes", "nr_blocks", "mpol")
"""Options that Docker knows, beside those with a meaning here."""


@dataclass(frozen=True)
class Tmpfs:
    """``size`` in bytes, 0 = unlimited; ``mode`` (None = 1777) and owner of its root."""

    size: int = 0
    mode: int | None = None
    uid: int = 0
    gid: int = 0
    read_only: bool = False

    @classmethod
    def parse(cls, text: str) -> Tmpfs:
        """Read "rw,noexec,size=64m,mode=1777"; InvalidArgument in Docker's words."""
        size, mode, uid, gid, read_only = 0, None, 0, 0, False
        for option in filter(None, text.split(",")):
            key, _, value = option.partition("=")
            if key == "ro":
                read_only = True
            elif key == "size":
                size = _size(value)
            elif key == "mode":
                mode = _octal(value)
            elif key == "uid":
                uid = _id(key, value)
            elif key == "gid":
                gid = _id(key, value)
            elif option not in _FLAGS and not ("=" in option and key in _VALUED):
                quoted = " ".join(f'"{part}"' for part in option.split("=", 1))
                raise InvalidArgument(f"invalid tmpfs option [{quoted}]")
        return cls(size, mode, uid, gid, read_only)


def _size(text: str) -> int:
    if re.fullmatch(r"[0-9]{1,3}%", text):
        return int(text[:-1]) * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 100
    match = re.fullmatch(r"([0-9]{1,19})([kmgKMG]?)[bB]?", text)
    size = int(match[1]) << {"": 0, "k": 10, "m": 20, "g": 30}[match[2].lower()] if match else -1
    if not 0 <= size < 1 << 63:
        raise InvalidArgument(f"invalid size in tmpfs option: {text}")
    return size


def _octal(text: str) -> int:
    if not re.fullmatch(r"0*[0-7]{1,4}", text):
        raise InvalidArgument(f"invalid mode in tmpfs option: {text}")
    return int(text[-4:], 8)


def _id(key: str, text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,10}", text) or int(text) >= 1 << 32:
        raise InvalidArgument(f"invalid {key} in tmpfs option: {text}")
    return int(text)
