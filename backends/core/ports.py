"""Publishing ports: which host port a container's port gets, and what Docker says when it is taken."""

from __future__ import annotations

import errno
import ipaddress

from backends.api.errors import EngineError
from backends.core.container import Container
from backends.core.drivers import NetworkDriver, PortSpec
from backends.core.hostconfig import PortBinding
from backends.core.records import PublishedPort
from backends.core.registry import Registry
from backends.core.validate import parse_port

EVERYWHERE = ("0.0.0.0", "::")
"""Where a port is published that names no address of the host."""
ATTEMPTS = 16
"""How many free ports of IPv4 are tried until one is free on IPv6 too."""


def wanted_ports(container: Container) -> list[tuple[str, int, PortBinding]]:
    """Return (protocol, port, binding) of what a container publishes; a port with no bindings is not published."""
    host = container.host
    bindings = {parse_port(port): found or [] for port, found in (host.port_bindings or {}).items()}
    if host.publish_all_ports:
        for port in container.config.exposed_ports or ():
            bindings.setdefault(parse_port(port), [])
            bindings[parse_port(port)] = bindings[parse_port(port)] or [PortBinding()]
    return [(protocol, number, binding) for (number, protocol), found in bindings.items() for binding in found]


async def publish(container: Container, registry: Registry, driver: NetworkDriver) -> None:
    """Open every wanted port; EngineError in Docker's words when one is taken. The caller closes the stack then."""
    container.record.ports = []
    for protocol, port, binding in wanted_ports(container):
        opening = _Opening(container, registry, driver, protocol, port, binding.host_ip)
        container.record.ports += await opening.first_of(binding.host_port)


class _Opening:
    """One port of a container on its way to the host: the same host port on IPv4 and IPv6 if no address is named."""

    def __init__(
        self, container: Container, registry: Registry, driver: NetworkDriver, protocol: str, port: int, host_ip: str
    ) -> None:
        self._container = container
        self._registry = registry
        self._driver = driver
        self._protocol = protocol
        self._port = port
        self._addresses = (str(ipaddress.ip_address(host_ip)),) if host_ip else EVERYWHERE

    async def first_of(self, wanted: str) -> list[PublishedPort]:
        """Open the first free one of "8080", "8000-8010" or "" (any)."""
        low, _, high = wanted.partition("-")
        numbers = range(int(low), int(high or low) + 1) if int(low or 0) else [0] * ATTEMPTS
        failure = ""
        for number in numbers:
            failure = self._held(number)
            if failure:
                failure = "all ports are allocated" if len(numbers) > 1 else failure
                continue
            try:
                return await self._everywhere(number)
            except _Taken as taken:
                failure = taken.why
        raise self._refusal(failure)

    async def _everywhere(self, number: int) -> list[PublishedPort]:
        made: list[PublishedPort] = []
        for address in self._addresses:
            spec = PortSpec(self._protocol, self._port, address, number)
            try:
                number = await self._driver.publish(self._container.id, spec)
            except OSError as error:
                if made and error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                    break  # a host without IPv6
                await self._withdraw(made)
                raise _Taken(self._words(address, number, error)) from error
            made.append(PublishedPort(self._protocol, self._port, address, number))
        return made

    async def _withdraw(self, made: list[PublishedPort]) -> None:
        for port in made:
            spec = PortSpec(port.protocol, port.port, port.host_ip, port.host_port)
            await self._driver.unpublish(self._container.id, spec)

    def _held(self, number: int) -> str:
        """What Docker says if a container of this worker, this one included, publishes the host port."""
        if number:
            for port in (port for known in self._registry if known.alive or known is self._container
                         for port in known.record.ports):  # fmt: skip
                for address in self._addresses:
                    if (port.protocol, port.host_port) == (self._protocol, number) and _overlap(port.host_ip, address):
                        return f"Bind for {address}:{number} failed: port is already allocated"
        return ""

    def _words(self, address: str, number: int, error: OSError) -> str:
        why = "address already in use" if error.errno == errno.EADDRINUSE else (error.strerror or str(error)).lower()
        ends = self._container.record.endpoints.values()
        inside = next((endpoint.address for endpoint in ends if endpoint.address), "")
        return f"failed to bind host port for {address}:{number}:{inside}:{self._port}/{self._protocol}: {why}"

    def _refusal(self, failure: str) -> EngineError:
        network = next(iter(self._container.record.endpoints.values()), None)
        endpoint = network.endpoint_id if network is not None else ""
        return EngineError(
            "failed to set up container networking: driver failed programming external connectivity on endpoint "
            f"{self._container.name} ({endpoint}): {failure}"
        )


class _Taken(Exception):
    """A host port could not be opened; ``why`` in Docker's words."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


def _overlap(one: str, other: str) -> bool:
    """Whether a port on one address is in the way of the same port on the other: not across IPv4 and IPv6."""
    if (":" in one) != (":" in other):
        return False
    return one == other or bool({one, other} & set(EVERYWHERE))
