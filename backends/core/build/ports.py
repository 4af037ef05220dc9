"""EXPOSE: Docker's port specification, [[address:][host ports]:]ports[/protocol], read as go-connections does."""

from __future__ import annotations

import ipaddress

from backends.api.errors import InvalidArgument

_PROTOCOLS = ("tcp", "udp", "sctp")
_LARGEST = 65_535


def exposed_ports(text: str) -> list[str]:
    """80, 80/udp, 8000-8010: each as number/protocol. What is said of the host is checked and left out.

    InvalidArgument.
    """
    host, _, container = text.rpartition(":")
    address, _, published = host.rpartition(":")
    ports, _, more = container.partition("/")
    protocol = more.partition("/")[0] or "tcp"
    _check_address(address)
    if not ports:
        raise InvalidArgument(f"no port specified: {text}<empty>")
    low, high = _range(ports, "containerPort")
    if published:
        first, last = _range(published, "hostPort")
        if low != high and last - first != high - low:
            raise InvalidArgument(f"invalid ranges specified for container and host Ports: {ports} and {published}")
    if protocol.lower() not in _PROTOCOLS:
        raise InvalidArgument(f"invalid proto: {protocol}")
    return [f"{number}/{protocol.lower()}" for number in range(low, high + 1)]


def _check_address(text: str) -> None:
    try:
        if text:
            ipaddress.ip_address(text.removeprefix("[").removesuffix("]"))
    except ValueError:
        raise InvalidArgument(f"invalid IP address: {text}") from None


def _range(text: str, what: str) -> tuple[int, int]:
    low, dash, high = text.partition("-")
    numbers = [_number(low), _number(high) if dash else _number(low)]
    if not 0 <= numbers[0] <= numbers[1]:
        raise InvalidArgument(f"invalid {what}: {text}")
    return numbers[0], numbers[1]


def _number(text: str) -> int:
    """-1 for what is no port."""
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 20 else -1
    return number if number <= _LARGEST else -1
