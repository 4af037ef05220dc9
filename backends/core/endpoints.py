"""Containers on networks: joining at start, leaving at exit, connecting and disconnecting in between."""

from __future__ import annotations

import re

from backends.api import types as t
from backends.api.errors import Conflict, Forbidden, InvalidArgument, NotFound
from backends.core.container import Container
from backends.core.context import Context
from backends.core.drivers import EndpointSpec
from backends.core.ipam import mac_for
from backends.core.links import parse_link
from backends.core.names import new_id
from backends.core.networks import PREDEFINED, Networks
from backends.core.records import EndpointRecord, NetworkRecord
from backends.core.registry import Registry

_MOVED = "connected or disconnected to the network"
_MAC = re.compile(r"(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}", re.IGNORECASE)


class Endpoints:
    """The engine's side of container networking; addresses are held only while a container runs."""

    def __init__(self, context: Context, networks: Networks, registry: Registry) -> None:
        self._context = context
        self._networks = networks
        self._registry = registry
        self._driver = context.drivers.network

    # -- at creation

    def planned(self, mode: str, configs: dict[str, t.Json | None], mac: str) -> dict[str, EndpointRecord]:
        """Return the endpoints that a new container asks for, by network name."""
        if mode.startswith("container:"):
            if configs:
                raise InvalidArgument("conflicting options: cannot attach to other networks in container network mode")
            return {}
        wanted = {self._name("bridge" if key == "default" else key): body or {} for key, body in configs.items()}
        main = self._name(mode)
        if mode in ("host", "none") and set(wanted) - {mode}:
            raise InvalidArgument(f"conflicting options: cannot attach to other networks in {mode} network mode")
        wanted.setdefault(main, {})
        found = {name: self._record(name, body) for name, body in wanted.items()}
        if mac and main not in ("host", "none") and not found[main].wanted_mac:
            found[main].wanted_mac = _checked_mac(main, mac)
        return found

    def _name(self, ref: str) -> str:
        record = self._networks.get(ref)
        return record.name if record is not None else ref

    def _record(self, name: str, body: t.Json) -> EndpointRecord:
        ipam = body.get("IPAMConfig") or None
        for link in body.get("Links") or ():
            parse_link(link)
        network = self._networks.get(name)
        if name in PREDEFINED and ipam and ipam.get("IPv4Address"):
            raise InvalidArgument("user specified IP address is supported on user defined networks only")
        if name in ("host", "none") and body.get("Aliases"):
            raise InvalidArgument("network-scoped alias is supported only for containers in user defined networks")
        if network is not None and name not in PREDEFINED and ipam and ipam.get("IPv4Address"):
            self._check_address(network)
        return EndpointRecord(
            ipam_config=ipam,
            links=body.get("Links") or None,
            aliases=body.get("Aliases") or None,
            driver_opts=body.get("DriverOpts") or None,
            gw_priority=body.get("GwPriority") or 0,
            wanted_mac=_checked_mac(name, body.get("MacAddress") or ""),
        )

    @staticmethod
    def _check_address(network: NetworkRecord) -> None:
        if not network.ipam.get("User"):
            raise InvalidArgument(
                "user specified IP address is supported only when connecting to networks with user configured subnets"
            )

    # -- at start and exit

    async def join(self, container: Container, hosts: dict[str, str]) -> None:
        """Connect a starting container to its networks. On failure nothing stays connected."""
        mode = container.host.network_mode
        endpoints = container.record.endpoints
        found = {name: self._network(name) for name in endpoints}
        await self._driver.open_stack(container.id, self._stack_mode(mode), hosts)
        for name, network in found.items():
            if name != network.name:
                endpoints[network.name] = endpoints.pop(name)
            await self._connect(container, network)

    def _network(self, name: str) -> NetworkRecord:
        try:
            return self._networks.find(name)
        except NotFound as error:
            raise NotFound(f"failed to set up container networking: {error.message}") from None

    def _stack_mode(self, mode: str) -> str:
        if not mode.startswith("container:"):
            return "host" if mode == "host" else "isolated"
        other = self.shared(mode)
        assert other is not None
        if not other.alive:
            raise Conflict(f"cannot join network of a non running container: {other.id}")
        return f"container:{other.id}"

    def settled(self, mode: str) -> str:
        """Return the network mode with the id of a container that it names, so that it survives a rename."""
        try:
            other = self.shared(mode)
        except NotFound:
            return mode
        return f"container:{other.id}" if other is not None else mode

    def shared(self, mode: str) -> Container | None:
        """Return the container whose network ``mode`` shares, None for other modes."""
        return self._registry.find(mode.removeprefix("container:")) if mode.startswith("container:") else None

    def leads_out(self, container: Container) -> bool:
        """Whether it is on a network that the host can reach it by, so that its ports can be published."""
        networks = [self._networks.get(name) for name in container.record.endpoints]
        return any(network is not None and network.subnet and not network.internal for network in networks)

    def bridge_gateway(self) -> str:
        """Return the address at which containers reach this machine ("host-gateway")."""
        return self._networks.find("bridge").gateway

    async def _connect(self, container: Container, network: NetworkRecord) -> None:
        endpoint = container.record.endpoints[network.name]
        endpoint.network_id = network.id
        endpoint.endpoint_id = new_id()
        if network.subnet:
            pool = self._networks.pool(network)
            wanted = (endpoint.ipam_config or {}).get("IPv4Address") or ""
            endpoint.address = pool.allocate(wanted)
            endpoint.prefix, endpoint.gateway = pool.subnet.prefixlen, network.gateway
            endpoint.mac = endpoint.wanted_mac or mac_for(endpoint.address)
            endpoint.dns_names = self._dns_names(container, network, endpoint)
            try:
                await self._driver.connect(container.id, endpoint_spec(endpoint))
            except BaseException:
                self._clear(network, endpoint)
                raise
        self._emit(container, network, "connect")

    @staticmethod
    def _dns_names(container: Container, network: NetworkRecord, endpoint: EndpointRecord) -> list[str] | None:
        if network.name == "bridge":
            return None
        names = [container.name, *(endpoint.aliases or ()), container.id[:12]]
        if hostname := container.record.config.get("Hostname"):
            names.append(hostname)
        return list(dict.fromkeys(names))

    async def leave(self, container: Container) -> None:
        """Take a container that has ended off its networks and close its stack."""
        for name, endpoint in container.record.endpoints.items():
            network = self._networks.get(endpoint.network_id or name)
            if endpoint.endpoint_id and network is not None:
                if network.subnet:
                    await self._driver.disconnect(container.id, endpoint.endpoint_id)
                self._clear(network, endpoint)
                self._emit(container, network, "disconnect")
        await self._driver.close_stack(container.id)

    def forget(self, container: Container) -> None:
        """Drop what a record says of a run that ended with its worker."""
        for endpoint in container.record.endpoints.values():
            _reset(endpoint)

    def _clear(self, network: NetworkRecord, endpoint: EndpointRecord) -> None:
        if network.subnet:
            self._networks.pool(network).release(endpoint.address)
        _reset(endpoint)

    # -- at run time

    async def connect(self, ref: str, container: Container, config: t.Json) -> None:
        """Docker's POST /networks/{id}/connect."""
        network = self._networks.find(ref)
        container.require_kept(f"Container {container.id}", _MOVED)
        record = container.record
        if network.name in ("host", "none"):
            raise InvalidArgument(
                f"cannot connect container to {network.name} network - container must be created in "
                f"{network.name} network mode"
            )
        if record.host_config["NetworkMode"].startswith("container:") or "host" in record.endpoints:
            kind = "host" if "host" in record.endpoints else "container"
            raise InvalidArgument(
                f"container sharing network namespace with another {kind} cannot be connected to any other network"
            )
        if network.name in record.endpoints or network.id in record.endpoints:
            raise Forbidden(f"endpoint with name {container.name} already exists in network {network.name}")
        if "none" in record.endpoints:
            raise InvalidArgument(
                "container cannot be connected to multiple networks with one of the networks in private (none) mode"
            )
        endpoint = record.endpoints[network.name] = self._record(network.name, config)
        try:
            if container.alive:
                await self._connect(container, network)
            container.save()
        except BaseException:
            await self._take_off(container, network, endpoint)
            raise

    async def _take_off(self, container: Container, network: NetworkRecord, endpoint: EndpointRecord) -> None:
        if endpoint.endpoint_id:
            await self._driver.disconnect(container.id, endpoint.endpoint_id)
            self._clear(network, endpoint)
            self._emit(container, network, "disconnect")
        del container.record.endpoints[network.name]

    async def disconnect(self, ref: str, container: Container) -> None:
        """Docker's POST /networks/{id}/disconnect."""
        network = self._networks.find(ref)
        container.require_kept(f"Container {container.id}", _MOVED)
        record = container.record
        if network.name == "host" and "host" in record.endpoints:
            raise InvalidArgument("container cannot be disconnected from host network or connected to host network")
        endpoint = record.endpoints.get(network.name)
        if endpoint is None:
            raise Forbidden(f"container {container.id} is not connected to network {network.name}")
        await self._take_off(container, network, endpoint)
        container.save()

    async def renamed(self, container: Container) -> None:
        """Let DNS answer with the container's new name."""
        for endpoint in container.record.endpoints.values():
            network = self._networks.get(endpoint.network_id)
            if endpoint.endpoint_id and network is not None and network.subnet:
                endpoint.dns_names = self._dns_names(container, network, endpoint)
                await self._driver.rename(container.id, endpoint_spec(endpoint))

    def members(self, network: NetworkRecord) -> dict[str, t.Json]:
        """Return what inspect shows as the network's containers."""
        found: dict[str, t.Json] = {}
        for container in self._registry:
            endpoint = container.record.endpoints.get(network.name)
            if endpoint is not None and endpoint.endpoint_id and endpoint.network_id == network.id:
                found[container.id] = {
                    "Name": container.name,
                    "EndpointID": endpoint.endpoint_id,
                    "MacAddress": endpoint.mac,
                    "IPv4Address": f"{endpoint.address}/{endpoint.prefix}" if endpoint.address else "",
                    "IPv6Address": "",
                }
        return found

    def _emit(self, container: Container, network: NetworkRecord, action: str) -> None:
        attributes = {"container": container.id, "name": network.name, "type": network.driver}
        self._context.events.emit("network", action, network.id, attributes)


def _checked_mac(network: str, mac: str) -> str:
    if mac and not _MAC.fullmatch(mac):
        raise InvalidArgument(f"invalid config for network {network}: invalid MAC address {mac}")
    return mac


def endpoint_spec(endpoint: EndpointRecord) -> EndpointSpec:
    """What the driver needs to know of an endpoint."""
    return EndpointSpec(
        id=endpoint.endpoint_id,
        network=endpoint.network_id,
        address=endpoint.address,
        prefix=endpoint.prefix,
        mac=endpoint.mac,
        gateway=endpoint.gateway,
        names=tuple(endpoint.dns_names or ()),
        links=tuple((alias, name) for name, alias in map(parse_link, endpoint.links or ())),
    )


def _reset(endpoint: EndpointRecord) -> None:
    endpoint.endpoint_id = endpoint.address = endpoint.gateway = endpoint.mac = ""
    endpoint.prefix = 0
