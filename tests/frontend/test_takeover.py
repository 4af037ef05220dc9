"""Connections that become streams: what clients do to them, byte for byte."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import uvloop

from backends.api import types as t
from backends.api.bytestream import LIMIT
from backends.api.framing import Deframer, frame
from frontend import relay
from tests.backends.api.peer import BLOCK, Peer
from tests.frontend.site import Site, Wire, frontend, request

pytestmark = pytest.mark.filterwarnings("ignore:Overriding the .event_loop_policy. fixture")
UPGRADE = {"Connection": "Upgrade", "Upgrade": "tcp"}
RAW = "application/vnd.docker.raw-stream"
MULTIPLEXED = "application/vnd.docker.multiplexed-stream"
ATTACH = "/v1.51/containers/{}/attach?stdin=1&stdout=1&stderr=1&stream=1"


@pytest.fixture(params=["asyncio", "uvloop"])
def event_loop_policy(request: pytest.FixtureRequest) -> Any:
    return uvloop.EventLoopPolicy() if request.param == "uvloop" else asyncio.DefaultEventLoopPolicy()


async def container(peer: Peer, image: str, **config: Any) -> str:
    return (await peer.create_container(t.CreateContainer(name="c", config={"Image": image, **config}))).id


async def execution(peer: Peer, program: str, **config: Any) -> str:
    identity = await container(peer, "hang")
    return await peer.create_exec(identity, t.CreateExec(cmd=[program], attach_stdin=True, **config))


async def attached(site: Site, identity: str, headers: dict[str, str] | None = None) -> Wire:
    """An attached client, its answer's head read."""
    wire = await site.connect()
    await wire.send(request("POST", ATTACH.format(identity), headers=UPGRADE if headers is None else headers))
    await wire.head()
    return wire


async def finished(peer: Peer) -> None:
    program = await asyncio.wait_for(peer.attached.get(), 5)
    await asyncio.wait_for(program.finished.wait(), 5)


# -- heads


@pytest.mark.parametrize(
    ("version", "tty", "upgrade", "status", "kind"),
    [
        ("/v1.51", False, True, 101, MULTIPLEXED),
        ("", False, True, 101, MULTIPLEXED),
        ("/v1.41", False, True, 101, RAW),
        ("/v1.51", True, True, 101, RAW),
        ("/v1.51", False, False, 200, RAW),
    ],
)
async def test_the_head(site: Site, peer: Peer, version: str, tty: bool, upgrade: bool, status: int, kind: str) -> None:
    identity = await container(peer, "hello", Tty=tty)
    wire = await site.connect()
    target = f"{version}/containers/{identity}/attach?stdout=1&stderr=1&stream=1"
    await wire.send(request("POST", target, headers=UPGRADE if upgrade else {}))
    got, headers = await wire.head()
    assert (got, headers["content-type"]) == (status, kind)
    assert ("upgrade" in headers, "connection" in headers) == (upgrade, upgrade)
    assert not headers.keys() & {"content-length", "transfer-encoding"}
    assert await wire.rest() == (b"out\nerr\n" if tty else frame(1, b"out\n") + frame(2, b"err\n"))


# -- requests in pieces


def variants() -> dict[str, bytes]:
    """Requests up to the end of their body, for an exec called EXEC."""
    body = b'{"Detach":false,"Tty":false}'
    target = "/v1.47/exec/EXEC/start"
    chunked = b"5\r\n" + body[:5] + b"\r\n17\r\n" + body[5:] + b"\r\n0\r\n\r\n"
    json_type = {"Content-Type": "application/json"}
    return {
        "upgrade": request("POST", target, body, {**json_type, **UPGRADE}),
        "upgrade, lower case": request("POST", target, body, {**json_type, "connection": "upgrade", "upgrade": "tcp"}),
        "plain": request("POST", target, body, json_type),
        "no body": request("POST", target, None, UPGRADE),
        "chunked": request("POST", target, headers={**json_type, "Transfer-Encoding": "chunked"}) + chunked,
        "chunked upgrade": request("POST", target, headers={**json_type, **UPGRADE, "Transfer-Encoding": "chunked"})
        + chunked,
    }


@pytest.mark.parametrize("variant", variants())
async def test_input_right_behind_the_request_split_anywhere(site: Site, peer: Peer, variant: str) -> None:
    """Requests and input in two packets, cut at every byte: the process reads its input and nothing else."""
    identity = await execution(peer, "cat")
    sent = variants()[variant].replace(b"EXEC", identity.encode()) + b"GET input"
    for cut in range(1, len(sent)):
        wire = await site.connect()
        await wire.send(sent[:cut])
        await wire.flushed()
        await wire.send(sent[cut:])
        wire.end()
        status, _ = await wire.head()
        assert status == (101 if "upgrade" in variant or variant == "no body" else 200)
        deframer = Deframer()
        assert b"".join(data for _, data in deframer.feed(await wire.rest())) == b"GET input"
        assert peer.streams[-1].received == b"GET input"
        wire.close()


async def test_a_request_byte_by_byte(site: Site, peer: Peer) -> None:
    identity = await execution(peer, "cat")
    wire = await site.connect()
    for byte in variants()["upgrade"].replace(b"EXEC", identity.encode()) + b"input":
        await wire.send(bytes([byte]))
        await wire.flushed()
    wire.end()
    assert (await wire.head())[0] == 101
    assert b"".join(data for _, data in Deframer().feed(await wire.rest())) == b"input"
    assert peer.streams[0].received == b"input"


async def test_other_requests_split_anywhere(site: Site, peer: Peer) -> None:
    sent = request("POST", "/containers/create?name=x", {"Image": "cat"}) + request("GET", "/_ping")
    for cut in range(1, len(sent)):
        wire = await site.connect()
        await wire.send(sent[:cut])
        await wire.flushed()
        await wire.send(sent[cut:])
        assert (await wire.answer()).status == 201
        assert (await wire.answer()).body == b"OK"
        wire.close()


async def test_a_query_as_long_as_a_head_may_be(site: Site, peer: Peer) -> None:
    """dockerode repeats the body in the query."""
    target = f"/containers/create?name=c&Env={'x' * 900_000}"
    answer = await site.call("POST", target, {"Image": "cat"})
    assert (answer.status, peer.containers[answer.json["Id"]].name) == (201, "c")
    wire = await site.connect()
    await wire.send(request("POST", ATTACH.format(answer.json["Id"]) + "&x=" + "x" * 70_000, headers=UPGRADE) + b"in")
    assert (await wire.head())[0] == 101
    assert await wire.exactly(10) == frame(1, b"in")


# -- both directions and their ends


async def test_both_ways_and_half_close(site: Site, peer: Peer, caplog: pytest.LogCaptureFixture) -> None:
    wire = await attached(site, await container(peer, "cat"))
    for word in (b"one", b"two"):
        await wire.send(word)
        assert await wire.exactly(11) == frame(1, word)
    wire.end()
    assert await wire.rest() == b""
    wire.close()
    await site.calm()
    assert [record for record in caplog.records if record.name != "asyncio"] == []


async def test_output_after_an_immediate_half_close(site: Site, peer: Peer) -> None:
    wire = await site.connect()
    await wire.send(request("POST", ATTACH.format(await container(peer, "late")), headers=UPGRADE))
    wire.end()
    assert (await wire.head())[0] == 101
    assert await wire.rest() == frame(1, b"late\n")


async def test_output_of_a_client_that_never_sends(site: Site, peer: Peer) -> None:
    wire = await attached(site, await container(peer, "hello"))
    assert await wire.rest() == frame(1, b"out\n") + frame(2, b"err\n")
    wire.close()
    await finished(peer)


async def test_input_is_dropped_unless_asked_for(site: Site, peer: Peer) -> None:
    identity = await container(peer, "hang")
    wire = await site.connect()
    await wire.send(request("POST", f"/containers/{identity}/attach?stdout=1&stream=1", headers=UPGRADE) + b"input")
    assert (await wire.head())[0] == 101
    wire.end()
    await wire.flushed()
    wire.close()
    await finished(peer)
    assert (peer.streams[0].received, peer.streams[0].input_ended.is_set()) == (b"", False)


@pytest.mark.parametrize("ended", [False, True])
async def test_a_client_that_goes_away(site: Site, peer: Peer, ended: bool) -> None:
    """Also after it had closed its sending side: the process's input is at its end, its stream is closed."""
    wire = await attached(site, await container(peer, "hang"))
    await wire.send(b"last words")
    if ended:
        wire.end()
        await asyncio.wait_for(peer.streams[0].input_ended.wait(), 5)
    wire.close()
    await finished(peer)
    assert (peer.streams[0].received, peer.streams[0].input_ended.is_set()) == (b"last words", True)


async def test_input_that_is_still_on_its_way_when_the_client_goes_away(site: Site, peer: Peer) -> None:
    wire = await attached(site, await container(peer, "slow"))
    await wire.send(b"last words")
    wire.close()
    await finished(peer)
    assert (peer.streams[0].received, peer.streams[0].input_ended.is_set()) == (b"last words", True)


async def test_unread_input_does_not_destroy_output(site: Site, peer: Peer) -> None:
    """The process ends without having read its input; the client still gets every byte, and no reset."""
    wire = await attached(site, await container(peer, "hello"), headers={})
    for _ in range(2):
        await wire.send(BLOCK)
    assert await wire.rest() == frame(1, b"out\n") + frame(2, b"err\n")
    wire.close()
    await finished(peer)


async def test_input_that_nobody_takes(site: Site, peer: Peer) -> None:
    wire = await attached(site, await container(peer, "deaf"))
    for _ in range(64):
        await wire.send(BLOCK)
    assert await wire.exactly(13) == frame(1, b"deaf\n")
    wire.close()
    await finished(peer)


async def test_a_slow_client_holds_the_output_back(site: Site, peer: Peer) -> None:
    wire = await attached(site, await container(peer, "flood"))
    before = -1
    while before != peer.streams[0].written:
        before = peer.streams[0].written
        await asyncio.sleep(0.05)
    assert before < 3 * LIMIT
    await wire.exactly(4 * LIMIT)
    wire.close()
    await finished(peer)


async def test_a_failing_stream_says_why_on_stderr(site: Site, peer: Peer) -> None:
    wire = await attached(site, await container(peer, "break"))
    assert await wire.rest() == frame(1, b"half") + frame(2, b"the disk is full\r\n")


async def test_a_failing_terminal_says_why(site: Site, peer: Peer) -> None:
    wire = await attached(site, await container(peer, "break", Tty=True))
    assert await wire.rest() == b"halfthe disk is full\r\n"


# -- terminals


async def test_detach_keys_are_the_engines_business(site: Site, peer: Peer) -> None:
    identity = await container(peer, "cat", Tty=True)
    wire = await site.connect()
    await wire.send(request("POST", ATTACH.format(identity) + "&detachKeys=ctrl-x", headers=UPGRADE) + b"a\x10\x11")
    assert (await wire.head())[0] == 101
    assert await wire.exactly(3) == b"a\x10\x11"
    assert peer.seen["attach"].detach_keys == "ctrl-x"


async def test_the_end_of_a_terminals_connection_is_no_end_of_input(site: Site, peer: Peer) -> None:
    wire = await attached(site, await container(peer, "cat", Tty=True))
    wire.close()
    await finished(peer)
    assert not peer.streams[0].input_ended.is_set()


# -- refusals


@pytest.mark.parametrize(
    ("target", "status", "text"),
    [
        ("/containers/nosuch/attach?stdout=1", 404, b"No such container: nosuch\r\n"),
        ("/containers/nosuch/attach?detachKeys=ctrl-%3F%3F", 400, b"Invalid detach keys (ctrl-??) provided\r\n"),
    ],
)
async def test_attach_errors_are_plain_text(site: Site, target: str, status: int, text: bytes) -> None:
    wire = await site.connect()
    await wire.send(request("POST", target, headers=UPGRADE) + b"input that came early")
    got, headers = await wire.head()
    assert (got, headers["content-type"], headers["connection"]) == (status, RAW, "close")
    assert await wire.rest() == text


async def test_the_connection_serves_on_when_it_is_not_taken(site: Site, peer: Peer) -> None:
    identity = await execution(peer, "cat")
    wire = await site.connect()
    await wire.send(request("POST", "/exec/nosuch/start", {}, UPGRADE))
    assert (await wire.answer()).message == "No such exec instance: nosuch"
    await wire.send(request("POST", f"/exec/{identity}/start", {"Detach": True}))
    answer = await wire.answer()
    assert (answer.status, answer.body, peer.seen["detached"]) == (200, b"", identity)
    await wire.send(request("POST", f"/exec/{identity}/start", {"Detach": True}) + request("GET", "/_ping"))
    assert (await wire.answer()).status == 200
    assert (await wire.answer()).body == b"OK"
    await wire.send(request("POST", f"/exec/{identity}/start", {}, UPGRADE) + b"input")
    assert (await wire.head())[0] == 101
    assert await wire.exactly(13) == frame(1, b"input")


async def test_an_upgrade_that_nobody_offers(site: Site) -> None:
    wire = await site.connect()
    await wire.send(request("POST", "/grpc", headers={"Connection": "Upgrade", "Upgrade": "h2c"}) + b"PRI * HTTP/2.0")
    answer = await wire.answer()
    assert (answer.status, answer.message[:25]) == (501, "BuildKit is not supported")
    assert await wire.rest() == b""


@pytest.mark.parametrize("upgrade", ["tcp", "h2c", "websocket"])
@pytest.mark.parametrize("chunked", [False, True])
async def test_an_upgrade_of_any_other_request_means_nothing(
    site: Site, peer: Peer, upgrade: str, chunked: bool
) -> None:
    """Its body is read, and the connection serves on, however it comes in."""
    asking = {"Connection": "Upgrade", "Upgrade": upgrade}
    put = "/containers/c/archive?path=/x"
    framed = request("PUT", put, headers=asking | {"Transfer-Encoding": "chunked"}) + b"3\r\nabc\r\n0\r\n\r\n"
    first = framed if chunked else request("PUT", put, b"abc", asking)
    sent = first + request("GET", "/_ping", headers=asking) + request("GET", "/_ping")
    for cut in (1, 40, len(first) - 7, len(first) - 2, len(first), len(first) + 30):
        peer.uploaded = b""
        wire = await site.connect()
        await wire.send(sent[:cut])
        await wire.flushed()
        await wire.send(sent[cut:])
        assert ((await wire.answer()).status, peer.uploaded) == (200, b"abc")
        assert [(await wire.answer()).body for _ in range(2)] == [b"OK", b"OK"]
        wire.close()


async def test_upgrades_without_end(site: Site) -> None:
    wire = await site.connect()
    await wire.send(request("GET", "/_ping", headers=UPGRADE) * 600)
    assert {(await wire.answer()).body for _ in range(600)} == {b"OK"}


async def test_a_connection_that_is_taken_by_the_second_of_two_requests(site: Site, peer: Peer) -> None:
    identity = await execution(peer, "cat")
    wire = await site.connect()
    await wire.send(request("GET", "/_ping") + request("POST", f"/exec/{identity}/start", {}, UPGRADE) + b"input")
    assert (await wire.answer()).body == b"OK"
    assert (await wire.head())[0] == 101
    assert await wire.exactly(13) == frame(1, b"input")


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01 TLS hello\r\n\r\n",
        b"POST " + b"x" * (70 << 10),
        b"GET /info HTTP/1.1\r\nHost\r\n\r\n",
        b"POST /containers/x/attach HTTP/1.1\r\nContent-Length: nine\r\n\r\n",
    ],
)
async def test_what_is_no_request(site: Site, data: bytes) -> None:
    wire = await site.connect()
    await wire.send(data)
    if data.startswith(b"POST xxx"):
        wire.end()
    assert (await wire.rest())[:12] in (b"HTTP/1.1 400", b"")
    assert (await site.call("GET", "/_ping")).body == b"OK"


async def test_half_a_request(site: Site, peer: Peer) -> None:
    identity = await execution(peer, "cat")
    whole = variants()["upgrade"].replace(b"EXEC", identity.encode())
    for cut in (1, 30, len(whole) - 1):
        wire = await site.connect()
        await wire.send(whole[:cut])
        wire.end()
        assert await wire.rest() == b""
    assert peer.streams == []


# -- clients that wait to be asked for their body

EXPECT = {"Expect": "100-continue", "Content-Length": "3", "Content-Type": "application/json"}


async def test_a_body_is_asked_for_when_it_is_read(site: Site, peer: Peer) -> None:
    wire = await site.connect()
    await wire.send(request("PUT", "/containers/c/archive?path=/x", headers=EXPECT))
    assert await wire.exactly(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
    await wire.send(b"abc" + request("GET", "/_ping"))
    assert ((await wire.answer()).status, peer.uploaded) == (200, b"abc")
    assert (await wire.answer()).body == b"OK"


@pytest.mark.parametrize(("target", "status"), [("/nothing", 404), ("/v9.9/info", 400), ("/containers/c/archive", 400)])
async def test_a_body_is_not_asked_for_when_the_request_is_refused(site: Site, target: str, status: int) -> None:
    wire = await site.connect()
    await wire.send(request("PUT", target, headers=EXPECT))
    answer = await wire.answer()
    assert (answer.status, answer.headers["connection"]) == (status, "close")
    assert await wire.rest() == b""


async def test_a_body_that_is_there_is_not_waited_for(site: Site) -> None:
    wire = await site.connect()
    for body in (b"abc", b""):
        await wire.send(request("PUT", "/nothing", headers={**EXPECT, "Content-Length": str(len(body))}) + body)
        assert (await wire.answer()).status == 404
    await wire.send(request("GET", "/_ping"))
    assert (await wire.answer()).body == b"OK"


# -- clients of requests that are not taken over


async def test_who_waits_and_goes_away_cancels(site: Site, peer: Peer) -> None:
    wire = await site.connect()
    await wire.send(request("POST", f"/containers/{await container(peer, 'hang')}/wait"))
    assert (await wire.head())[0] == 200
    wire.close()
    await asyncio.wait_for(peer.cancelled.wait(), 5)


async def test_who_goes_away_with_another_request_waiting_cancels(site: Site, peer: Peer) -> None:
    wire = await site.connect()
    waiting = request("POST", f"/containers/{await container(peer, 'hang')}/wait")
    await wire.send(waiting + request("GET", "/_ping"))
    assert (await wire.head())[0] == 200
    wire.close()
    await asyncio.wait_for(peer.cancelled.wait(), 5)
    await site.calm()


async def test_who_half_closes_still_gets_the_answer(site: Site, peer: Peer) -> None:
    wire = await site.connect()
    await wire.send(request("POST", f"/containers/{await container(peer, 'hang')}/wait"))
    wire.end()
    assert (await wire.head())[0] == 200
    peer.exits.put_nowait(t.ExitResult(status_code=3))
    assert await wire.chunk() == b'{"StatusCode":3}\n'
    assert await wire.rest() == b"0\r\n\r\n"


async def test_who_follows_logs_and_goes_away_cancels(site: Site, peer: Peer) -> None:
    wire = await site.connect()
    identity = await container(peer, "flood")
    await wire.send(request("GET", f"/containers/{identity}/logs?stdout=1&follow=1"))
    assert (await wire.head())[0] == 200
    wire.close()
    await asyncio.wait_for(peer.cancelled.wait(), 5)


async def test_who_uploads_and_goes_away_cancels(site: Site, peer: Peer) -> None:
    """The worker does not read, so neither does the frontend; the loss is seen all the same."""
    wire = await site.connect()
    await wire.send(request("PUT", "/containers/c/archive?path=/slow", headers={"Content-Length": "100000000"}))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            while True:
                await wire.send(BLOCK)
    await asyncio.wait_for(peer.entered.wait(), 5)
    wire.close()
    await asyncio.wait_for(peer.cancelled.wait(), 5)


async def test_a_change_goes_on_without_its_client(site: Site, peer: Peer) -> None:
    identity = await container(peer, "hang")
    await peer.start_container(identity)
    peer.stoppable.clear()
    wire = await site.connect()
    await wire.send(request("POST", f"/containers/{identity}/stop"))
    await asyncio.wait_for(peer.entered.wait(), 5)
    wire.close()
    await site.calm()
    peer.stoppable.set()
    await asyncio.wait_for(peer.stopped.wait(), 5)
    assert not peer.running


# -- docker-py


@pytest.mark.parametrize(
    "headers",
    [
        {"User-Agent": "docker-sdk-python/7.2.0"},
        {"User-Agent": "tc-python/4.15.0", "Accept-Encoding": "gzip, deflate", "Accept": "*/*"},
    ],
    ids=["by name", "under another name"],
)
async def test_docker_py_gets_its_first_bytes_apart_from_the_head(
    site: Site, peer: Peer, headers: dict[str, str]
) -> None:
    identity = await container(peer, "hello")
    wire = await site.connect()
    await wire.send(request("POST", ATTACH.format(identity), headers={**UPGRADE, **headers}))
    first = await wire.receive()
    assert first.startswith(b"HTTP/1.1 101") and first.endswith(b"\r\n\r\n")
    assert await wire.rest() == frame(1, b"out\n") + frame(2, b"err\n")


async def test_docker_py_that_never_reads_the_head_is_not_waited_for(
    site: Site, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "_HEAD_SECONDS", 0.01)
    identity = await container(peer, "hello")
    wire = await site.connect()
    agent = {**UPGRADE, "User-Agent": "docker-sdk-python/7.2.0"}
    await wire.send(request("POST", ATTACH.format(identity), headers=agent))
    await finished(peer)
    assert (await wire.head())[0] == 101
    assert await wire.rest() == frame(1, b"out\n") + frame(2, b"err\n")


# -- TCP


@pytest.fixture
async def tcp(peer: Peer, tmp_path: Path) -> AsyncIterator[Wire]:
    """A client over TCP."""
    async with frontend(peer, tmp_path / "tcp.sock", socket.create_server(("127.0.0.1", 0))) as site:
        connection = socket.create_connection(site.address)
        connection.setblocking(False)
        yield Wire(connection)
        connection.close()


def reset(wire: Wire) -> None:
    wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    wire.close()


async def test_half_close_over_tcp(tcp: Wire, peer: Peer) -> None:
    await tcp.send(request("POST", ATTACH.format(await container(peer, "late")), headers=UPGRADE))
    tcp.end()
    assert (await tcp.head())[0] == 101
    assert await tcp.rest() == frame(1, b"late\n")


async def test_an_answer_after_a_half_close_over_tcp(tcp: Wire, peer: Peer) -> None:
    await tcp.send(request("POST", f"/containers/{await container(peer, 'hang')}/wait"))
    tcp.end()
    assert (await tcp.head())[0] == 200
    peer.exits.put_nowait(t.ExitResult(status_code=3))
    assert await tcp.chunk() == b'{"StatusCode":3}\n'
    assert await tcp.rest() == b"0\r\n\r\n"


async def test_a_reset_after_a_half_close_over_tcp(tcp: Wire, peer: Peer) -> None:
    await tcp.send(request("POST", f"/containers/{await container(peer, 'hang')}/wait"))
    tcp.end()
    assert (await tcp.head())[0] == 200
    reset(tcp)
    await asyncio.wait_for(peer.cancelled.wait(), 5)


async def test_a_reset_over_tcp(tcp: Wire, peer: Peer) -> None:
    await tcp.send(request("POST", ATTACH.format(await container(peer, "hang")), headers=UPGRADE))
    assert (await tcp.head())[0] == 101
    reset(tcp)
    await finished(peer)
