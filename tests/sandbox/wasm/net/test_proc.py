from __future__ import annotations

from sandbox.wasm.net import proc
from sandbox.wasm.net.isolated import IsolatedStack
from sandbox.wasm.net.traffic import Traffic

from .conftest import accept, listener, read, tcp, udp


def lines(stack: IsolatedStack, name: str) -> list[list[str]]:
    header = 2 if name == "dev" else 1
    return [line.split() for line in proc.render(stack)[name].splitlines()[header:]]


def test_sockets(web: IsolatedStack, client: IsolatedStack) -> None:
    server, one, name = listener(web, "0.0.0.0", 80), tcp(client), udp(web)
    name.bind(("127.0.0.1", 53))
    one.connect(("10.5.0.2", 80))
    other, (_, port) = accept(server)
    assert [line[1:4] for line in lines(web, "tcp")] == [
        ["00000000:0050", "00000000:0000", "0A"],
        ["0200050A:0050", f"0300050A:{port:04X}", "01"],
    ]
    assert [line[9] for line in lines(web, "tcp")] == [str(server.inode), str(other.inode)]
    assert [line[1:4] for line in lines(web, "udp")] == [["0100007F:0035", "00000000:0000", "07"]]
    for sock in (server, one, other, name):
        sock.close()
    assert lines(web, "tcp") == lines(web, "udp") == []


def test_routes_and_neighbours(web: IsolatedStack, client: IsolatedStack) -> None:
    assert [line[:4] + line[7:8] for line in lines(web, "route")] == [
        ["eth0", "00000000", "0100050A", "0003", "00000000"],
        ["eth0", "0000050A", "00000000", "0001", "00FFFFFF"],
    ]
    assert [(line[0], line[3], line[5]) for line in lines(web, "arp")] == [("10.5.0.3", "02:42:0a:05:00:03", "eth0")]


def test_traffic_is_counted(web: IsolatedStack, client: IsolatedStack) -> None:
    server, one = listener(web, "0.0.0.0", 80), tcp(client)
    one.connect(("10.5.0.2", 80))
    other, _ = accept(server)
    one.send([b"12345"], 0)
    assert read(other) == b"12345"
    assert client.traffic() == {"eth0": Traffic(0, 0, 5, 1)}
    assert web.traffic() == {"eth0": Traffic(5, 1, 0, 0)}
    assert [line[0:3] + line[9:11] for line in lines(web, "dev")] == [
        ["lo:", "0", "0", "0", "0"],
        ["eth0:", "5", "1", "0", "0"],
    ]
    for sock in (server, one, other):
        sock.close()
