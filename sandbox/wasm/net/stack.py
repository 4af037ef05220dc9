"""A network namespace: what a container sees of the network."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from sandbox.wasm.net.interfaces import Interface
from sandbox.wasm.net.traffic import Traffic

if TYPE_CHECKING:
    from sandbox.wasm.net.base import Socket
    from sandbox.wasm.net.isolated import IsolatedStack
    from sandbox.wasm.net.switch import Switch
    from sandbox.wasm.net.unix import UnixSocket


class Publication(ABC):
    """A port of the host that leads to one of a stack; `host_port` is the one in use, `protocol` tcp or udp."""

    protocol: str
    host_ip: str
    host_port: int

    @abstractmethod
    def close(self) -> None:
        """Free the port of the host. Connections made through it live on. May be called again."""


class Stack(ABC):
    """One network namespace. Several containers share it in `container:` mode.

    `hosts` are extra names for /etc/hosts (name to address); `nameservers`, `search` and `dns_options` what the user
    asked for in place of the host's.
    """

    def __init__(self) -> None:
        self.hosts: dict[str, str] = {}
        self.nameservers: list[str] = []
        self.search: list[str] = []
        self.dns_options: list[str] = []
        self.nameserver_port = 53
        self.abstract: dict[bytes, UnixSocket] = {}
        self.unix_lock = threading.Lock()

    @classmethod
    def isolated(cls, switch: Switch) -> IsolatedStack:
        """A namespace of its own: a loopback, and what it is attached to."""
        from sandbox.wasm.net.isolated import IsolatedStack

        return IsolatedStack(switch)

    @classmethod
    def host(cls) -> Stack:
        """The host's own network: real sockets."""
        from sandbox.wasm.net.host import HostStack

        return HostStack()

    def isolation(self) -> IsolatedStack:
        """Itself, if it can be attached to networks; ValueError for the host's."""
        raise ValueError("the host's network cannot be attached to another")

    @abstractmethod
    def socket(self, family: int, kind: int, protocol: int) -> Socket:
        """A new socket; `kind` without flags. EAFNOSUPPORT, EPROTONOSUPPORT, ESOCKTNOSUPPORT."""

    def default_gateway(self, interface: Interface) -> str | None:
        """The gateway of the default route, if it goes out by `interface`."""
        return None

    @abstractmethod
    def interfaces(self) -> list[Interface]:
        """The network interfaces, in the order of their numbers, which start at 1."""

    def traffic(self) -> dict[str, Traffic]:
        """What went over each interface but the loopback so far; the host's own is not counted."""
        return {}

    def proc_net(self) -> dict[str, str]:
        """The content of files under /proc/net, by name; what is missing is empty."""
        return {}

    @abstractmethod
    def publish(self, protocol: str, host_ip: str, host_port: int, port: int) -> Publication:
        """Lead a port of the host (0: any free one; `protocol` tcp or udp) to `port` here. OSError: EADDRINUSE, ..."""

    def close(self) -> None:  # noqa: B027  (the host's network has nothing to give up)
        """Give up ports of the host and addresses. Sockets are closed by their owners. May be called again."""
