"""What a starting container is told of others: extra hosts, legacy links, and the files that carry them."""

from __future__ import annotations

from backends.api.errors import Conflict, NotFound
from backends.core.container import Container
from backends.core.context import Context
from backends.core.endpoints import Endpoints
from backends.core.links import link_env, parse_link
from backends.core.networks import PREDEFINED
from backends.core.registry import Registry
from backends.core.specs import SYSTEM_FILES
from backends.core.systemfiles import host_file, hosts, resolv_conf


class Linking:
    """Resolves names at start time and writes /etc/hosts, /etc/hostname and /etc/resolv.conf."""

    def __init__(self, context: Context, registry: Registry, endpoints: Endpoints) -> None:
        self._context = context
        self._registry = registry
        self._endpoints = endpoints

    def resolve(self, container: Container) -> tuple[dict[str, str], list[str]]:
        """Return (extra names → addresses, environment of legacy links)."""
        names: dict[str, str] = {}
        environment: list[str] = []
        for entry in container.host.extra_hosts or ():
            separator = "=" if "=" in entry else ":"
            name, _, address = entry.partition(separator)
            names[name] = self._gateway() if address == "host-gateway" else address.strip("[]")
        for link in container.host.links or ():
            found, variables = self._link(container, link)
            names |= found
            environment += variables
        return names, environment

    def _gateway(self) -> str:
        return self._endpoints.bridge_gateway()

    def _link(self, container: Container, link: str) -> tuple[dict[str, str], list[str]]:
        name, alias = parse_link(link)
        try:
            other = self._registry.find(name)
        except NotFound:
            raise NotFound(f"could not get container for {name}: No such container: {name}") from None
        if not other.alive:
            raise Conflict(f"Cannot link to a non running container: /{other.name} AS /{container.name}/{alias}")
        if "bridge" not in other.record.endpoints:
            raise Conflict(f"Cannot link to /{other.name}, as it does not belong to the default network")
        address = other.record.endpoints["bridge"].address
        names = dict.fromkeys((alias, other.name, other.id[:12]), address)
        exposed = other.config.exposed_ports or {}
        return names, link_env(container.name, alias, address, exposed, other.config.env or ())

    def write_files(self, container: Container, names: dict[str, str]) -> None:
        """Write the system files of a container about to start; it is connected already."""
        mode = container.host.network_mode
        other = self._endpoints.shared(mode)
        if other is not None:
            texts = {name: (other.directory / name).read_text() for name in SYSTEM_FILES}
            container.record.config["Hostname"] = other.record.config.get("Hostname") or ""
        else:
            texts = self._texts(container, names)
        for name, text in texts.items():
            path = container.directory / name
            if not path.exists() or path.read_text() != text:
                path.write_text(text)

    def _texts(self, container: Container, names: dict[str, str]) -> dict[str, str]:
        host, mode = container.host, container.host.network_mode
        hostname = container.record.config.get("Hostname") or container.id[:12]
        domain = container.record.config.get("Domainname") or ""
        own = [f"{hostname}.{domain}", hostname] if domain else [hostname]
        entries = [(address, [name]) for name, address in names.items()]
        addresses = [endpoint.address for endpoint in container.record.endpoints.values() if endpoint.address]
        entries += [(address, own) for address in addresses]
        user_network = any(name not in PREDEFINED for name in container.record.endpoints)
        if mode == "host":
            resolver = host_file("/etc/resolv.conf")
        else:
            resolver = resolv_conf(
                embedded=user_network, servers=host.dns, search=host.dns_search, options=host.dns_options
            )
        return {
            "hosts": hosts(entries, host_file("/etc/hosts") if mode == "host" else None),
            "hostname": f"{hostname}\n",
            "resolv.conf": resolver,
        }
