"""Networks: subnets, endpoints over a container's life, published ports, DNS names, errors."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from backends.api import types as t
from backends.api.errors import EngineError, Forbidden, InvalidArgument, NotFound
from backends.core.engine import CoreEngine
from backends.core.ipam import Pool, choose_subnet, mac_for
from tests.backends.core.conftest import Shop


def test_pool_gives_takes_and_refuses() -> None:
    pool = Pool("10.1.0.0/29", "10.1.0.1")
    assert [pool.allocate() for _ in range(5)] == [f"10.1.0.{n}" for n in range(2, 7)]
    with pytest.raises(Forbidden, match=r"^no available IPv4 addresses on this network's address pools: 10\.1\.0"):
        pool.allocate()
    pool.release("10.1.0.4")
    with pytest.raises(Forbidden, match=r"^Address already in use$"):
        pool.allocate("10.1.0.5")
    assert pool.allocate() == "10.1.0.4"
    with pytest.raises(EngineError, match=r"^no configured subnet contains IP address 10\.2\.0\.1$"):
        pool.allocate("10.2.0.1")


def test_subnets_come_in_dockers_order() -> None:
    taken: list[str] = ["172.17.0.0/16"]
    for _ in range(16):
        taken.append(str(choose_subnet(taken)))
    assert taken[1:3] == ["172.18.0.0/16", "172.19.0.0/16"]
    assert taken[-2:] == ["192.168.0.0/20", "192.168.16.0/20"]
    assert mac_for("172.17.0.2") == "02:42:ac:11:00:02"


async def test_predefined(core: CoreEngine) -> None:
    found = {network.name: network for network in await core.list_networks({})}
    assert set(found) == {"bridge", "host", "none"}
    assert found["bridge"].ipam["Config"] == [{"Subnet": "172.17.0.0/16", "Gateway": "172.17.0.1"}]
    assert (found["none"].driver, found["host"].driver) == ("null", "host")


async def test_endpoint_exists_while_it_runs(core: CoreEngine, shop: Shop) -> None:
    network = await core.create_network({"Name": "gn"})
    found = await shop.create("sleep", "60", name="gc", host={"NetworkMode": network.id})
    await core.start_container(found)
    endpoint = (await core.inspect_container(found)).network_settings.networks["gn"]
    assert (endpoint.ip_address, endpoint.gateway, endpoint.ip_prefix_len) == ("172.18.0.2", "172.18.0.1", 16)
    assert endpoint.mac_address == "02:42:ac:12:00:02"
    assert endpoint.dns_names == ["gc", found[:12]]
    members = (await core.inspect_network("gn")).containers
    assert members[found]["IPv4Address"] == "172.18.0.2/16"
    with pytest.raises(Forbidden, match=r"network gn has active endpoints"):
        await core.remove_network("gn")
    await core.rename_container(found, "gd")
    assert (await core.inspect_container(found)).network_settings.networks["gn"].dns_names == ["gd", found[:12]]
    await core.kill_container(found)
    assert (await core.inspect_container(found)).network_settings.networks["gn"].ip_address == ""
    await core.remove_network("gn")
    with pytest.raises(NotFound) as refused:
        await core.start_container(found)
    assert refused.value.message == "failed to set up container networking: network gn not found"


async def test_the_address_that_was_asked_for_shows_in_the_config_too(core: CoreEngine, shop: Shop) -> None:
    mac = "02:42:ac:11:00:09"
    network = await core.create_network({"Name": "gn"})
    found = await shop.create("sleep", "60", host={"NetworkMode": network.id}, MacAddress=mac)
    assert (await core.inspect_container(found)).config["MacAddress"] == mac
    await core.start_container(found)
    assert (await core.inspect_container(found)).network_settings.networks["gn"].mac_address == mac
    assert (await core.inspect_container(found)).config["MacAddress"] == mac
    assert "MacAddress" not in (await core.inspect_container(await shop.create("true"))).config
    aside = await shop.create("true", host={"NetworkMode": "host"}, MacAddress=mac)
    assert (await core.inspect_container(aside)).network_settings.networks["host"].mac_address == ""


async def test_connect_and_disconnect(core: CoreEngine, shop: Shop) -> None:
    await core.create_network({"Name": "one", "IPAM": {"Config": [{"Subnet": "10.9.0.0/24"}]}})
    found = await shop.create("sleep", "60", name="pc")
    await core.start_container(found)
    await core.connect_network("one", "pc", {"Aliases": ["al"], "IPAMConfig": {"IPv4Address": "10.9.0.77"}})
    endpoint = (await core.inspect_container(found)).network_settings.networks["one"]
    assert (endpoint.ip_address, endpoint.dns_names) == ("10.9.0.77", ["pc", "al", found[:12]])
    with pytest.raises(Forbidden, match=r"^endpoint with name pc already exists in network one$"):
        await core.connect_network("one", "pc", {})
    await core.disconnect_network("one", "pc", False)
    assert list((await core.inspect_container(found)).network_settings.networks) == ["bridge"]
    assert (await core.inspect_network("one")).containers == {}


async def test_a_network_beside_none_is_refused(core: CoreEngine, shop: Shop) -> None:
    await core.create_network({"Name": "one"})
    found = await shop.create("sleep", "60", host={"NetworkMode": "none"})
    await core.start_container(found)
    with pytest.raises(InvalidArgument) as refused:
        await core.connect_network("one", found, {})
    assert refused.value.message == (
        "container cannot be connected to multiple networks with one of the networks in private (none) mode"
    )
    assert list((await core.inspect_container(found)).network_settings.networks) == ["none"]
    await core.disconnect_network("none", found, False)
    await core.connect_network("one", found, {})
    assert list((await core.inspect_container(found)).network_settings.networks) == ["one"]


@pytest.mark.parametrize(
    ("request_", "status", "message"),
    [
        ({"Name": "bridge"}, 403, "operation is not permitted on predefined bridge network "),
        ({"Name": ""}, 400, "invalid name: name is empty"),
        ({"Name": "xx", "IPAM": {"Config": [{"Subnet": "172.17.9.0/24"}]}}, 403,
         "invalid pool request: Pool overlaps with other one on this address space"),
        ({"Name": "xx", "IPAM": {"Config": [{"Subnet": "10.0.0.1/24"}]}}, 400,
         "invalid network config:\ninvalid subnet 10.0.0.1/24: it should be 10.0.0.0/24"),
        ({"Name": "xx", "IPAM": {"Config": [{"Subnet": "10.0.0.0"}]}}, 400,
         "invalid network config:\ninvalid subnet 10.0.0.0: invalid CIDR block notation"),
        ({"Name": "xx", "IPAM": {"Config": [{"Gateway": "10.0.0.1"}]}}, 400,
         "invalid network config:\ninvalid subnet : invalid CIDR block notation"),
        ({"Name": "xx", "IPAM": {"Config": [{"Subnet": "10.0.1.0/24", "IPRange": "10.0.0.7/16", "Gateway": "x"}]}}, 400,
         "invalid network config:\n* invalid ip-range 10.0.0.7/16: CIDR block is bigger than its parent subnet "
         "10.0.1.0/24\n* invalid ip-range 10.0.0.7/16: it should be 10.0.0.0/16\n* invalid gateway x: invalid address"),
        ({"Name": "xx", "IPAM": {"Config": [{"Subnet": "10.0.1.0/24", "IPRange": "10.0.2.0/25"}]}}, 400,
         "invalid network config:\ninvalid ip-range 10.0.2.0/25: parent subnet 10.0.1.0/24 doesn't contain ip-range"),
        ({"Name": "xx", "Scope": "swarm"}, 403, "cannot create a swarm scoped network when swarm is not active"),
        ({"Name": "xx", "Ingress": True}, 403, "Ingress network can only be global scope network"),
        ({"Name": "xx", "IPAM": {"Driver": "foo"}}, 404, 'plugin "foo" not found'),
        ({"Name": "xx", "EnableIPv4": False}, 501, "networks without IPv4 are not supported"),
        ({"Name": "xx", "IPAM": {"Config": [{"Subnet": "10.0.0.0/24", "AuxiliaryAddresses": {"a": "10.1.0.1"}}]}}, 400,
         "invalid network config:\n"
         "invalid auxiliary address a: parent subnet 10.0.0.0/24 doesn't contain this address"),
        ({"Name": "xx", "Driver": "overlay"}, 501, "network driver overlay is not supported: use bridge"),
    ],
)  # fmt: skip
async def test_refused_networks(core: CoreEngine, request_: t.Json, status: int, message: str) -> None:
    with pytest.raises(EngineError) as refused:
        await core.create_network(request_)
    assert (refused.value.status, refused.value.message) == (status, message)
    assert len(await core.list_networks({})) == 3


async def test_other_refusals(core: CoreEngine, shop: Shop) -> None:
    await core.create_network({"Name": "one"})
    await shop.create("true", name="pc")
    for act, status, message in (
        (core.create_network({"Name": "one"}), 409, "network with name one already exists"),
        (core.remove_network("bridge"), 403, "bridge is a pre-defined network and cannot be removed"),
        (core.remove_network("nosuch"), 404, "network nosuch not found"),
        (core.inspect_network("nosuch"), 404, "network nosuch not found"),
        (core.connect_network("one", "nosuch", {}), 404, "No such container: nosuch"),
        (core.disconnect_network("one", "nosuch", False), 404, "No such container: nosuch"),
        (
            core.connect_network("host", "pc", {}),
            400,
            "cannot connect container to host network - container must be created in host network mode",
        ),
    ):
        with pytest.raises(EngineError) as refused:
            await act
        assert (refused.value.status, refused.value.message) == (status, message)


async def test_published_ports(core: CoreEngine, shop: Shop) -> None:
    host = {"PortBindings": {"80/tcp": [{"HostPort": ""}], "81/tcp": None}}
    found = await shop.create("sleep", "60", host=host, ExposedPorts={"82/udp": {}})
    assert (await core.inspect_container(found)).network_settings.ports == {}
    await core.start_container(found)
    ports = (await core.inspect_container(found)).network_settings.ports
    assert set(ports) == {"80/tcp", "82/udp"}
    assert ports["82/udp"] is None
    assert ports["80/tcp"] is not None
    number = int(ports["80/tcp"][0].host_port)
    assert ports["80/tcp"] == [t.PortBinding(host_ip=address, host_port=str(number)) for address in ("0.0.0.0", "::")]
    for address in ("127.0.0.1", "::1"):
        with socket.create_connection((address, number), 5):
            pass
    wanted = {"PortBindings": {"80/tcp": [{"HostPort": str(number)}]}}
    other = await shop.create("sleep", "60", name="other", host=wanted)
    with pytest.raises(EngineError) as refused:
        await core.start_container(other)
    assert refused.value.message.startswith(
        "failed to set up container networking: driver failed programming external connectivity on endpoint other ("
    )
    assert refused.value.message.endswith(f"): Bind for 0.0.0.0:{number} failed: port is already allocated")
    state = (await core.inspect_container(other)).state
    assert (state.status, state.exit_code) == ("created", 128)
    await core.kill_container(found)
    await core.start_container(other)


@contextmanager
def taken_on_ipv6() -> Iterator[int]:
    """A port that somebody listens on over IPv6; it is free over IPv4, and the next one over both."""
    while True:
        with socket.socket(socket.AF_INET6) as foreign:
            foreign.bind(("::1", 0))
            number = foreign.getsockname()[1]
            if all(is_free(*each) for each in (("127.0.0.1", number), ("127.0.0.1", number + 1), ("::1", number + 1))):
                foreign.listen()
                yield number
                return


def is_free(address: str, port: int) -> bool:
    """Not taken, not by a connection that ended a short while ago either."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        try:
            probe.bind((address, port))
        except (OSError, OverflowError):
            return False
    return True


async def test_a_port_taken_on_ipv6_is_given_back_on_ipv4(core: CoreEngine, shop: Shop) -> None:
    with taken_on_ipv6() as number:
        found = await shop.create("sleep", "60", host={"PortBindings": {"80/tcp": [{"HostPort": str(number)}]}})
        with pytest.raises(EngineError, match=rf"failed to bind host port for :::{number}:.*: address already in use$"):
            await core.start_container(found)
        with socket.socket() as free:
            free.bind(("127.0.0.1", number))
        ranged = {"PortBindings": {"80/tcp": [{"HostPort": f"{number}-{number + 1}"}]}}
        other = await shop.create("sleep", "60", name="ranged", host=ranged)
        await core.start_container(other)
        assert (await core.inspect_container(other)).network_settings.ports == {
            "80/tcp": [t.PortBinding(host_ip=address, host_port=str(number + 1)) for address in ("0.0.0.0", "::")]
        }
        with socket.socket() as free:
            free.bind(("127.0.0.1", number))


@pytest.mark.parametrize(("field", "value"), [("HostIp", "nonsense"), ("HostPort", "9-8"), ("HostPort", "x")])
async def test_bad_bindings(shop: Shop, field: str, value: str) -> None:
    with pytest.raises(InvalidArgument, match=f'"{value}"'):
        await shop.create("true", host={"PortBindings": {"80/tcp": [{field: value}]}})


async def test_shared_network_and_links(core: CoreEngine, shop: Shop) -> None:
    db = await shop.create("sleep", "60", name="db", ExposedPorts={"80/tcp": {}})
    await core.start_container(db)
    web = await shop.create("env", name="web", host={"Links": ["db:store"], "ExtraHosts": ["up:host-gateway"]})
    assert await shop.finish(web) == 0
    lines = (await shop.logs("web")).decode()
    assert "STORE_PORT_80_TCP_ADDR=172.17.0.2\n" in lines
    hosts = (await core.context.drivers.files.read_file(web, "/etc/hosts")).decode()
    assert "172.17.0.1\tup\n172.17.0.2\tstore\n172.17.0.2\tdb\n" in hosts
    side = await shop.create("sleep", "60", host={"NetworkMode": "container:db"})
    await core.start_container(side)
    assert (await core.inspect_container(side)).network_settings.networks == {}
    await core.kill_container(db)
    late = await shop.create("true", host={"NetworkMode": "container:db"})
    with pytest.raises(EngineError, match=rf"^cannot join network of a non running container: {db}$"):
        await core.start_container(late)


async def test_prune_and_filters(core: CoreEngine, shop: Shop) -> None:
    await core.create_network({"Name": "one", "Labels": {"a": "b"}})
    await core.create_network({"Name": "two"})
    assert [n.name for n in await core.list_networks({"type": ["custom"], "label": ["a=b"]})] == ["one"]
    assert [n.name for n in await core.list_networks({"name": ["on"]})] == ["none", "one"]
    assert (await core.prune_networks({"label": ["a"]})).deleted == ["one"]
    assert (await core.prune_networks({})).deleted == ["two"]


async def test_a_mode_that_names_a_container_survives_its_renaming(core: CoreEngine, shop: Shop) -> None:
    other = await shop.create("sleep", "100", name="other")
    await core.start_container(other)
    sharing = await shop.create("true", host={"NetworkMode": "container:other"})
    await core.rename_container(other, "renamed")
    assert (await core.inspect_container(sharing)).host_config["NetworkMode"] == f"container:{other}"
    assert await shop.finish(sharing) == 0


async def test_links_are_shown_with_the_names_of_both(core: CoreEngine, shop: Shop) -> None:
    linked = await shop.create("true", name="linked")
    owner = await shop.create("true", name="owner", host={"Links": [f"{linked[:12]}:alias"]})
    assert (await core.inspect_container(owner)).host_config["Links"] == ["/linked:/owner/alias"]
    rows = await core.list_containers(True, -1, False, {})
    assert {row.id: row.names for row in rows} == {owner: ["/owner"], linked: ["/linked", "/owner/alias"]}


async def test_an_internal_network_shows_only_the_gateway_asked_for(core: CoreEngine) -> None:
    shown = []
    for name, config in (("a", {"Subnet": "10.91.0.0/24"}), ("b", {"Subnet": "10.92.0.0/24", "Gateway": "10.92.0.9"})):
        await core.create_network({"Name": name, "Internal": True, "IPAM": {"Config": [config]}})
        shown.append((await core.inspect_network(name)).ipam["Config"])
    assert shown == [[{"Subnet": "10.91.0.0/24"}], [{"Subnet": "10.92.0.0/24", "Gateway": "10.92.0.9"}]]


async def test_addresses_kept_for_others_are_not_given_away(make_engine: Callable[[], CoreEngine]) -> None:
    kept = {"router": "10.9.0.2", "printer": "10.9.0.3"}
    first = make_engine()
    await first.open()
    await first.create_network(
        {"Name": "n", "IPAM": {"Config": [{"Subnet": "10.9.0.0/24", "AuxiliaryAddresses": kept}]}}
    )
    await first.close()
    core = make_engine()
    await core.open()
    found = await Shop(core).create("sleep", "60", host={"NetworkMode": "n"})
    await core.start_container(found)
    assert (await core.inspect_container(found)).network_settings.networks["n"].ip_address == "10.9.0.4"
    await core.close()


async def test_what_a_network_cannot_do_is_told(core: CoreEngine) -> None:
    created = await core.create_network({"Name": "six", "EnableIPv6": True})
    assert created.warnings == ["EnableIPv6 is accepted and has no effect: containers have IPv4 addresses only"]
