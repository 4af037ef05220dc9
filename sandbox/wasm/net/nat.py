"""Datagrams that leave the switch: a real socket beside an isolated one, as address translation would make it look."""

from __future__ import annotations

import errno
import socket
from collections import OrderedDict
from typing import TYPE_CHECKING

from sandbox.wasm.net.base import Inet

if TYPE_CHECKING:
    from sandbox.wasm.net.loop import Loop
    from sandbox.wasm.net.udp import UdpSocket

_PEERS = 1024
_BATCH = 64


class Outbound:
    """Sends for one isolated socket and lets in only what comes back from those it has sent to."""

    def __init__(self, loop: Loop, owner: UdpSocket) -> None:
        self._loop = loop
        self._owner = owner
        self._shown: OrderedDict[Inet, Inet] = OrderedDict()
        self._io = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._io.setblocking(False)
        self._connected: Inet | None = None
        loop.add(self._io.fileno(), self._ready)

    def only(self, real: Inet) -> None:
        """Talk to one peer only, so that the host tells when nobody listens there."""
        if self._connected != real:
            self._io.connect(real)
            self._connected = real

    def send(self, data: bytes, real: Inet, shown: Inet) -> None:
        """Send to `real`; answers will appear to come from `shown`."""
        self._shown[real] = shown
        self._shown.move_to_end(real)
        if len(self._shown) > _PEERS:
            self._shown.popitem(last=False)
        try:
            if self._connected == real:
                self._io.send(data)
            else:
                self._io.sendto(data, real)
        except BlockingIOError:
            return  # the host's queue is full: lost, as on a wire

    def _ready(self) -> None:
        for _ in range(_BATCH):
            try:
                data, source = self._io.recvfrom(65536)
            except BlockingIOError:
                return
            except ConnectionRefusedError:
                self._owner.fail_with(errno.ECONNREFUSED)
                return
            except OSError:
                return  # closed a moment ago, or a transient error of the network that UDP does not report
            shown = self._shown.get(source)
            if shown is not None and self._owner.hears(shown):
                self._owner.heard_outside(data, shown)

    def close(self) -> None:
        """Forget all peers."""
        self._loop.remove(self._io.fileno())
        self._io.close()
