"""Published ports: real sockets of the host that lead into an isolated stack.

A connection is not relayed: the accepted host socket itself goes into the accept queue of the container's listener.
If nobody listens there it is reset. Peers keep their address; those on the host's loopback, and those with an IPv6
address, appear as the gateway, as Docker's proxy makes them (a container must not take them for its own processes).
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sandbox.wasm.net.base import ANY, Inet, abort
from sandbox.wasm.net.stack import Publication

if TYPE_CHECKING:
    from sandbox.wasm.net.isolated import IsolatedStack
    from sandbox.wasm.net.switch import Endpoint

_BACKLOG = 1024
_BATCH = 64
_FLOWS = 4096


class Flows:
    """By which publication the peers of published UDP ports are answered: (port here, peer as shown) to a way back.

    The least recently used are forgotten first.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ways: OrderedDict[tuple[int, Inet], tuple[object, Callable[[bytes], None]]] = OrderedDict()

    def add(self, port: int, shown: Inet, publication: object, reply: Callable[[bytes], None]) -> None:
        with self._lock:
            self._ways[port, shown] = (publication, reply)
            self._ways.move_to_end((port, shown))
            if len(self._ways) > _FLOWS:
                self._ways.popitem(last=False)

    def find(self, port: int, shown: Inet) -> Callable[[bytes], None] | None:
        with self._lock:
            way = self._ways.get((port, shown))
        return way[1] if way is not None else None

    def forget(self, publication: object) -> None:
        with self._lock:
            for key in [key for key, way in self._ways.items() if way[0] is publication]:
                del self._ways[key]


def publish(stack: IsolatedStack, protocol: str, host_ip: str, host_port: int, port: int) -> Publication:
    """Open the host's port; ValueError for a protocol that is neither tcp nor udp."""
    if protocol == "tcp":
        return TcpPublication(stack, host_ip, host_port, port)
    if protocol == "udp":
        return UdpPublication(stack, host_ip, host_port, port)
    raise ValueError(f"ports of protocol {protocol} cannot be published")


class _Published(Publication):
    kind: int

    def __init__(self, stack: IsolatedStack, host_ip: str, host_port: int, port: int) -> None:
        self._stack = stack
        self._port = port
        self._closed = False
        self._io = self._open(host_ip or ANY, host_port)
        self.host_ip, self.host_port = self._io.getsockname()[:2]
        stack.switch.loop.add(self._io.fileno(), self._ready)

    def _open(self, host_ip: str, host_port: int) -> socket.socket:
        family = socket.AF_INET6 if ":" in host_ip else socket.AF_INET
        io = socket.socket(family, self.kind)
        try:
            io.setblocking(False)
            if family == socket.AF_INET6:
                io.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            if self.kind == socket.SOCK_STREAM:
                io.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            io.bind((host_ip, host_port))
            if self.kind == socket.SOCK_STREAM:
                io.listen(_BACKLOG)
        except OSError:
            io.close()
            raise
        return io

    def _ready(self) -> None:
        try:
            for _ in range(_BATCH):
                self._take()
        except BlockingIOError:
            return
        except OSError as error:
            if not self._closed and error.errno != errno.ECONNABORTED:
                raise

    def _take(self) -> None:
        raise NotImplementedError

    def _entrance(self) -> Endpoint | None:
        """The endpoint by which the host enters: the first that is not on an internal network, as with Docker."""
        ends = self._stack.endpoints
        return next((end for end in ends if not end.network.internal), None)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._stack.switch.loop.remove(self._io.fileno())
        self._io.close()
        self._stack.flows.forget(self)


def shown_as(peer: tuple[Any, ...], entrance: Endpoint) -> Inet:
    """How a peer on the host's side appears to the container."""
    address = ipaddress.ip_address(peer[0].partition("%")[0])
    foreign = address.version == 6 or address.is_loopback
    return (entrance.network.gateway if foreign else str(address)), peer[1]


class TcpPublication(_Published):
    protocol = "tcp"
    kind = socket.SOCK_STREAM

    def _take(self) -> None:
        io, peer = self._io.accept()
        entrance = self._entrance()
        if entrance is None or not self._stack.take_connection(
            io, (entrance.address, self._port), shown_as(peer, entrance)
        ):
            abort(io)


class UdpPublication(_Published):
    protocol = "udp"
    kind = socket.SOCK_DGRAM

    def _take(self) -> None:
        data, peer = self._io.recvfrom(65536)
        entrance = self._entrance()
        if entrance is None:
            return
        shown = shown_as(peer, entrance)
        self._stack.flows.add(self._port, shown, self, lambda answer: self._reply(answer, peer))
        self._stack.enter(data, (entrance.address, self._port), shown)

    def _reply(self, data: bytes, peer: tuple[Any, ...]) -> None:
        entrance = self._entrance()
        if entrance is not None:
            self._stack.meter.sent(entrance.address, len(data))
        try:
            self._io.sendto(data, peer)
        except BlockingIOError:
            return  # the host's queue is full: lost, as on a wire
