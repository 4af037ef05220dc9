"""Sockets that receive datagrams in a mailbox: a host socketpair, each datagram in it preceded by who sent it.

One end is the socket's descriptor, into the other everybody who sends to the socket writes. A pending error is a
datagram of its own, so that waiting for input notices it.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence

from sandbox.wasm.net.base import Buffer, Inet, Received, Socket

_HEADER = struct.Struct("!BxH4s")
_DATA, _ERROR = 0, 1


class Mailbox(Socket):
    """Delivers whole datagrams of IPv4; a full mailbox loses them, as UDP does."""

    def __init__(self, kind: int, protocol: int) -> None:
        io, self._slot = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._slot.setblocking(False)
        super().__init__(io, socket.AF_INET, kind, protocol)
        self._deaf = False

    def deliver(self, data: Buffer, source: Inet) -> None:
        """Put a datagram into the mailbox."""
        self._put(_HEADER.pack(_DATA, source[1], socket.inet_aton(source[0])), data)

    def fail_with(self, number: int) -> None:
        """Make the next call fail: what an ICMP message does to a connected socket."""
        self.error = number
        self._put(_HEADER.pack(_ERROR, 0, bytes(4)), b"")

    def _put(self, header: bytes, data: Buffer) -> None:
        try:
            self._slot.sendmsg([header, data])
        except OSError:
            return  # full, or closed a moment ago: the datagram is lost, as on a wire

    def receive(self, views: Sequence[memoryview], flags: int) -> Received:
        header = bytearray(_HEADER.size)
        while True:
            self.raise_error()
            if self._deaf:
                return Received(0)
            size, _, found, _ = self.io.recvmsg_into([header, *views], 0, flags)
            kind, port, address = _HEADER.unpack(header)
            if kind == _DATA:
                return Received(size - _HEADER.size, (socket.inet_ntoa(address), port), found & socket.MSG_TRUNC)
            if flags & socket.MSG_PEEK:
                self.io.recv(_HEADER.size)

    def readable(self) -> int:
        try:
            return self.receive([], socket.MSG_PEEK | socket.MSG_TRUNC).size
        except BlockingIOError:
            return 0

    def hush(self, how: int) -> None:
        """Stop receiving, if `how` says so: reads find the end."""
        if how != socket.SHUT_WR:
            self._deaf = True
            self._put(_HEADER.pack(_ERROR, 0, bytes(4)), b"")

    def release(self) -> None:
        self._slot.close()
