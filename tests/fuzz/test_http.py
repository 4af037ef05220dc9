"""HTTP that is no HTTP, or breaks off, lies and changes its mind at odd places, on raw connections to the product.

Every connection ends in good time, with nothing or with whole answers; the next client finds all as it was.
"""

from __future__ import annotations

import random
import re
import socket
import time

import pytest

from tests.faults.place import HOST, read_all, read_until
from tests.fuzz.stage import Stage

ROUNDS = 600
PIECES = (
    b"GET ",
    b"POST ",
    b"HEAD ",
    b"PUT ",
    b"DELETE ",
    b"OPTIONS ",
    b"/_ping",
    b"/v1.41/info",
    b"/containers/json?all=1",
    b"/containers/running/attach?stream=1&stdout=1&stdin=1",
    b"/exec/none/start",
    b"/images/load",
    b"/build",
    b"/containers/running/archive?path=/tmp",
    b"/containers/create",
    b" HTTP/1.1\r\n",
    b" HTTP/1.0\r\n",
    b" HTTP/9.9\r\n",
    b"Host: docker\r\n",
    b"Upgrade: tcp\r\n",
    b"Connection: Upgrade\r\n",
    b"Connection: close\r\n",
    b"Expect: 100-continue\r\n",
    b"Content-Type: application/json\r\n",
    b"Content-Type: application/x-tar\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length: 5, 5\r\n",
    b"Content-Length: +5\r\n",
    b"Content-Length: " + b"9" * 5000 + b"\r\n",
    b"content-length : 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n",
    b"Transfer-Encoding: identity\r\n",
    b" folded\r\n",
    b"X: \0\r\n",
    b"\xff: y\r\n",
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b"\r",
    b"5\r\nhello\r\n",
    b"0\r\n\r\n",
    b"ffffffffffffffff\r\n",
    b"5;ext=1\r\nhello\r\n",
    b"-1\r\n",
    b"{}",
    b'{"Cmd":["a"]}',
    b"\0" * 600,
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
    b"?" + b"a=b&" * 2000,
)


@pytest.mark.slow
def test_random_pieces_of_http(stage: Stage) -> None:
    chance = random.Random(1)
    for _ in range(ROUNDS):
        data = b"".join(chance.choice(PIECES) for _ in range(chance.randint(1, 12)))
        converse(stage, data, chance)
    assert stage.place.request("GET", "/_ping").body == b"OK"


def converse(stage: Stage, data: bytes, chance: random.Random) -> None:
    """Send in some pieces, half-close or not, and leave; whatever comes is HTTP, and nobody waits for long."""
    with stage.place.connect(0.3) as connection:
        try:
            for cut in sorted(chance.sample(range(len(data) + 1), min(3, len(data)))):
                connection.sendall(data[:cut])
                data = data[cut:]
            if chance.random() < 0.5:
                connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(1 << 16)
        except (TimeoutError, ConnectionError, OSError):
            return  # it waits for more, or has gone
    assert answer == b"" or re.match(rb"HTTP/1\.[01] \d{3} ", answer), (data, answer)
    assert not answer.startswith(b"HTTP/1.1 500"), (data, answer)


LYING = {
    "a longer body than its length": b"POST /containers/create HTTP/1.1\r\n" + HOST
    + b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}GET /_ping HTTP/1.1\r\n" + HOST + b"\r\n",
    "a request behind a chunked one": b"POST /containers/create HTTP/1.1\r\n" + HOST
    + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    + b"GET /_ping HTTP/1.1\r\n" + HOST + b"\r\n",
    "a request behind a refused attach": b"POST /containers/none/attach HTTP/1.1\r\n" + HOST
    + b"Content-Length: 2\r\n\r\n{}GET /_ping HTTP/1.1\r\n" + HOST + b"\r\n",
}  # fmt: skip


def test_pipelined_requests_are_each_answered_or_not_at_all(stage: Stage) -> None:
    for name, data in LYING.items():
        with stage.place.connect() as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            answers = read_all(connection)
        heads = re.findall(rb"HTTP/1\.1 (\d+) ", answers)
        assert heads in ([b"400", b"200"], [b"404"]), (name, answers)


def test_a_length_without_end_is_refused_at_once(stage: Stage) -> None:
    for path in (b"/containers/create", b"/containers/running/attach", b"/exec/none/start"):
        head = b"POST " + path + b" HTTP/1.1\r\n" + HOST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n"
        assert stage.place.sent(head).startswith(b"HTTP/1.1 400 ")


def test_a_chunked_body_of_an_attach_does_not_hold_the_server(stage: Stage) -> None:
    """Other clients are answered meanwhile, and the body ends at its limit."""
    head = b"POST /containers/running/attach HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    body = b"100000\r\n" + b"\n" * (1 << 20) + b"\r\n"
    with stage.place.connect() as connection:
        connection.sendall(head)
        began = time.monotonic()
        try:
            for _ in range(17):
                connection.sendall(body)
        except ConnectionError:
            pass
        assert stage.place.request("GET", "/_ping").body == b"OK"
        assert time.monotonic() - began < 60
        assert b"request body is too large" in read_all(connection)


def test_a_half_close_at_every_place_of_an_exec(stage: Stage) -> None:
    """The request as a whole is answered, with the output; a part of it is not."""
    create = {"Cmd": ["cat"], "AttachStdin": True, "AttachStdout": True}
    exec_id = stage.place.request("POST", "/containers/running/exec", create).json["Id"]
    request = b"POST /exec/%s/start HTTP/1.1\r\n" % exec_id.encode() + HOST
    request += b"Content-Type: application/json\r\nContent-Length: 2\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n{}"
    for end in range(1, len(request), 7):
        assert stage.place.sent(request[:end], half_close=True) in (b"", b"Invalid HTTP request received."), request[
            :end
        ]
    answer = stage.place.sent(request + b"hello", half_close=True)
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert answer.endswith(b"\x01\0\0\0\0\0\0\5hello")


def test_what_follows_a_hijack_is_input(stage: Stage) -> None:
    """A request on a taken-over connection is the process's, not the server's."""
    create = {"Cmd": ["head", "-n1"], "AttachStdin": True, "AttachStdout": True}
    exec_id = stage.place.request("POST", "/containers/running/exec", create).json["Id"]
    with stage.place.connect() as connection:
        head = b"POST /exec/%s/start HTTP/1.1\r\n" % exec_id.encode() + HOST + b"Content-Type: application/json\r\n"
        connection.sendall(head + b"Content-Length: 2\r\nUpgrade: tcp\r\nConnection: Upgrade\r\n\r\n{}")
        read_until(connection, b"\r\n\r\n")
        connection.sendall(b"GET /_ping HTTP/1.1\r\n" + HOST + b"\r\n")
        assert read_all(connection) == b"\x01\0\0\0\0\0\0\x15GET /_ping HTTP/1.1\r\n"
