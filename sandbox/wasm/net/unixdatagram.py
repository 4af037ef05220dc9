"""Unix datagram sockets: mailboxes as in `datagram`, but nothing is lost: a sender waits for room."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sandbox.wasm.net.base import Address, Buffer, Credentials, Received, fail
from sandbox.wasm.net.rights import ROOM, received, send_with
from sandbox.wasm.net.unix import Crowded, Place, UnixSocket

if TYPE_CHECKING:
    from sandbox.wasm.net.stack import Stack

_SENDER = struct.Struct("B108s")


class UnixDatagram(UnixSocket):
    """Connected, it has a default receiver and hears only that one."""

    def __init__(self, stack: Stack) -> None:
        io, self._slot = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._slot.setblocking(False)
        super().__init__(stack, io, socket.SOCK_DGRAM)
        self._target: UnixDatagram | None = None
        self._target_name = b""
        self._deaf = False
        self._mute = False
        self.peer_credentials = Credentials(0, 0xFFFFFFFF, 0xFFFFFFFF)

    def connect(self, address: object) -> None:
        self._target = None
        if address is None:
            return
        assert isinstance(address, Place)
        found = self.find(address)
        if not isinstance(found, UnixDatagram):
            fail(errno.EOPNOTSUPP)
        self.join(found, address.name)

    def join(self, other: UnixDatagram, name: bytes) -> None:
        """Send to `other` from now on."""
        self._target, self._target_name = other, name
        self.peer_credentials = other.credentials

    def send(self, views: Sequence[Buffer], flags: int, address: object = None, rights: Sequence[object] = ()) -> int:
        if self._mute:
            fail(errno.EPIPE)
        if isinstance(address, Place):
            target = self.find(address)
            if target is None:
                return self._send_real(views, address, rights)
        elif self._target is None:
            fail(errno.ENOTCONN)
        else:
            target = self._target
        assert isinstance(target, UnixDatagram)
        return target.take(views, self, rights)

    def _send_real(self, views: Sequence[Buffer], place: Place, rights: Sequence[object]) -> int:
        if rights:
            fail(errno.EOPNOTSUPP)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as io:
            io.setblocking(False)
            try:
                return io.sendmsg(views, (), 0, f"/proc/self/fd/{place.host}")
            except BlockingIOError:
                raise Crowded from None

    def take(self, views: Sequence[Buffer], sender: UnixDatagram, rights: Sequence[object]) -> int:
        """Put a datagram into this mailbox; `Crowded` when it is full, ECONNREFUSED when it is gone."""
        if self.closed or (self._target is not None and self._target is not sender):
            fail(errno.ECONNREFUSED if self.closed else errno.EPERM)
        header = _SENDER.pack(len(sender.name), sender.name)
        try:
            return send_with(self._slot, [header, *views], 0, self.room, rights) - _SENDER.size
        except BlockingIOError:
            raise Crowded from None
        except OSError as error:
            if error.errno == errno.EBADF:
                fail(errno.ECONNREFUSED)
            raise

    def receive(self, views: Sequence[memoryview], flags: int) -> Received:
        if self._deaf:
            return Received(0)
        header = bytearray(_SENDER.size)
        size, ancillary, found, _ = self.io.recvmsg_into([header, *views], ROOM, flags | socket.MSG_CMSG_CLOEXEC)
        if size < _SENDER.size:
            return Received(0)
        rights = received(ancillary, self.room, peek=bool(flags & socket.MSG_PEEK)) if ancillary else ()
        length, name = _SENDER.unpack(header)
        return Received(size - _SENDER.size, name[:length], found & socket.MSG_TRUNC, rights)

    def readable(self) -> int:
        try:
            return self.receive([], socket.MSG_PEEK | socket.MSG_TRUNC).size
        except BlockingIOError:
            return 0

    def shutdown(self, how: int) -> None:
        if self._target is None:
            fail(errno.ENOTCONN)
        if how != socket.SHUT_WR:
            self._deaf = True
            self._slot.send(b"")
        self._mute = self._mute or how != socket.SHUT_RD

    def peer(self) -> Address:
        if self._target is None:
            fail(errno.ENOTCONN)
        return self._target_name

    def release(self) -> None:
        super().release()
        self._slot.close()


def datagram_pair(stack: Stack) -> tuple[UnixSocket, UnixSocket]:
    """socketpair(2) of datagrams."""
    one, two = UnixDatagram(stack), UnixDatagram(stack)
    one.join(two, b"")
    two.join(one, b"")
    return one, two
