"""/proc/net: interfaces, routes and sockets, as far as the network stack tells them.

The stack may offer `proc_net() -> dict[str, str]` with the content of any of these files.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandbox.wasm.kernel.kernel import Kernel

_EMPTY = {
    "dev": (
        "Inter-|   Receive                                                |  Transmit\n"
        " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls"
        " carrier compressed\n"
    ),
    "route": "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n",
    "tcp": (
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
    ),
    "udp": (
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref"
        " pointer drops\n"
    ),
    "unix": "Num       RefCount Protocol Flags    Type St Inode Path\n",
    "arp": "IP address       HW type     Flags       HW address            Mask     Device\n",
}  # fmt: skip


def _reader(name: str) -> Callable[[Kernel], str]:
    def read(kernel: Kernel) -> str:
        tell = getattr(kernel.stack, "proc_net", None)
        told: dict[str, str] = tell() if tell is not None else {}
        return told.get(name, _EMPTY[name])

    return read


NET_FILES: dict[str, Callable[[Kernel], str]] = {name: _reader(name) for name in _EMPTY}
