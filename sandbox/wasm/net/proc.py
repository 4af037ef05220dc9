"""The files under /proc/net of an isolated stack (proc(5))."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from sandbox.wasm.net.ports import Binding, PortTable

if TYPE_CHECKING:
    from sandbox.wasm.net.isolated import IsolatedStack

_DEV = (
    "Inter-|   Receive                                                |  Transmit\n"
    " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls"
    " carrier compressed\n"
)
_ROUTE = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT" + " " * 55 + "\n"
_TCP = (
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode" + " " * 53 + "\n"
)
_UDP = (
    "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer"
    " drops             \n"
)
_ARP = "IP address       HW type     Flags       HW address            Mask     Device\n"
_ESTABLISHED, _CLOSE, _LISTEN = 1, 7, 10
_UP, _GATEWAY = 1, 2


def render(stack: IsolatedStack) -> dict[str, str]:
    """All of them, by name."""
    return {
        "dev": _DEV + _interfaces(stack),
        "route": _ROUTE + _routes(stack),
        "tcp": _TCP + _sockets(stack.tcp, stream=True),
        "udp": _UDP + _sockets(stack.udp, stream=False),
        "arp": _ARP + _neighbours(stack),
    }


def hexadecimal(address: str) -> str:
    """An IPv4 address as these files have it: the number in the machine's byte order."""
    return f"{int.from_bytes(socket.inet_aton(address), 'little'):08X}"


def _interfaces(stack: IsolatedStack) -> str:
    lines = []
    for interface in stack.interfaces():
        t = stack.meter.of(interface.address)
        lines.append(
            f"{interface.name:>6}: {t.received:7d} {t.received_packets:7d}    0    0    0     0          0         0"
            f" {t.sent:8d} {t.sent_packets:7d}    0    0    0     0       0          0\n"
        )
    return "".join(lines)


def _routes(stack: IsolatedStack) -> str:
    lines = []
    way = next((end for end in stack.endpoints if not end.network.internal), None)
    for end in stack.endpoints:
        name, subnet = end.interface, end.network.subnet
        if end is way:
            gateway = hexadecimal(end.network.gateway)
            lines.append(f"{name}\t00000000\t{gateway}\t{_UP | _GATEWAY:04X}\t0\t0\t0\t00000000\t0\t0\t0\n")
        target, mask = hexadecimal(str(subnet.network_address)), hexadecimal(str(subnet.netmask))
        lines.append(f"{name}\t{target}\t00000000\t{_UP:04X}\t0\t0\t0\t{mask}\t0\t0\t0\n")
    return "".join(lines)


def _sockets(table: PortTable, *, stream: bool) -> str:
    lines: list[str] = []
    for binding in table.bindings():
        state = _state(binding, stream=stream)
        if state is None:
            continue
        peer = binding.peer or ("0.0.0.0", 0)
        inode = getattr(binding.owner, "inode", 0)
        lines.append(
            f"{len(lines):4d}: {hexadecimal(binding.address)}:{binding.port:04X} {hexadecimal(peer[0])}:{peer[1]:04X}"
            f" {state:02X} 00000000:00000000 00:00000000 00000000     0        0 {inode} 1 0000000000000000 0\n"
        )
    return "".join(lines)


def _state(binding: Binding, *, stream: bool) -> int | None:
    if binding.peer is not None:
        return _ESTABLISHED
    if binding.owner.listening:
        return _LISTEN
    return None if stream else _CLOSE


def _neighbours(stack: IsolatedStack) -> str:
    lines = []
    for own in stack.endpoints:
        for end in own.network.endpoints():
            if end is not own:
                lines.append(f"{end.address:<16} 0x1         0x2         {end.mac}     *        {own.interface}\n")
    return "".join(lines)
