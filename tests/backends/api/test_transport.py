"""The engine API over its socket, against a real engine on the other side."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from backends.api import client as client_module
from backends.api import types as t
from backends.api.bytestream import LIMIT
from backends.api.client import EngineClient, connect
from backends.api.errors import (
    Conflict,
    EngineError,
    InvalidArgument,
    NotFound,
    NotModified,
    Unavailable,
)
from backends.api.framing import Deframer, frame
from tests.backends.api.peer import BLOCK, Peer, served, worker

OUTPUT = t.AttachOptions(stdout=True, stderr=True, stream=True, stdin=True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "memory.sock"


@pytest.fixture
async def peer(path: Path) -> AsyncIterator[Peer]:
    engine = Peer()
    async with worker(engine, path):
        yield engine


@pytest.fixture
async def remote(peer: Peer, path: Path) -> AsyncIterator[EngineClient]:
    found = connect(path)
    yield found
    found.close()


async def container(remote: EngineClient, image: str, **config: object) -> str:
    created = await remote.create_container(t.CreateContainer(name=f"c-{image}", config={"Image": image, **config}))
    return created.id


async def all_of(stream: object) -> bytes:
    data = b""
    while part := await stream.read():  # type: ignore[attr-defined]
        data += part
    return data


# -- values


async def test_typed_values_come_back_as_they_are(remote: EngineClient, peer: Peer) -> None:
    identity = await container(remote, "cat", Labels={"a": "ü"})
    assert await remote.inspect_container(identity) == await peer.inspect_container(identity)
    assert (await remote.inspect_container(identity, size=True)).size_rw == 5
    assert await remote.list_containers(True, 3, False, {"label": ["a=b"]}) == await peer.list_containers(
        True, 3, False, {"label": ["a=b"]}
    )
    assert await remote.prune_images({}) == ([t.RemovedImage(deleted="sha256:1")], 9)


async def test_parameters_by_position_name_and_default(remote: EngineClient, peer: Peer) -> None:
    identity = await container(remote, "cat")
    await remote.start_container(identity)
    await remote.stop_container(identity, signal="INT")
    assert peer.seen["stop"] == (None, "INT")
    with pytest.raises(TypeError):
        await remote.stop_container(identity, wrong=1)  # type: ignore[call-arg]


async def test_errors_keep_class_and_message(remote: EngineClient) -> None:
    with pytest.raises(NotFound) as missing:
        await remote.inspect_container("nosuch")
    assert missing.value.message == "No such container: nosuch"
    identity = await container(remote, "cat")
    with pytest.raises(Conflict):
        await remote.kill_container(identity)
    await remote.start_container(identity)
    with pytest.raises(NotModified):
        await remote.start_container(identity)


async def test_a_defect_is_an_error_with_its_reason_and_is_logged_once(
    remote: EngineClient, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(EngineError) as defect:
        await remote.rename_container("a", "b")
    assert defect.value.message == "internal error in rename_container: RuntimeError: a defect of the engine"
    assert [(r.message, r.__dict__["operation"]) for r in caplog.records if r.name == "backends.api.server"] == [
        ("operation failed", "rename_container")
    ]
    assert (await remote.info()).name == "here"


async def test_calls_share_connections_and_run_beside_each_other(remote: EngineClient) -> None:
    answers = await asyncio.gather(*(remote.info() for _ in range(50)))
    assert {answer.name for answer in answers} == {"here"}
    assert len(remote._idle) == 50
    await remote.info()
    assert len(remote._idle) == 50


# -- items


async def test_the_head_of_items_comes_before_the_first(remote: EngineClient, peer: Peer) -> None:
    identity = await container(remote, "cat")
    results = await asyncio.wait_for(remote.wait_container(identity, "next-exit"), 5)
    peer.exits.put_nowait(t.ExitResult(status_code=137))
    assert [result async for result in results] == [t.ExitResult(status_code=137)]
    assert len(remote._idle) == 1


async def test_a_late_failure_ends_the_items(remote: EngineClient) -> None:
    progress = await remote.pull_image("broken", "", "", {})
    assert await anext(progress) == t.Progress(status="Pulling", id="1")
    with pytest.raises(EngineError, match="the registry went away"):
        await anext(progress)
    with pytest.raises(NotFound, match="pull access denied"):
        await remote.pull_image("nosuch", "", "", {})


async def test_closing_items_cancels_the_operation(remote: EngineClient, peer: Peer) -> None:
    events = await remote.events(0, 0, {})
    waiting = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await events.aclose()  # type: ignore[attr-defined]
    await asyncio.wait_for(peer.cancelled.wait(), 5)


# -- downloads and uploads


async def test_a_download_has_its_meta_first(remote: EngineClient) -> None:
    download = await remote.get_archive("c", "/etc/passwd")
    assert download.meta == {
        "name": "passwd",
        "size": 3,
        "mode": 420,
        "mtime": "2026-01-01T00:00:00Z",
        "linkTarget": "",
    }
    assert b"".join([part async for part in download.body]) == b"tar:/etc/passwd"


async def test_a_download_that_breaks_is_not_taken_for_complete(remote: EngineClient) -> None:
    download = await remote.export_container("c")
    with pytest.raises(Unavailable, match="the memory backend is not available"):
        async for part in download.body:
            assert part == b"first"


async def blocks(count: int) -> AsyncIterator[bytes]:
    for number in range(count):
        yield bytes([number % 256]) * 70000


async def test_an_upload_arrives_whole(remote: EngineClient, peer: Peer) -> None:
    await remote.put_archive("c", "/x", blocks(40), copy_uid_gid=True)
    assert peer.seen["put"] == ("c", "/x", False, True)
    assert peer.uploaded == b"".join([block async for block in blocks(40)])
    await remote.info()
    assert len(remote._idle) == 1


async def test_an_answer_ends_an_upload_early(remote: EngineClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield BLOCK

    with pytest.raises(InvalidArgument, match="extraction point is not a directory"):
        await asyncio.wait_for(remote.put_archive("c", "/file", endless()), 5)


async def test_a_worker_that_does_not_read_holds_the_upload_back(remote: EngineClient, peer: Peer) -> None:
    sent = 0

    async def counted() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += len(BLOCK)
            yield BLOCK

    upload = asyncio.create_task(remote.put_archive("c", "/slow", counted()))
    await peer.entered.wait()
    before = -1
    while before != sent:
        before = sent
        await asyncio.sleep(0.05)
    assert sent < 5 * LIMIT
    upload.cancel()
    await asyncio.wait_for(peer.cancelled.wait(), 5)


async def test_a_broken_source_breaks_the_upload(remote: EngineClient, peer: Peer) -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield b"half"
        await peer.entered.wait()
        raise ValueError("the source is gone")

    with pytest.raises(ValueError, match="the source is gone"):
        await remote.put_archive("c", "/slow", failing())
    await asyncio.wait_for(peer.cancelled.wait(), 5)


# -- streams


async def test_bytes_both_ways_and_the_end_of_input(remote: EngineClient, peer: Peer) -> None:
    stream = await remote.attach_container(await container(remote, "cat"), OUTPUT)
    assert not stream.tty
    await stream.write(b"one")
    assert await stream.read() == frame(1, b"one")
    await stream.write_eof()
    assert await all_of(stream) == b""
    await stream.close()
    await asyncio.wait_for(peer.streams[0].finished.wait(), 5)


async def test_output_goes_on_after_the_end_of_input(remote: EngineClient) -> None:
    stream = await remote.attach_container(await container(remote, "late", Tty=True), OUTPUT)
    assert stream.tty
    await stream.write_eof()
    assert await all_of(stream) == b"late\n"


async def test_a_stream_whose_client_sent_nothing_is_over_when_it_closes(remote: EngineClient, peer: Peer) -> None:
    stream = await remote.attach_container(await container(remote, "told"), OUTPUT)
    reading = asyncio.create_task(all_of(stream))
    await remote.list_containers(True, 0, False, {})  # the worker waits for input by now
    peer.streams[0].told.set()
    assert await reading == frame(1, b"told\n")
    await stream.close()
    await asyncio.wait_for(peer.streams[0].finished.wait(), 5)


async def test_a_stream_that_fails_says_why(remote: EngineClient) -> None:
    stream = await remote.attach_container(await container(remote, "break"), OUTPUT)
    await stream.write_eof()
    assert await stream.read() == frame(1, b"half")
    with pytest.raises(EngineError, match="the disk is full"):
        await stream.read()


async def test_input_that_is_refused_does_not_end_the_output(remote: EngineClient) -> None:
    stream = await remote.attach_container(await container(remote, "deaf"), OUTPUT)
    for _ in range(64):
        await stream.write(BLOCK)
    assert await stream.read() == frame(1, b"deaf\n")
    await stream.close()


async def test_an_unread_stream_is_bounded(remote: EngineClient, peer: Peer) -> None:
    stream = await remote.attach_container(await container(remote, "flood"), OUTPUT)
    before = -1
    while before != peer.streams[0].written:
        before = peer.streams[0].written
        await asyncio.sleep(0.05)
    assert before < 5 * LIMIT
    deframer, total = Deframer(), 0
    while total < 20 * LIMIT:
        for number, data in deframer.feed(await stream.read()):
            assert (number, data) == (1, BLOCK)
            total += len(data)
    await stream.close()
    await asyncio.wait_for(peer.streams[0].finished.wait(), 5)


@pytest.mark.parametrize("ended", [False, True])
async def test_a_client_that_closes_ends_the_stream(remote: EngineClient, peer: Peer, ended: bool) -> None:
    """Also after it had ended its input, when there is nothing left to read."""
    stream = await remote.attach_container(await container(remote, "hang"), OUTPUT)
    if ended:
        await stream.write_eof()
        await asyncio.wait_for(peer.streams[0].input_ended.wait(), 5)
    await stream.close()
    await asyncio.wait_for(peer.streams[0].finished.wait(), 5)


async def test_input_that_is_still_on_its_way_when_the_client_closes(remote: EngineClient, peer: Peer) -> None:
    stream = await remote.attach_container(await container(remote, "slow"), OUTPUT)
    await stream.write(b"last words")
    await stream.close()
    await asyncio.wait_for(peer.streams[0].finished.wait(), 5)
    assert peer.streams[0].received == b"last words"


@pytest.mark.parametrize("ended", [False, True])
async def test_a_worker_that_goes_away_is_not_the_end_of_output(path: Path, ended: bool) -> None:
    peer = Peer()
    server = await served(peer, path)
    remote = connect(path)
    stream = await remote.attach_container(await container(remote, "hang"), OUTPUT)
    if ended:
        await stream.write_eof()
        await asyncio.wait_for(peer.streams[0].input_ended.wait(), 5)
    await server.close()
    with pytest.raises(Unavailable, match="the memory backend is not available"):
        await stream.read()
    await stream.close()


async def test_a_restarted_worker_is_not_the_end_of_output(path: Path) -> None:
    server = await served(Peer(), path)
    remote = connect(path)
    stream = await remote.attach_container(await container(remote, "hang"), OUTPUT)
    await stream.write_eof()
    await server.close()
    async with worker(Peer(), path):
        with pytest.raises(Unavailable):
            await stream.read()


# -- what goes wrong


async def test_a_cancelled_call_cancels_the_operation(remote: EngineClient, peer: Peer) -> None:
    call = asyncio.create_task(remote.put_archive("c", "/slow", blocks(1)))
    await peer.entered.wait()
    call.cancel()
    await asyncio.wait_for(peer.cancelled.wait(), 5)


async def test_no_worker(path: Path) -> None:
    remote = connect(path, "ecs")
    with pytest.raises(Unavailable, match=r"^the ecs backend is not available: "):
        await remote.info()
    async with worker(Peer(), path):
        assert (await remote.info()).name == "here"
    with pytest.raises(Unavailable):
        await remote.info()


async def test_a_worker_that_does_not_answer(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "ANSWER_SECONDS", 0.05)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(os.fspath(path))
        silent.listen()
        with pytest.raises(Unavailable, match="no answer in time"):
            await connect(path).info()


REQUEST = b"POST /engine/info HTTP/1.1\r\nHost: worker\r\nContent-Length: 2\r\n\r\n{}"


async def ask(path: Path, data: bytes) -> bytes:
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(data)
    writer.write_eof()
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    return answer


@pytest.mark.parametrize(
    ("request_", "status", "message"),
    [
        (REQUEST.replace(b"info", b"nothing"), b"404", b"no such operation: /engine/nothing"),
        (REQUEST.replace(b"info", b"start_container"), b"400", b"missing required field"),
        (REQUEST.replace(b"{}", b"{x"), b"400", b"info: JSON is malformed"),
        (REQUEST.replace(b"info", b"put_archive"), b"400", b"put_archive: Input data was truncated"),
    ],
)
async def test_malformed_calls(peer: Peer, path: Path, request_: bytes, status: bytes, message: bytes) -> None:
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(request_)
    assert (await reader.readline()).split()[1] == status
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    assert message in await reader.readexactly(length)
    writer.close()


@pytest.mark.parametrize("data", [b"\x00\xff nonsense\r\n\r\n", REQUEST + REQUEST])
async def test_what_is_no_request_closes_the_connection_only(peer: Peer, path: Path, data: bytes) -> None:
    assert await ask(path, data) == b""
    assert (await connect(path).info()).name == "here"
