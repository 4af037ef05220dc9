"""Requests and answers pass unchanged between a client and the Docker engine behind a worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.frontend.routing.fake_engine import FakeEngine, passed_on
from tests.frontend.site import Site, Wire

Both = tuple[FakeEngine, Site]
EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[Both]:
    async with passed_on(tmp_path) as found:
        yield found


async def until(wire: Wire, end: bytes) -> bytes:
    data = b""
    while not data.endswith(end):
        part = await wire.receive()
        assert part, data
        data += part
    return data


async def test_a_request_arrives_as_it_was_sent(both: Both) -> None:
    fake, site = both
    client = await site.connect()
    sent = b"POST /v1.99/x%2Fy/z?a=%20b&a=c HTTP/1.1\r\nhost: docker\r\nx-auth: e30=\r\ncontent-length: 4\r\n\r\nbody"
    await client.send(sent)
    engine = await fake.accept()
    assert await until(engine, b"body") == sent


async def test_a_chunked_upload_arrives_chunked(both: Both) -> None:
    fake, site = both
    client = await site.connect()
    await client.send(
        b"PUT /containers/a/archive HTTP/1.1\r\nhost: d\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n"
    )
    engine = await fake.accept()
    assert (await until(engine, b"3\r\nabc\r\n")).endswith(b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n")
    await client.send(b"2\r\nde\r\n0\r\n\r\n")
    assert await until(engine, b"0\r\n\r\n") == b"2\r\nde\r\n0\r\n\r\n"
    await engine.send(EMPTY)
    assert await until(client, b"\r\n\r\n") == EMPTY


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nServer: Docker/20\r\nX-Odd:  v\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n1;x=y\r\na\r\n2\r\nbc\r\n0\r\nTrail: t\r\n\r\n",
        b"HTTP/1.1 409 Own Words\r\nContent-Length: 0\r\n\r\n",
    ],
)
async def test_answers_come_back_byte_by_byte_and_the_connection_serves_on(both: Both, answer: bytes) -> None:
    fake, site = both
    client = await site.connect()
    for _ in range(3):
        await client.send(b"GET /x HTTP/1.1\r\nHost: d\r\n\r\n")
        engine = await fake.accept()
        await until(engine, b"\r\n\r\n")
        await engine.send(answer)
        assert await client.exactly(len(answer)) == answer


async def test_the_answer_to_head_has_no_body_whatever_its_length_says(both: Both) -> None:
    fake, site = both
    client = await site.connect()
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
    for _ in range(2):
        await client.send(b"HEAD /_ping HTTP/1.1\r\nHost: d\r\n\r\n")
        await (await fake.accept()).send(head)
        assert await client.exactly(len(head)) == head


async def test_parts_of_an_answer_arrive_when_they_are_sent(both: Both) -> None:
    fake, site = both
    client = await site.connect()
    await client.send(b"GET /events HTTP/1.1\r\nHost: d\r\n\r\n")
    engine = await fake.accept()
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    for part in (head, b"2\r\na\n\r\n", b"2\r\nb\n\r\n", b"0\r\n\r\n"):
        await engine.send(part)
        assert await client.exactly(len(part)) == part


async def test_pipelined_requests_are_answered_in_order(both: Both) -> None:
    fake, site = both
    client = await site.connect()
    await client.send(b"GET /1 HTTP/1.1\r\nHost: d\r\n\r\nGET /2 HTTP/1.1\r\nHost: d\r\n\r\n")
    for number in (b"1", b"2"):
        engine = await fake.accept()
        assert (await until(engine, b"\r\n\r\n")).startswith(b"GET /" + number)
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + number
        await engine.send(answer)
        assert await client.exactly(len(answer)) == answer


@pytest.mark.parametrize(
    ("upgrade", "head"),
    [
        (
            b"Connection: Upgrade\r\nUpgrade: tcp\r\n",
            b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n",
        ),
        (b"", b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n"),
    ],
)
async def test_a_connection_is_handed_over_with_both_directions_closing_by_themselves(
    both: Both, upgrade: bytes, head: bytes
) -> None:
    fake, site = both
    client = await site.connect()
    body = b'{"Detach":false}'
    length = b"Content-Length: %d\r\n" % len(body)
    await client.send(b"POST /exec/1/start HTTP/1.1\r\nHost: d\r\n" + upgrade + length + b"\r\n" + body + b"early")
    engine = await fake.accept()
    await until(engine, body)
    await engine.send(head + b"first")
    assert await client.exactly(len(head) + 5) == head + b"first"
    assert await engine.exactly(5) == b"early"
    await client.send(b"input")
    client.end()
    assert await engine.rest() == b"input"
    await engine.send(b"last")
    engine.end()
    assert await client.rest() == b"last"


async def test_any_protocol_may_be_switched_to(both: Both) -> None:
    fake, site = both
    client = await site.connect()
    await client.send(b"POST /session HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
    engine = await fake.accept()
    assert b"\r\nupgrade: h2c\r\n" in await until(engine, b"\r\n\r\n")
    head = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    await engine.send(head)
    assert await client.exactly(len(head)) == head
    await client.send(b"PRI * HTTP/2.0\r\n\r\n")
    assert await engine.exactly(18) == b"PRI * HTTP/2.0\r\n\r\n"


async def test_a_client_that_leaves_closes_the_engines_connection(both: Both) -> None:
    fake, site = both
    client = await site.connect()
    await client.send(b"GET /containers/a/logs?follow=1 HTTP/1.1\r\nHost: d\r\n\r\n")
    engine = await fake.accept()
    await until(engine, b"\r\n\r\n")
    await engine.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    await client.head()
    client.close()
    assert await engine.rest() == b""


async def test_a_client_that_leaves_an_attached_stream_closes_the_engines_connection(both: Both) -> None:
    fake, site = both
    client = await site.connect()
    await client.send(b"POST /containers/a/attach HTTP/1.1\r\nHost: d\r\nUpgrade: tcp\r\nConnection: Upgrade\r\n\r\n")
    engine = await fake.accept()
    await until(engine, b"\r\n\r\n")
    await engine.send(b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
    await client.head()
    await client.send(b"last words")
    client.close()
    assert await engine.rest() == b"last words"


async def test_an_answer_that_breaks_off_breaks_off_for_the_client(both: Both) -> None:
    fake, site = both
    client = await site.connect()
    await client.send(b"GET /x HTTP/1.1\r\nHost: d\r\n\r\n")
    engine = await fake.accept()
    await engine.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
    engine.close()
    status, _ = await client.head()
    assert (status, await client.rest()) == (200, b"half")


async def test_an_early_answer_arrives_though_the_upload_is_refused(both: Both) -> None:
    fake, site = both
    client = await site.connect()
    await client.send(b"PUT /containers/a/archive HTTP/1.1\r\nHost: d\r\nContent-Length: 8388608\r\n\r\n")
    engine = await fake.accept()
    await until(engine, b"\r\n\r\n")
    await client.send(b"x" * 100_000)
    refusal = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 3\r\n\r\nno\n"
    await engine.send(refusal)
    engine.close()
    assert await client.exactly(len(refusal)) == refusal


async def test_back_pressure_reaches_the_client(both: Both) -> None:
    fake, site = both
    client = await site.connect()
    await client.send(b"POST /images/load HTTP/1.1\r\nHost: d\r\nContent-Length: 1073741824\r\n\r\n")
    engine = await fake.accept()
    sent, piece = 0, b"x" * 65536
    with pytest.raises(TimeoutError):
        while True:
            await asyncio.wait_for(asyncio.get_running_loop().sock_sendall(client.socket, piece), 0.5)
            sent += len(piece)
    assert 65536 < sent < 32 << 20
    assert (await engine.receive()).startswith(b"POST /images/load")


async def test_an_engine_that_is_away_is_named(tmp_path: Path) -> None:
    async with passed_on(tmp_path) as (fake, site):
        fake.close()
        answer = await site.call("GET", "/info")
        message = f"cannot connect to the Docker engine at unix://{fake.path}: Connection refused"
        assert (answer.status, answer.message) == (503, message)


async def test_an_engine_that_says_nothing_is_named(both: Both) -> None:
    fake, site = both
    client = await site.connect()
    await client.send(b"GET /x HTTP/1.1\r\nHost: d\r\n\r\n")
    (await fake.accept()).close()
    answer = await client.answer()
    assert answer.status == 503
    assert answer.message.startswith("the docker backend is not available: ")
