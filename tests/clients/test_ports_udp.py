"""Datagrams through published ports; the reference's image has no server for them."""

from __future__ import annotations

import pytest

from tests.clients.engine import Engine
from tests.clients.hostside import PORT, fetch

BASE = "sockerless/base:latest"
ECHO = "while :; do nc -u -l -p 53 -e cat; done"


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_udp(engine: Engine, address: str) -> None:
    engine.ok("run", "-d", "--name", "ports-udp", "-p", f"{PORT}:53/udp", BASE, "sh", "-c", ECHO)
    assert fetch(engine, address, PORT, "udp") == "page"
    engine.ok("rm", "-f", "ports-udp")


def test_one_number_for_both_protocols(engine: Engine) -> None:
    web = "mkdir /w && echo web > /w/page && httpd -p 80 -h /w"
    ports = ("-p", f"{PORT}:53/udp", "-p", f"{PORT}:80")
    engine.ok("run", "-d", "--name", "ports-two", *ports, BASE, "sh", "-c", f"{web} && {ECHO}")
    assert [fetch(engine, "127.0.0.1", PORT, kind) for kind in ("tcp", "udp")] == ["web", "page"]
    engine.ok("rm", "-f", "ports-two")
