"""The host as containers meet it: what a network's gateway address leads to.

With Docker a gateway is the bridge's address, at which services of the host answer that listen on every address. The
same rule here: the port must be bound to 0.0.0.0 or :: on the host (/proc/net tells), and the connection is made to
the host's own address towards the world, so that a service never takes a container for a local program, as it would
at 127.0.0.1. A host with no such address, or no /proc/net, refuses.
"""

from __future__ import annotations

import errno
import socket
from pathlib import Path

from sandbox.wasm.net.base import fail

_LISTENING: dict[int, tuple[str, str]] = {socket.SOCK_STREAM: ("tcp", "0A"), socket.SOCK_DGRAM: ("udp", "07")}
_PROBE = ("192.0.2.1", 9)
"""An address of the documentation range: asked for its route only, nothing is sent."""


def own_address() -> str | None:
    """The host's address towards the world."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_PROBE)
        except OSError:
            return None
        address: str = probe.getsockname()[0]
    return None if address.startswith("127.") else address


def open_to_all(kind: int, port: int) -> bool:
    """Whether a socket of the host listens on `port` at every address."""
    name, state = _LISTENING[kind]
    wanted = f":{port:04X}"
    for table in (name, f"{name}6"):
        try:
            lines = Path("/proc/net", table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            address = fields[1]
            if fields[3] == state and address.endswith(wanted) and set(address[: -len(wanted)]) == {"0"}:
                return True
    return False


def gateway_target(kind: int, port: int) -> tuple[str, int]:
    """Where a connection to a gateway's `port` really goes; ECONNREFUSED."""
    address = own_address() if open_to_all(kind, port) else None
    if address is None:
        fail(errno.ECONNREFUSED)
    return address, port
