"""The networks of a worker: records, subnets, and what Docker says about them. Endpoints are in ``endpoints``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from ipaddress import IPv4Network

from backends.api import types as t
from backends.api.errors import Conflict, Forbidden, InvalidArgument, NotFound, Unsupported
from backends.core.clock import rfc3339
from backends.core.context import Context
from backends.core.drivers import NetworkSpec
from backends.core.filters import boolean, check_keys, labels_match, name_matches, until
from backends.core.ipam import BRIDGE_SUBNET, Pool, check_config, choose_subnet, take_subnet
from backends.core.names import new_id
from backends.core.records import NetworkRecord

PREDEFINED = ("bridge", "host", "none")
_DRIVERS = {"": "bridge", "default": "bridge", "bridge": "bridge", "nat": "bridge"}
_BRIDGE_OPTIONS = {
    "com.docker.network.bridge.default_bridge": "true",
    "com.docker.network.bridge.enable_icc": "true",
    "com.docker.network.bridge.enable_ip_masquerade": "true",
    "com.docker.network.bridge.host_binding_ipv4": "0.0.0.0",
    "com.docker.network.bridge.name": "docker0",
    "com.docker.network.driver.mtu": "1500",
}
Members = Callable[[NetworkRecord], dict[str, t.Json]]


class Networks:
    """All networks of one worker, by id; ``members`` tells what is connected to one."""

    def __init__(self, context: Context, members: Members) -> None:
        self._context = context
        self._members = members
        self._by_id: dict[str, NetworkRecord] = {}
        self._by_name: dict[str, NetworkRecord] = {}
        self._pools: dict[str, Pool] = {}

    async def recover(self) -> None:
        """Read the journal, make the predefined networks and have the driver provide each."""
        for record in self._context.store.all("network", NetworkRecord):
            self._add(record)
        for name in PREDEFINED:
            if name not in self._by_name:
                record = self._predefined(name)
                self._context.store.put("network", record.id, record)
                self._add(record)
        for record in self._by_id.values():
            await self._context.drivers.network.add_network(spec(record))

    def _predefined(self, name: str) -> NetworkRecord:
        record = NetworkRecord(id=new_id(), name=name, created=self._context.clock(), driver=name)
        record.ipam = {"Driver": "default", "Options": None, "Config": None}
        if name == "none":
            record.driver = "null"
        if name == "bridge":
            record.options = dict(_BRIDGE_OPTIONS)
            self._give_subnet(record, IPv4Network(BRIDGE_SUBNET))
            record.ipam["Config"] = [{"Subnet": record.subnet, "Gateway": record.gateway}]
        return record

    def _give_subnet(self, record: NetworkRecord, subnet: IPv4Network, gateway: str = "", ip_range: str = "") -> None:
        record.subnet = str(subnet)
        record.ip_range = ip_range
        record.gateway = gateway or str(subnet.network_address + 1)

    def _add(self, record: NetworkRecord) -> None:
        self._by_id[record.id] = record
        self._by_name[record.name] = record
        if record.subnet:
            self._pools[record.id] = pool = Pool(record.subnet, record.gateway, record.ip_range)
            for address in _auxiliary(record.ipam):
                pool.allocate(address)

    # -- finding

    def find(self, ref: str) -> NetworkRecord:
        """Return the network of a name, an id or a unique prefix of one."""
        if (found := self._by_id.get(ref) or self._by_name.get(ref)) is not None:
            return found
        matching = [record for key, record in self._by_id.items() if ref and key.startswith(ref)]
        if len(matching) > 1:
            raise InvalidArgument(f"network {ref} is ambiguous ({len(matching)} matches found based on ID prefix)")
        if not matching:
            raise NotFound(f"network {ref} not found")
        return matching[0]

    def get(self, ref: str) -> NetworkRecord | None:
        """Return the network of a name or a full id, or None."""
        return self._by_id.get(ref) or self._by_name.get(ref)

    def pool(self, record: NetworkRecord) -> Pool:
        """Return the addresses of a network that has a subnet."""
        return self._pools[record.id]

    def all(self) -> Iterable[NetworkRecord]:
        """Every network."""
        return self._by_id.values()

    # -- operations

    async def create(self, request: t.Json) -> t.Created:
        """Docker's POST /networks/create."""
        self._context.store.require_room()
        record = self._checked(request)
        self._context.store.put("network", record.id, record)
        self._add(record)
        try:
            await self._context.drivers.network.add_network(spec(record))
        except BaseException:
            self._forget(record)
            raise
        self._emit(record, "create")
        return t.Created(id=record.id, warnings=_warnings(request))

    def _checked(self, request: t.Json) -> NetworkRecord:
        name = request.get("Name") or ""
        if not name.strip():
            raise InvalidArgument("invalid name: name is empty")
        if name in PREDEFINED or name == "default":
            raise Forbidden(f"operation is not permitted on predefined {name} network ")
        driver = _DRIVERS.get(request.get("Driver") or "")
        if driver is None:
            if request["Driver"] in ("host", "null"):
                raise Forbidden(f'only one instance of "{request["Driver"]}" network is allowed')
            if request["Driver"] in ("overlay", "macvlan", "ipvlan"):
                raise Unsupported(f"network driver {request['Driver']} is not supported: use bridge")
            raise NotFound(f"could not find plugin {request['Driver']} in v1 plugin registry: plugin not found")
        if request.get("Scope") not in (None, "", "local"):
            raise Forbidden(f"cannot create a {request['Scope']} scoped network when swarm is not active")
        if request.get("Ingress"):
            raise Forbidden("Ingress network can only be global scope network")
        ipam_driver = (request.get("IPAM") or {}).get("Driver") or "default"
        if ipam_driver not in ("default", "null"):
            raise NotFound(f'plugin "{ipam_driver}" not found')
        if request.get("EnableIPv4") is False:
            raise Unsupported("networks without IPv4 are not supported")
        if request.get("ConfigOnly") or request.get("ConfigFrom", {}).get("Network"):
            raise Unsupported("config-only networks are not supported")
        if name in self._by_name:
            raise Conflict(f"network with name {name} already exists")
        record = NetworkRecord(
            id=new_id(),
            name=name,
            created=self._context.clock(),
            driver=driver,
            options=request.get("Options") or {},
            labels=request.get("Labels") or {},
            internal=bool(request.get("Internal")),
            attachable=bool(request.get("Attachable")),
        )
        self._assign(record, request.get("IPAM") or {})
        return record

    def _assign(self, record: NetworkRecord, ipam: t.Json) -> None:
        check_config(ipam.get("Config") or ())
        taken = [other.subnet for other in self._by_id.values() if other.subnet]
        wanted = [entry for entry in ipam.get("Config") or () if ":" not in entry["Subnet"]]
        record.ipam = {"Driver": ipam.get("Driver") or "default", "Options": ipam.get("Options")}
        if not wanted:
            self._give_subnet(record, choose_subnet(taken))
            record.ipam["Config"] = [self._shown(record, {"Subnet": record.subnet})]
            return
        entry = wanted[0]
        subnet = take_subnet(entry["Subnet"], taken)
        gateway = entry.get("Gateway") or ""
        trial = Pool(str(subnet), "")
        for address in (gateway, *_auxiliary({"Config": [entry]})):
            if address:
                trial.allocate(address)
        self._give_subnet(record, subnet, gateway, entry.get("IPRange") or "")
        record.ipam["Config"] = [self._shown(record, entry)]
        record.ipam["User"] = True

    @staticmethod
    def _shown(record: NetworkRecord, entry: t.Json) -> t.Json:
        """An internal network leads nowhere: it shows a gateway only if one was asked for."""
        return entry if record.internal else {**entry, "Gateway": record.gateway}

    async def remove(self, ref: str) -> None:
        """Docker's DELETE /networks/{id}."""
        record = self.find(ref)
        if record.name in PREDEFINED:
            raise Forbidden(f"{record.name} is a pre-defined network and cannot be removed")
        if members := self._members(record):
            names = ", ".join(f'name:"{member["Name"]}" id:"{key[:12]}"' for key, member in members.items())
            raise Forbidden(f"error while removing network: network {record.name} has active endpoints ({names})")
        self._forget(record)
        await self._context.drivers.network.remove_network(record.id)
        self._emit(record, "destroy")

    def _forget(self, record: NetworkRecord) -> None:
        self._context.store.delete("network", record.id)
        del self._by_id[record.id], self._by_name[record.name]
        self._pools.pop(record.id, None)

    def inspect(self, ref: str) -> t.Network:
        """Docker's GET /networks/{id}."""
        record = self.find(ref)
        return render(record, self._members(record))

    def select(self, filters: t.Filters) -> list[t.Network]:
        """Docker's GET /networks, with the containers that answers before API 1.28 show."""
        check_keys(filters, {"dangling", "driver", "id", "label", "name", "scope", "type"})
        found = [record for record in self._by_id.values() if self._matches(record, filters)]
        return [render(record, self._members(record)) for record in found]

    def _matches(self, record: NetworkRecord, filters: t.Filters) -> bool:
        kind = "builtin" if record.name in PREDEFINED else "custom"
        for value in filters.get("type", ()):
            if value not in ("builtin", "custom"):
                raise InvalidArgument(f"invalid filter: 'type'='{value}'")
        dangling = boolean(filters, "dangling")
        if dangling is not None and dangling != (kind == "custom" and not self._members(record)):
            return False
        return (
            name_matches(filters.get("name", ()), record.name)
            and _any(filters, "driver", lambda value: value == record.driver)
            and _any(filters, "id", record.id.startswith)
            and _any(filters, "scope", lambda value: value == "local")
            and _any(filters, "type", lambda value: value == kind)
            and labels_match(filters.get("label", ()), record.labels)
        )

    async def prune(self, filters: t.Filters) -> t.Pruned:
        """Remove user networks that nothing is connected to."""
        check_keys(filters, {"label", "label!", "until"})
        limit = until(filters, self._context.clock())
        gone = []
        for record in list(self._by_id.values()):
            if record.name in PREDEFINED or self._members(record) or (limit is not None and record.created > limit):
                continue
            if not labels_match(filters.get("label", ()), record.labels):
                continue
            if filters.get("label!") and labels_match(filters["label!"], record.labels):
                continue
            await self.remove(record.id)
            gone.append(record.name)
        self._context.events.pruned("network", 0)
        return t.Pruned(deleted=gone)

    def _emit(self, record: NetworkRecord, action: str) -> None:
        self._context.events.emit("network", action, record.id, {"name": record.name, "type": record.driver})


def _any(filters: t.Filters, key: str, test: Callable[[str], bool]) -> bool:
    return not filters.get(key) or any(test(value) for value in filters[key])


def spec(record: NetworkRecord) -> NetworkSpec:
    """What the driver needs to know of a network."""
    return NetworkSpec(
        id=record.id,
        name=record.name,
        driver=record.driver,
        subnet=record.subnet,
        gateway=record.gateway,
        internal=record.internal,
    )


def _auxiliary(ipam: t.Json) -> list[str]:
    """Addresses that a network's user keeps for others."""
    return [
        address for entry in ipam.get("Config") or () for address in (entry.get("AuxiliaryAddresses") or {}).values()
    ]


def _warnings(request: t.Json) -> list[str]:
    subnets = [entry.get("Subnet") or "" for entry in (request.get("IPAM") or {}).get("Config") or ()]
    if request.get("EnableIPv6") or any(":" in subnet for subnet in subnets):
        return ["EnableIPv6 is accepted and has no effect: containers have IPv4 addresses only"]
    return []


def render(record: NetworkRecord, members: dict[str, t.Json]) -> t.Network:
    """The network as the API shows it."""
    return t.Network(
        name=record.name,
        id=record.id,
        created=rfc3339(record.created),
        scope="local",
        driver=record.driver,
        ipam={key: value for key, value in record.ipam.items() if key != "User"},
        internal=record.internal,
        attachable=record.attachable,
        ingress=False,
        containers=members,
        options=record.options,
        labels=record.labels,
    )
