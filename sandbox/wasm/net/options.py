"""Socket options as the programs see them: numbers and layouts of 32-bit musl with 64-bit times.

Options with an effect have one; those that only tune a real network are kept, and applied when a real socket is
behind; an option that is not here is refused with ENOPROTOOPT, as Linux does.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandbox.wasm.net.base import Socket

SOL_SOCKET = 1
SOL_TCP = 6
SOL_IP = 0
SOL_IPV6 = 41
SOL_RAW = 255

SO_REUSEADDR, SO_TYPE, SO_ERROR, SO_BROADCAST, SO_SNDBUF, SO_RCVBUF = 2, 3, 4, 6, 7, 8
SO_LINGER, SO_REUSEPORT, SO_PASSCRED, SO_PEERCRED = 13, 15, 16, 17
SO_ACCEPTCONN, SO_PROTOCOL, SO_DOMAIN = 30, 38, 39
_TIMEOUTS = {20: ("receive", "<ii"), 21: ("send", "<ii"), 66: ("receive", "<qq"), 67: ("send", "<qq")}

_KEPT: dict[tuple[int, int], int] = {
    **{(SOL_SOCKET, name): 0 for name in (SO_REUSEADDR, 5, SO_BROADCAST, 9, 10, 12, SO_REUSEPORT, 36)},
    (SOL_SOCKET, 18): 1,
    **{(SOL_TCP, name): 0 for name in (1, 3, 9, 18)},
    (SOL_TCP, 2): 536,
    (SOL_TCP, 4): 7200,
    (SOL_TCP, 5): 75,
    (SOL_TCP, 6): 9,
    (SOL_TCP, 7): 6,
    (SOL_TCP, 8): 60,
    (SOL_TCP, 10): 0,
    (SOL_TCP, 12): 1,
    **{(SOL_IP, name): 0 for name in (1, 10, 11, 15)},
    (SOL_IP, 2): 64,
    (SOL_IP, 33): 1,
    (SOL_IP, 34): 1,
}
_READ_ONLY = frozenset({SO_TYPE, SO_ERROR, SO_PEERCRED, SO_ACCEPTCONN, SO_PROTOCOL, SO_DOMAIN})
_INT = struct.Struct("<i")


def _refuse(number: int) -> OSError:
    return OSError(number, os.strerror(number))


class Options:
    """The options of one socket."""

    def __init__(self, owner: Socket) -> None:
        self._owner = owner
        self._kept: dict[tuple[int, int], bytes] = {}

    def flag(self, name: int) -> bool:
        """Whether a SOL_SOCKET option is switched on."""
        return any(self._kept.get((SOL_SOCKET, name), b""))

    @property
    def shares_port(self) -> bool:
        """Whether other sockets may have its port too."""
        return self.flag(SO_REUSEADDR) or self.flag(SO_REUSEPORT)

    def inherit(self, other: Options) -> None:
        """Take over what an accepted socket has from its listener."""
        self._kept = dict(other._kept)

    def get(self, level: int, name: int) -> bytes:
        """The option's value in the program's layout."""
        owner = self._owner
        if level == SOL_SOCKET:
            found = self._describe(name)
            if found is not None:
                return found
        if (level, name) in ((SOL_SOCKET, SO_SNDBUF), (SOL_SOCKET, SO_RCVBUF)):
            return _INT.pack(owner.io.getsockopt(socket.SOL_SOCKET, name))
        if (level, name) == (SOL_SOCKET, SO_LINGER):
            return self._kept.get((level, name), bytes(8))
        if (level, name) in self._kept:
            return self._kept[level, name]
        if (level, name) not in _KEPT:
            raise _refuse(errno.ENOPROTOOPT)
        return _INT.pack(_KEPT[level, name])

    def _describe(self, name: int) -> bytes | None:
        owner = self._owner
        if name in _TIMEOUTS:
            return self._timeout(name)
        if name == SO_PEERCRED:
            who = getattr(owner, "peer_credentials", None)
            if who is None:
                raise _refuse(errno.ENOPROTOOPT)
            return struct.pack("<iII", who.pid, who.uid, who.gid)
        if name == SO_ERROR:
            return _INT.pack(owner.take_error())
        facts = {
            SO_TYPE: owner.kind,
            SO_ACCEPTCONN: owner.listening,
            SO_PROTOCOL: owner.protocol,
            SO_DOMAIN: owner.family,
        }
        return _INT.pack(int(facts[name])) if name in facts else None

    def _timeout(self, name: int) -> bytes:
        field, layout = _TIMEOUTS[name]
        seconds: float = getattr(self._owner.timeouts, field) or 0.0
        return struct.pack(layout, int(seconds), round(seconds % 1 * 1e6))

    def set(self, level: int, name: int, value: bytes) -> None:
        """Set it; EINVAL when `value` is too short, ENOPROTOOPT when there is no such option."""
        if level == SOL_SOCKET and name in _TIMEOUTS:
            self._set_timeout(name, value)
            return
        if level == SOL_SOCKET and name in _READ_ONLY:
            raise _refuse(errno.ENOPROTOOPT)
        known = (level, name) in _KEPT or (level == SOL_SOCKET and name in (SO_SNDBUF, SO_RCVBUF, SO_LINGER))
        if not known:
            raise _refuse(errno.ENOPROTOOPT)
        size = 8 if (level, name) == (SOL_SOCKET, SO_LINGER) else 4
        if len(value) < size and not (level == SOL_IP and value):
            raise _refuse(errno.EINVAL)
        value = value[:size].ljust(4, b"\0")
        self._kept[level, name] = value
        self._apply(self._owner.io, level, name, value)

    def _set_timeout(self, name: int, value: bytes) -> None:
        field, layout = _TIMEOUTS[name]
        if len(value) < struct.calcsize(layout):
            raise _refuse(errno.EINVAL)
        seconds, micros = struct.unpack_from(layout, value)
        if not 0 <= micros < 1_000_000:
            raise _refuse(errno.EDOM)
        setattr(self._owner.timeouts, field, (seconds + micros / 1e6) or None)

    def apply(self, io: socket.socket) -> None:
        """Give a new host socket what was set before."""
        for (level, name), value in self._kept.items():
            self._apply(io, level, name, value)

    def _apply(self, io: socket.socket, level: int, name: int, value: bytes) -> None:
        real = io.family in (socket.AF_INET, socket.AF_INET6)
        if (level, name) in ((SOL_SOCKET, SO_SNDBUF), (SOL_SOCKET, SO_RCVBUF)) or (
            real and name not in (SO_REUSEADDR, SO_REUSEPORT)
        ):
            io.setsockopt(level, name, value)


def is_own(level: int, name: int) -> bool:
    """Whether an option's meaning or layout is ours even for a real socket."""
    return level == SOL_SOCKET and (name in _TIMEOUTS or name in (SO_ERROR, SO_TYPE, SO_DOMAIN, SO_PROTOCOL))
