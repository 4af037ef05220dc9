"""The virtual switch of a worker: networks, and the endpoints by which stacks hang on them."""

from __future__ import annotations

import ipaddress
import itertools
import threading
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from sandbox.wasm.net.loop import Loop

if TYPE_CHECKING:
    from sandbox.wasm.net.isolated import IsolatedStack
    from sandbox.wasm.net.stack import Stack

DEFAULT_BRIDGE = "bridge"
_NONE: Mapping[str, str] = MappingProxyType({})


class Endpoint:
    """One stack's place on one network: its interface eth`number`.

    Its names may change at any time: assign a new `names`. `aliases` are what its own stack alone calls others on the
    network: from the alias, in lower case, to a name that nobody need have yet.
    """

    def __init__(
        self,
        network: Network,
        stack: IsolatedStack,
        address: str,
        mac: str,
        names: Iterable[str],
        aliases: Mapping[str, str],
    ) -> None:
        self.network = network
        self.stack = stack
        self.address = address
        self.mac = mac
        self.aliases = {alias.lower(): name.lower() for alias, name in aliases.items()}
        used = {end.number for end in stack.endpoints}
        self.number: int = next(number for number in itertools.count() if number not in used)
        self._names: tuple[str, ...] = ()
        self.names = names

    @property
    def interface(self) -> str:
        """The name of the network interface."""
        return f"eth{self.number}"

    @property
    def names(self) -> tuple[str, ...]:
        """What it is called on its network, in lower case; the first is what its address is resolved to."""
        return self._names

    @names.setter
    def names(self, names: Iterable[str]) -> None:
        self._names = tuple(dict.fromkeys(name.lower() for name in names))


class Network:
    """A subnet whose endpoints reach each other. `gateway` is the host; `internal` networks lead nowhere else.

    On a network that `resolves`, containers find each other by name: on all but Docker's default bridge.
    """

    def __init__(
        self, switch: Switch, name: str, subnet: str, gateway: str, *, internal: bool, resolves: bool, domain: str
    ) -> None:
        self.switch = switch
        self.name = name
        self.subnet = ipaddress.IPv4Network(subnet)
        self.gateway = gateway
        self.internal = internal
        self.resolves = resolves
        self.domain = domain
        self._endpoints: dict[str, Endpoint] = {}

    def attach(
        self, stack: Stack, address: str, mac: str, names: Iterable[str], aliases: Mapping[str, str] = _NONE
    ) -> Endpoint:
        """Give `stack` an address here; ValueError when it is outside the subnet, taken, or the stack is the host's."""
        found = ipaddress.IPv4Address(address)
        if found not in self.subnet or address == self.gateway:
            raise ValueError(f"address {address} does not belong to a container of subnet {self.subnet}")
        with self.switch.lock:
            if address in self._endpoints:
                raise ValueError(f"address {address} is already in use on network {self.name}")
            isolated = stack.isolation()
            endpoint = Endpoint(self, isolated, address, mac, names, aliases)
            self._endpoints[address] = endpoint
            isolated.endpoints = (*isolated.endpoints, endpoint)
        return endpoint

    def detach(self, endpoint: Endpoint) -> None:
        """Take an endpoint off. Connections that exist live on, as they do until something times out."""
        with self.switch.lock:
            if self._endpoints.get(endpoint.address) is endpoint:
                del self._endpoints[endpoint.address]
            stack = endpoint.stack
            stack.endpoints = tuple(other for other in stack.endpoints if other is not endpoint)

    def endpoint(self, address: str) -> Endpoint | None:
        """Who has an address."""
        return self._endpoints.get(address)

    def endpoints(self) -> list[Endpoint]:
        """All at this moment."""
        with self.switch.lock:
            return list(self._endpoints.values())


class Switch:
    """All networks of one worker and the thread that serves their real sockets. Thread-safe."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.loop = Loop()
        self._networks: dict[str, Network] = {}

    def network(
        self,
        name: str,
        subnet: str,
        gateway: str,
        internal: bool = False,
        *,
        resolves: bool | None = None,
        domain: str = "",
    ) -> Network:
        """Make a network. `resolves` None: as Docker, every network resolves names but the one called "bridge".

        `domain` is what containers know it by, behind their names (web.app); by default its `name`.

        ValueError when the name is taken or the subnet overlaps another's.
        """
        if resolves is None:
            resolves = name != DEFAULT_BRIDGE
        made = Network(self, name, subnet, gateway, internal=internal, resolves=resolves, domain=domain or name)
        with self.lock:
            if name in self._networks:
                raise ValueError(f"network {name} exists")
            for other in self._networks.values():
                if made.subnet.overlaps(other.subnet):
                    raise ValueError(f"subnet {made.subnet} overlaps that of network {other.name}")
            self._networks[name] = made
        return made

    def remove(self, name: str) -> None:
        """Remove a network; KeyError when there is none, ValueError while it has endpoints."""
        with self.lock:
            if self._networks[name].endpoints():
                raise ValueError(f"network {name} has active endpoints")
            del self._networks[name]

    def carrier(self, address: str) -> Network | None:
        """The network whose subnet an address is in."""
        found = ipaddress.IPv4Address(address)
        with self.lock:
            return next((network for network in self._networks.values() if found in network.subnet), None)

    def close(self) -> None:
        """Stop serving. Stacks are closed by whoever made them."""
        self.loop.close()
