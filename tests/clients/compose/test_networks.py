"""Networks of a compose file: names, aliases, addresses, and who reaches whom."""

from __future__ import annotations

import json

import pytest

from tests.clients.compose.conftest import Maker
from tests.clients.compose.project import Project, notes

TEXT = """
x-idle: &idle {image: sockerless/base, stop_grace_period: 0s, command: sleep 1000}
services:
  front:
    <<: *idle
    networks: [outer, middle]
    extra_hosts: ["elsewhere:10.1.2.3"]
    hostname: face
    domainname: example.test
  back:
    image: sockerless/base
    command: sh -c 'mkdir /www; hostname > /www/name; exec httpd -f -p 80 -h /www'
    stop_grace_period: 0s
    hostname: backend
    networks:
      middle: {aliases: [database, db.example.test]}
      inner: {ipv4_address: 10.213.7.9}
  alone:
    <<: *idle
    networks: [outer]
  sidecar:
    <<: *idle
    network_mode: service:back
  offline:
    <<: *idle
    network_mode: none
networks:
  outer: {}
  middle: {labels: {tier: middle}}
  inner: {internal: true, ipam: {config: [{subnet: 10.213.7.0/24, gateway: 10.213.7.1}]}}
"""


def fetch(project: Project, service: str, host: str) -> str:
    return project.sh(service, f"wget -q -T 20 -O- http://{host}/name 2>&1 || echo refused")


def test_who_reaches_whom(shop: Maker) -> None:
    project = shop(TEXT)
    project.ok("up", "--detach", "--wait")
    project.sh("back", "until wget -q -O- http://127.0.0.1/name 2>&-; do sleep 0.1; done")
    for name in ("back", "shop-back-1", "database", "db.example.test"):
        assert fetch(project, "front", name) == "backend"
    assert fetch(project, "sidecar", "127.0.0.1") == "backend"
    assert fetch(project, "sidecar", "10.213.7.9") == "backend"
    assert fetch(project, "alone", "back") == "wget: bad address 'back'\nrefused"
    assert project.sh("front", "hostname; hostname -f") == "face\nface.example.test"
    assert project.sh("front", "grep elsewhere /etc/hosts") == "10.1.2.3\telsewhere"
    assert project.sh("offline", "ip -o -4 addr | awk '{print $2}'") == "lo"


@pytest.mark.oracle
def test_what_inspect_tells(shop: Maker) -> None:
    project = shop(TEXT)
    project.ok("up", "--detach", "back")
    (back,) = json.loads(project.engine.ok("inspect", "shop-back-1"))
    networks = back["NetworkSettings"]["Networks"]
    assert sorted(networks) == ["shop_inner", "shop_middle"]
    assert networks["shop_inner"]["IPAddress"] == "10.213.7.9"
    assert networks["shop_inner"]["IPAMConfig"] == {"IPv4Address": "10.213.7.9"}
    assert {"back", "database", "db.example.test", "shop-back-1"} <= set(networks["shop_middle"]["Aliases"])
    (inner,) = json.loads(project.engine.ok("network", "inspect", "shop_inner"))
    assert (inner["Internal"], inner["IPAM"]["Config"]) == (
        True,
        [{"Subnet": "10.213.7.0/24", "Gateway": "10.213.7.1"}],
    )
    (middle,) = json.loads(project.engine.ok("network", "inspect", "shop_middle"))
    assert (middle["Labels"]["tier"], middle["Labels"]["com.docker.compose.network"]) == ("middle", "middle")


@pytest.mark.oracle
def test_a_name_resolves_to_all_replicas(shop: Maker) -> None:
    project = shop("""
services:
  web: {image: sockerless/base, stop_grace_period: 0s, command: sleep 1000, scale: 3}
  test: {image: sockerless/base, stop_grace_period: 0s, command: sleep 1000}
""")
    project.ok("up", "--detach")
    resolved = project.sh("test", "nslookup -type=a web 127.0.0.11 | grep -A1 '^Name:' | grep ^Address")
    (network,) = json.loads(project.engine.ok("network", "inspect", "shop_default"))
    addresses = {end["IPv4Address"].split("/")[0] for end in network["Containers"].values() if "web" in end["Name"]}
    assert len(addresses) == 3
    assert {line.split()[-1] for line in resolved.splitlines()} == addresses


@pytest.mark.oracle
def test_a_changed_network_is_made_anew(shop: Maker) -> None:
    text = "services: {web: {image: sockerless/base, stop_grace_period: 0s, command: sleep 1000}}\n"
    project = shop(text)
    project.ok("up", "--detach")
    project.write("compose.yaml", text + "networks: {default: {ipam: {config: [{subnet: 10.214.7.0/24}]}}}\n")
    project.ok("up", "--detach")
    assert project.sh("web", "ip -4 -o addr show eth0 | awk '{print $4}'") == "10.214.7.2/24"


def test_external_networks_have_to_exist(shop: Maker) -> None:
    project = shop("""
services: {web: {image: sockerless/base, stop_grace_period: 0s, command: sleep 1000, networks: [shared]}}
networks: {shared: {external: true, name: shop-shared}}
""")
    result = project.compose("up", "--detach")
    assert (result.code, notes(result.stderr)[-1]) == (
        1, "network shop-shared declared as external, but could not be found",
    )  # fmt: skip
    project.engine.ok("network", "create", "shop-shared")
    project.ok("up", "--detach")
    project.ok("down", "--timeout=0")
    assert project.engine.ok("network", "rm", "shop-shared") == "shop-shared"
