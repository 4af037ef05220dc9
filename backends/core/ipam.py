"""Addresses: which subnet a network gets, and which address an endpoint gets on it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network, ip_address, ip_network

from backends.api.errors import Forbidden, InvalidArgument

BRIDGE_SUBNET = "172.17.0.0/16"


def _predefined() -> Iterator[IPv4Network]:
    for second in range(17, 32):
        yield IPv4Network(f"172.{second}.0.0/16")
    yield from IPv4Network("192.168.0.0/16").subnets(new_prefix=20)


def choose_subnet(taken: Iterable[str]) -> IPv4Network:
    """Return the first of Docker's predefined pools that overlaps no taken subnet."""
    others = [IPv4Network(text) for text in taken]
    for candidate in _predefined():
        if not any(candidate.overlaps(other) for other in others):
            return candidate
    raise InvalidArgument("all predefined address pools have been fully subnetted")


def check_subnet(text: str, taken: Iterable[str]) -> IPv4Network:
    """Read a subnet that the user wants; it must be exact and free."""
    try:
        exact = ip_network(text, strict=False)
    except ValueError:
        raise InvalidArgument(f"invalid network config:\ninvalid subnet {text}: not a CIDR block") from None
    if not isinstance(exact, IPv4Network):
        raise InvalidArgument(f"invalid network config:\ninvalid subnet {text}: only IPv4 is supported")
    if str(exact) != text:
        raise InvalidArgument(f"invalid network config:\ninvalid subnet {text}: it should be {exact}")
    if any(exact.overlaps(IPv4Network(other)) for other in taken):
        raise Forbidden("invalid pool request: Pool overlaps with other one on this address space")
    return exact


def mac_for(address: str) -> str:
    """Return the hardware address that goes with an IPv4 address: 02:42 and its four bytes, as Docker has it."""
    return ":".join(f"{byte:02x}" for byte in b"\x02\x42" + IPv4Address(address).packed)


class Pool:
    """The addresses of one network. ``gateway`` is taken from the start."""

    def __init__(self, subnet: str, gateway: str, ip_range: str = "") -> None:
        self.subnet = IPv4Network(subnet)
        self._range = IPv4Network(ip_range) if ip_range else self.subnet
        self._taken = {IPv4Address(gateway)} if gateway else set()

    def allocate(self, wanted: str = "") -> str:
        """Take the lowest free address, or the one wanted; Forbidden when it is taken, InvalidArgument when outside."""
        if wanted:
            return self._take(wanted)
        reserved = {self.subnet.network_address, self.subnet.broadcast_address}
        for address in self._range:
            if address not in self._taken and address not in reserved:
                self._taken.add(address)
                return str(address)
        raise Forbidden(f"no available IPv4 addresses on this network's address pools: {self.subnet}")

    def _take(self, wanted: str) -> str:
        try:
            address = ip_address(wanted)
        except ValueError:
            raise InvalidArgument(f"invalid IPv4 address: {wanted}") from None
        if not isinstance(address, IPv4Address) or address not in self.subnet:
            raise InvalidArgument(f"no configured subnet contains IP address {wanted}")
        if address in self._taken:
            raise Forbidden("Address already in use")
        self._taken.add(address)
        return str(address)

    def release(self, address: str) -> None:
        """Give an address back."""
        if address:
            self._taken.discard(IPv4Address(address))
