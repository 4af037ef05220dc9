"""Networks of the memory backend: the engine's decisions on the sandbox's virtual switch."""

from __future__ import annotations

import errno
from contextlib import suppress

from backends.api.errors import EngineError
from backends.core.drivers import EndpointSpec, NetworkSpec, PortSpec
from backends.memory.boxes import Boxes
from sandbox.wasm.net import Stack, Switch
from sandbox.wasm.net.switch import Network


class Networks:
    """Implements NetworkDriver. A stack lives from a container's start to its end."""

    def __init__(self, boxes: Boxes, switch: Switch) -> None:
        self._boxes = boxes
        self._switch = switch
        self._networks: dict[str, Network] = {}

    async def add_network(self, network: NetworkSpec) -> None:
        """Provide a network; host and none need nothing."""
        if network.subnet and network.id not in self._networks:
            self._networks[network.id] = self._switch.network(
                network.id, network.subnet, network.gateway, network.internal, resolves=network.name != "bridge"
            )

    async def remove_network(self, network_id: str) -> None:
        """Remove a network that nothing is connected to."""
        if self._networks.pop(network_id, None) is not None:
            self._switch.remove(network_id)

    async def open_stack(self, container_id: str, mode: str, hosts: dict[str, str]) -> None:
        """Make the container's network, or share another's."""
        box = self._boxes.get(container_id)
        box.shared_stack = mode.startswith("container:")
        if box.shared_stack:
            box.stack = self._boxes.get(mode.removeprefix("container:")).stack
            return
        stack = box.stack = Stack.host() if mode == "host" else Stack.isolated(self._switch)
        host_config = box.spec.host_config
        stack.hosts = dict(hosts)
        stack.nameservers = list(host_config.get("Dns") or ())
        stack.search = list(host_config.get("DnsSearch") or ())
        stack.dns_options = list(host_config.get("DnsOptions") or ())

    async def connect(self, container_id: str, endpoint: EndpointSpec) -> None:
        """Plug the container into a network."""
        box = self._boxes.get(container_id)
        if box.stack is None:
            raise EngineError(f"container {container_id} has no network stack")
        network = self._networks[endpoint.network]
        try:
            made = network.attach(box.stack, endpoint.address, endpoint.mac, endpoint.names, dict(endpoint.links))
        except ValueError as error:
            raise EngineError(str(error)) from error
        box.endpoints[endpoint.id] = made

    async def disconnect(self, container_id: str, endpoint_id: str) -> None:
        """Unplug it."""
        made = self._boxes.get(container_id).endpoints.pop(endpoint_id, None)
        if made is not None:
            made.network.detach(made)

    async def rename(self, container_id: str, endpoint: EndpointSpec) -> None:
        """Other names for the same address."""
        self._boxes.get(container_id).endpoints[endpoint.id].names = endpoint.names

    async def publish(self, container_id: str, port: PortSpec) -> int:
        """Open a port of this machine that leads into the container."""
        box = self._boxes.get(container_id)
        if box.stack is None:
            raise EngineError(f"container {container_id} has no network stack")
        try:
            made = box.stack.publish(port.protocol, port.host_ip, port.host_port, port.port)
        except ValueError as error:
            raise OSError(errno.EPROTONOSUPPORT, str(error)) from error
        box.publications.append(made)
        return made.host_port

    async def unpublish(self, container_id: str, port: PortSpec) -> None:
        """Close a port of this machine."""
        publications = self._boxes.get(container_id).publications
        wanted = (port.protocol, port.host_ip, port.host_port)
        for made in [made for made in publications if (made.protocol, made.host_ip, made.host_port) == wanted]:
            publications.remove(made)
            made.close()

    async def close_stack(self, container_id: str) -> None:
        """Close ports and network of a container that has ended."""
        box = self._boxes.known(container_id)
        if box is None:
            return
        for publication in box.publications:
            publication.close()
        box.publications.clear()
        for made in box.endpoints.values():
            with suppress(KeyError):
                made.network.detach(made)
        box.endpoints.clear()
        if box.stack is not None and not box.shared_stack:
            box.stack.close()
        box.stack = None
