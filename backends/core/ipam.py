"""Addresses: which subnet a network gets, and which address an endpoint gets on it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Interface, ip_address, ip_interface

from backends.api.errors import Forbidden, InvalidArgument
from backends.api.types import Json

BRIDGE_SUBNET = "172.17.0.0/16"
_Block = IPv4Interface | IPv6Interface


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


def check_config(entries: Iterable[Json]) -> None:
    """Docker's check of a network's IPAM.Config (dockerd 24 and newer): all that is wrong is told at once.

    Subnets and addresses of IPv6 are not looked at: they have no effect.
    """
    faults = [fault for entry in entries for fault in _faults(entry)]
    if faults:
        told = faults[0] if len(faults) == 1 else "* " + "\n* ".join(faults)
        raise InvalidArgument(f"invalid network config:\n{told}")


def _faults(entry: Json) -> Iterator[str]:
    text = entry.get("Subnet") or ""
    subnet = _block(text)
    if subnet is None:
        yield f"invalid subnet {text}: invalid CIDR block notation"
        return
    if subnet.version == 6:
        return
    if str(subnet.network) != text:
        yield f"invalid subnet {text}: it should be {subnet.network}"
    if entry.get("IPRange"):
        yield from (
            f"invalid ip-range {entry['IPRange']}: {fault}" for fault in _range_faults(entry["IPRange"], subnet)
        )
    if entry.get("Gateway") and (fault := _address_fault(entry["Gateway"], subnet)):
        yield f"invalid gateway {entry['Gateway']}: {fault}"
    for name, address in (entry.get("AuxiliaryAddresses") or {}).items():
        if address and (fault := _address_fault(address, subnet)):
            yield f"invalid auxiliary address {name}: {fault}"


def _range_faults(text: str, subnet: _Block) -> Iterator[str]:
    block = _block(text)
    if block is None:
        yield "invalid CIDR block notation"
    elif block.version == 6:
        yield "parent subnet is an IPv4 block"
    else:
        if block.network.prefixlen < subnet.network.prefixlen:
            yield f"CIDR block is bigger than its parent subnet {subnet}"
        if str(block.network) != text:
            yield f"it should be {block.network}"
        if not block.network.overlaps(subnet.network):
            yield f"parent subnet {subnet} doesn't contain ip-range"


def _address_fault(text: str, subnet: _Block) -> str:
    try:
        address = ip_address(text)
    except ValueError:
        return "invalid address"
    if address.version == 6:
        return "parent subnet is an IPv4 block"
    return "" if address in subnet.network else f"parent subnet {subnet} doesn't contain this address"


def _block(text: str) -> _Block | None:
    """An address and its prefix length, the address not necessarily the block's first; None if it is none."""
    _, _, length = text.partition("/")
    if not length.isdecimal() or length != str(int(length)):
        return None
    try:
        return ip_interface(text)
    except ValueError:
        return None


def take_subnet(text: str, taken: Iterable[str]) -> IPv4Network:
    """A subnet that the user wants (``check_config`` found it well-formed), if it is free."""
    wanted = IPv4Network(text)
    if any(wanted.overlaps(IPv4Network(other)) for other in taken):
        raise Forbidden("invalid pool request: Pool overlaps with other one on this address space")
    return wanted


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
