"""An isolated network namespace: its own loopback, an address on each network it is attached to, and the way out.

Where a packet goes (`route`), as the container's routing table and Docker's firewall would have it:
- 127.0.0.0/8, 0.0.0.0 and the stack's own addresses: the stack itself. 127.0.0.11:53 is the name server.
- a subnet it is attached to: the stack with that address (EHOSTUNREACH if there is none), or the host by its gateway
  address.
- a network of this switch it is not attached to: EHOSTUNREACH, networks are isolated from each other.
- anything else: out through the host's own sockets, unless every network is internal or there is none (ENETUNREACH).
"""

from __future__ import annotations

import errno
import ipaddress
import socket as host_socket
from dataclasses import dataclass

from sandbox.wasm.net import proc, publish
from sandbox.wasm.net.base import ANY, LOOPBACK, Socket, fail
from sandbox.wasm.net.hostaddress import gateway_target
from sandbox.wasm.net.icmp import IcmpSocket
from sandbox.wasm.net.interfaces import Interface
from sandbox.wasm.net.names import Resolver
from sandbox.wasm.net.netlink import AF_NETLINK, NETLINK_ROUTE, NetlinkSocket
from sandbox.wasm.net.ports import PortTable
from sandbox.wasm.net.stack import Publication, Stack
from sandbox.wasm.net.switch import Endpoint, Switch
from sandbox.wasm.net.tcp import TcpSocket
from sandbox.wasm.net.traffic import Meter, Traffic
from sandbox.wasm.net.udp import UdpSocket
from sandbox.wasm.net.unix import unix_socket

DNS = ("127.0.0.11", 53)


@dataclass(frozen=True)
class Route:
    """Where an address leads: `source` is the address to come from, `target` the stack, None for the real network."""

    source: str
    target: IsolatedStack | None
    gateway: bool = False


class IsolatedStack(Stack):
    """See the module."""

    def __init__(self, switch: Switch) -> None:
        super().__init__()
        self.switch = switch
        self.endpoints: tuple[Endpoint, ...] = ()
        self.tcp = PortTable()
        self.udp = PortTable()
        self.echo = PortTable()
        self.flows = publish.Flows()
        self.meter = Meter()
        self.resolver = Resolver(self)
        self._publications: list[Publication] = []

    def isolation(self) -> IsolatedStack:
        return self

    def socket(self, family: int, kind: int, protocol: int) -> Socket:
        if family == host_socket.AF_UNIX:
            return unix_socket(self, kind, protocol)
        if (family, protocol) == (AF_NETLINK, NETLINK_ROUTE):
            return NetlinkSocket(self, kind)
        if family != host_socket.AF_INET:
            fail(errno.EAFNOSUPPORT)
        if kind == host_socket.SOCK_STREAM and protocol in (0, host_socket.IPPROTO_TCP):
            return TcpSocket(self)
        if kind == host_socket.SOCK_DGRAM and protocol in (0, host_socket.IPPROTO_UDP):
            return UdpSocket(self)
        if kind not in (host_socket.SOCK_STREAM, host_socket.SOCK_DGRAM, host_socket.SOCK_RAW):
            fail(errno.ESOCKTNOSUPPORT)
        if kind == host_socket.SOCK_STREAM or protocol != host_socket.IPPROTO_ICMP:
            fail(errno.EPROTONOSUPPORT)
        return IcmpSocket(self, kind)

    def owns(self, address: str) -> bool:
        """Whether a socket may be bound to `address`."""
        return (
            address == ANY
            or address.startswith("127.")
            or any(endpoint.address == address for endpoint in self.endpoints)
        )

    def route(self, address: str) -> Route:
        """Where `address` leads; ENETUNREACH, EHOSTUNREACH."""
        endpoints = self.endpoints
        if address == ANY or address.startswith("127."):
            return Route(LOOPBACK, self)
        if any(endpoint.address == address for endpoint in endpoints):
            return Route(address, self)
        found = ipaddress.IPv4Address(address)
        for endpoint in endpoints:
            if found in endpoint.network.subnet:
                return self._neighbour(endpoint, address)
        return self._outside(endpoints, address, found)

    def _neighbour(self, endpoint: Endpoint, address: str) -> Route:
        if address == endpoint.network.gateway:
            return Route(endpoint.address, None, gateway=True)
        other = endpoint.network.endpoint(address)
        if other is None:
            fail(errno.EHOSTUNREACH)
        return Route(endpoint.address, other.stack)

    def _outside(self, endpoints: tuple[Endpoint, ...], address: str, found: ipaddress.IPv4Address) -> Route:
        way = next((endpoint for endpoint in endpoints if not endpoint.network.internal), None)
        if way is None or found.is_multicast or int(found) >> 24 in (0, 255):
            fail(errno.ENETUNREACH)
        if self.switch.carrier(address) is not None:
            fail(errno.EHOSTUNREACH)
        return Route(way.address, None)

    def take_connection(self, io: host_socket.socket, local: tuple[str, int], peer: tuple[str, int]) -> bool:
        """Take a connection that `peer` made to `local` of this stack; False when nobody listens there."""
        if local == DNS:
            self.resolver.serve(io)
            return True
        listener = self.tcp.find(local[0], local[1], listening=True)
        return isinstance(listener, TcpSocket) and listener.offer(io, local, peer)

    def take_datagram(self, data: bytes, local: tuple[str, int], peer: tuple[str, int], sender: UdpSocket) -> bool:
        """Take a datagram that `sender` sent from `peer` to `local` of this stack; False when nobody listens there."""
        if local == DNS:
            self.resolver.ask(data, lambda answer: self._answer(sender, answer))
            return True
        return self.enter(data, local, peer)

    def enter(self, data: bytes, local: tuple[str, int], peer: tuple[str, int]) -> bool:
        """Deliver a datagram to whom it is for; False when that is nobody."""
        owner = self.udp.find(local[0], local[1], peer)
        if not isinstance(owner, UdpSocket):
            return False
        owner.deliver(data, peer)
        self.meter.received(local[0], len(data))
        return True

    def _answer(self, asker: UdpSocket, answer: bytes) -> None:
        self.meter.received(LOOPBACK, len(answer))
        asker.deliver(answer, DNS)

    def real_address(self, route: Route, kind: int, address: tuple[str, int]) -> tuple[str, int]:
        """What to ask the host for to reach `address` by a route out; ECONNREFUSED at a gateway without listener."""
        return gateway_target(kind, address[1]) if route.gateway else address

    def interfaces(self) -> list[Interface]:
        found = [Interface(1, "lo", LOOPBACK, 8, mtu=65536, loopback=True)]
        for end in sorted(self.endpoints, key=lambda end: end.number):
            prefix = end.network.subnet.prefixlen
            found.append(Interface(end.number + 2, end.interface, end.address, prefix, end.mac))
        return found

    def default_gateway(self, interface: Interface) -> str | None:
        way = next((end for end in self.endpoints if not end.network.internal), None)
        return way.network.gateway if way is not None and way.address == interface.address else None

    def traffic(self) -> dict[str, Traffic]:
        return {end.interface: self.meter.of(end.address) for end in self.endpoints}

    def proc_net(self) -> dict[str, str]:
        return proc.render(self)

    def publish(self, protocol: str, host_ip: str, host_port: int, port: int) -> Publication:
        made = publish.publish(self, protocol, host_ip, host_port, port)
        self._publications.append(made)
        return made

    def close(self) -> None:
        for publication in self._publications:
            publication.close()
        self._publications.clear()
        for endpoint in self.endpoints:
            endpoint.network.detach(endpoint)
