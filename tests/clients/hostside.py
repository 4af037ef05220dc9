"""A client on the machine of an engine: what it gets at published ports."""

from __future__ import annotations

import os
import sys

from tests.clients.engine import Engine

FETCH = """
import socket, sys, time
kind, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
family = socket.AF_INET6 if ":" in address else socket.AF_INET
deadline = time.monotonic() + 30
datagrams = socket.socket(family, socket.SOCK_DGRAM)  # one for all tries: a server may answer its first peer only
datagrams.settimeout(1)

def echo():
    datagrams.connect((address, port))
    datagrams.sendall(b"page")
    return datagrams.recv(65536)

def page():
    with socket.socket(family) as one:
        one.settimeout(20)
        one.connect((address, port))
        one.sendall(b"GET /page HTTP/1.0\\r\\n\\r\\n")
        return b"".join(iter(lambda: one.recv(65536), b""))

while time.monotonic() < deadline:
    try:
        answer = page() if kind == "tcp" else echo()
    except (ConnectionError, TimeoutError):
        answer = b""
    if answer:
        print(answer.decode().split()[-1])
        break
    time.sleep(0.05)
"""
REFUSED = "import socket, sys; s = socket.socket(); print(s.connect_ex((sys.argv[1], int(sys.argv[2]))))"
ECONNREFUSED = "111"
PORT = 10000 + os.getpid() * 8 % 22000
"""The first of eight ports for the tests that name one: others than those of another test run, and never given out."""


def fetch(engine: Engine, address: str, port: int | str, kind: str = "tcp") -> str:
    """The last word that a server sends, however long it takes to listen: of HTTP's /page, or the echo of "page"."""
    return engine.run([sys.executable, "-c", FETCH, kind, address, str(port)]).stdout.strip()


def refused(engine: Engine, address: str, port: int | str) -> str:
    """The error number of a connection, "0" for none."""
    return engine.run([sys.executable, "-c", REFUSED, address, str(port)]).stdout.strip()
