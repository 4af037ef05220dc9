from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.wasm.net import Stack, Switch, etc, forward, hosts, resolv_conf
from sandbox.wasm.net.isolated import IsolatedStack

HOST = "# made by hand\nnameserver 127.0.0.53\nnameserver 192.0.2.53\nsearch corp.example lab\noptions edns0 trust-ad\n"


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    path = tmp_path / "resolv.conf"
    path.write_text(HOST)
    return path


@pytest.fixture
def bridged(switch: Switch) -> IsolatedStack:
    bridge = switch.network("bridge", "172.17.0.0/16", "172.17.0.1")
    stack = Stack.isolated(switch)
    bridge.attach(stack, "172.17.0.2", "02:42:ac:11:00:02", ["one"])
    return stack


def test_user_networks_ask_the_stack_s_own_server(web: IsolatedStack, conf: Path) -> None:
    assert resolv_conf(web, conf) == (
        "nameserver 127.0.0.11\nsearch corp.example lab\noptions edns0 trust-ad ndots:0\n"
    )
    web.search, web.dns_options = ["."], ["ndots:2"]
    assert resolv_conf(web, conf) == "nameserver 127.0.0.11\noptions ndots:2\n"


def test_default_bridge_gets_the_host_s_reachable_servers(bridged: IsolatedStack, conf: Path) -> None:
    assert resolv_conf(bridged, conf) == ("nameserver 192.0.2.53\nsearch corp.example lab\noptions edns0 trust-ad\n")
    bridged.nameservers = ["192.0.2.1"]
    assert resolv_conf(bridged, conf).startswith("nameserver 192.0.2.1\nsearch")


def test_default_bridge_of_a_host_with_a_local_server(
    bridged: IsolatedStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, upper = tmp_path / "resolv.conf", tmp_path / "systemd.conf"
    path.write_text("nameserver 127.0.0.53\nnameserver ::1\n")
    monkeypatch.setattr(forward, "SYSTEMD_RESOLV_CONF", upper)
    assert resolv_conf(bridged, path) == "nameserver 127.0.0.11\n"
    upper.write_text("nameserver 192.0.2.7\n")
    assert resolv_conf(bridged, path) == "nameserver 192.0.2.7\n"


def test_no_network_and_host_network(switch: Switch, conf: Path, tmp_path: Path) -> None:
    assert resolv_conf(Stack.isolated(switch), tmp_path / "none") == ""
    assert resolv_conf(Stack.host(), conf) == HOST.partition("\n")[2]


def test_hosts_of_a_container(web: IsolatedStack) -> None:
    web.hosts = {"db": "10.5.0.9"}
    assert hosts(web, "box.lab", {"extra": "192.0.2.3"}) == (
        "127.0.0.1\tlocalhost\n10.5.0.9\tdb\n192.0.2.3\textra\n10.5.0.2\tbox.lab box\n"
    )


def test_hosts_of_the_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "hosts"
    path.write_text("127.0.0.1 localhost\n127.0.1.1 machine")
    monkeypatch.setattr(etc, "HOSTS", path)
    assert hosts(Stack.host(), "machine", {"x": "192.0.2.3"}) == (
        "127.0.0.1 localhost\n127.0.1.1 machine\n192.0.2.3\tx\n"
    )
