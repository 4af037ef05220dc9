"""The stream hub: attach before, during and between runs; slow and dead clients; standard input."""

from __future__ import annotations

import asyncio
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.api.errors import InvalidArgument
from backends.api.framing import Deframer
from backends.core.attach import QUEUE_LIMIT, Attachment, DetachScanner, parse_detach_keys
from backends.core.hub import Hub
from backends.core.log import Log
from tests.backends.core.conftest import read_all, split


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    return Hub(Log(tmp_path / "log"), tty=False, stdin_once=True)


def listen(hub: Hub, *, stdin: bool = False, stderr: bool = True, logs: bool = False) -> Attachment:
    return hub.attach(stdin=stdin, stdout=True, stderr=stderr, logs=logs, stream=True)


async def test_all_clients_get_all_output_of_the_run_they_joined(hub: Hub) -> None:
    early, other = listen(hub), listen(hub, stderr=False)
    hub.begin_run()
    await hub.append(1, b"one\n")
    late = listen(hub)
    await hub.append(2, b"two\n")
    hub.end_run()
    assert split(await read_all(early)) == (b"one\n", b"two\n")
    assert split(await read_all(other)) == (b"one\n", b"")
    assert split(await read_all(late)) == (b"", b"two\n")


@pytest.mark.parametrize(("stdin", "stream"), [(False, True), (True, False)])
async def test_who_wants_no_stream_is_not_kept_waiting(hub: Hub, stdin: bool, stream: bool) -> None:
    client = hub.attach(stdin=stdin, stdout=False, stderr=False, logs=True, stream=stream)
    assert (await read_all(client), hub.attached) == (b"", 0)


@given(st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(min_size=1, max_size=30)), max_size=25), st.data())
def test_replay_and_stream_together_lose_and_repeat_nothing(
    tmp_path_factory: object, writes: list[tuple[int, bytes]], data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(writes)))

    async def run() -> bytes:
        hub = Hub(Log(tmp_path_factory.mktemp("hub") / "log"), tty=False, stdin_once=False)  # type: ignore[attr-defined]
        hub.begin_run()
        for stream, chunk in writes[:at]:
            await hub.append(stream, chunk)
        client = listen(hub, logs=True)
        for stream, chunk in writes[at:]:
            await hub.append(stream, chunk)
        hub.end_run()
        return await read_all(client)

    out, err = split(asyncio.run(run()))
    assert out == b"".join(chunk for stream, chunk in writes if stream == 1)
    assert err == b"".join(chunk for stream, chunk in writes if stream == 2)


async def test_a_long_past_is_read_as_it_is_taken(hub: Hub) -> None:
    lines = [b"%d" % number + b"x" * 1000 + b"\n" for number in range(10_000)]
    for line in lines:
        await hub.append(1, line)
    client = listen(hub, logs=True)
    tracemalloc.start()
    first = await client.read()
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert used < 1 << 20
    await hub.append(1, b"after\n")
    hub.end_run()
    assert split(first + await read_all(client))[0] == b"".join(lines) + b"after\n"


async def test_the_past_ends_with_its_file(hub: Hub) -> None:
    await hub.append(1, b"gone\n")
    client = listen(hub, logs=True)
    hub.close()
    assert hub.log is not None
    hub.log.path.unlink()
    assert await read_all(client) == b""


async def test_slow_client_holds_the_program_back_and_a_dead_one_does_not(hub: Hub) -> None:
    slow = listen(hub)
    hub.begin_run()
    block = b"x" * (QUEUE_LIMIT // 2)
    await hub.append(1, block)
    writing = asyncio.create_task(hub.append(1, block))
    await asyncio.sleep(0)
    assert not writing.done()
    taken = 0
    while taken < 2 * (len(block) + 8):
        taken += len(await slow.read())
    await asyncio.wait_for(writing, 1)
    await hub.append(1, block)
    writing = asyncio.create_task(hub.append(1, block))
    await asyncio.sleep(0)
    assert not writing.done()
    await slow.close()
    await asyncio.wait_for(writing, 1)
    assert hub.attached == 0


async def test_what_is_left_at_the_exit_does_not_wait_for_slow_clients(hub: Hub) -> None:
    slow = listen(hub)
    hub.begin_run()
    block = b"x" * QUEUE_LIMIT
    writing = asyncio.create_task(hub.append(1, block))
    await asyncio.sleep(0)
    hub.release_producer()
    await asyncio.wait_for(writing, 1)
    await asyncio.wait_for(hub.append(1, b"last\n"), 1)
    hub.end_run()
    assert split(await read_all(slow))[0] == block + b"last\n"


async def test_next_run_has_clients_input_and_history_of_its_own(hub: Hub) -> None:
    first = listen(hub, stdin=True)
    hub.begin_run()
    await first.write(b"for one")
    await hub.append(1, b"1\n")
    hub.end_run()
    second = listen(hub, stdin=True)
    await second.write(b"for two")
    await second.write_eof()
    hub.begin_run()
    assert await hub.stdin.get() == b"for two"
    assert await hub.stdin.get() is None
    await hub.append(1, b"2\n")
    hub.end_run()
    assert split(await read_all(first))[0] == b"1\n"
    assert split(await read_all(second))[0] == b"2\n"
    assert hub.log is not None
    assert [record.data for record in hub.log.read(0, hub.log.end)] == [b"1\n", b"2\n"]


async def test_client_of_the_last_run_does_not_touch_the_input_of_the_next(hub: Hub) -> None:
    old = listen(hub, stdin=True)
    hub.begin_run()
    await old.write(b"x" * (1 << 20))
    late = asyncio.create_task(old.write(b"too late"))
    await asyncio.sleep(0)
    hub.end_run()
    new = listen(hub, stdin=True)
    await asyncio.wait_for(late, 1)
    await old.write(b"later still")
    await old.write_eof()
    await old.close()
    await new.write(b"mine")
    assert await hub.stdin.get() == b"mine"
    await new.close()
    assert await hub.stdin.get() is None


async def test_without_stdin_once_eof_ends_only_this_client(tmp_path: Path) -> None:
    hub = Hub(Log(tmp_path / "log"), tty=False, stdin_once=False)
    one, two = listen(hub, stdin=True), listen(hub, stdin=True)
    hub.begin_run()
    await one.write_eof()
    assert await read_all(one) == b""
    await two.write(b"still open")
    assert await hub.stdin.get() == b"still open"


async def test_stdin_is_bounded(hub: Hub) -> None:
    client = listen(hub, stdin=True)
    await client.write(b"x" * (1 << 20))
    writing = asyncio.create_task(client.write(b"more"))
    await asyncio.sleep(0)
    assert not writing.done()
    assert await hub.stdin.get() == b"x" * (1 << 20)
    await asyncio.wait_for(writing, 1)
    assert await hub.stdin.get() == b"more"


async def test_on_a_full_disk_the_program_goes_on_and_what_is_missing_is_told(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.symlink_to("/dev/full")
    hub = Hub(Log(path), tty=False, stdin_once=False)
    client = listen(hub)
    hub.begin_run()
    assert hub.gap is None
    await hub.append(1, b"shown\n")
    await hub.append(2, b"too\n")
    gap = b"[sockerless: 10 bytes of output were not logged: No space left on device]\n"
    assert hub.gap == (2, gap)
    hub.end_run()
    assert split(await read_all(client)) == (b"shown\n", b"too\n")
    path.unlink()  # there is space again
    await hub.append(1, b"later\n")
    assert hub.gap is None
    assert hub.log is not None
    assert [(record.stream, record.data) for record in hub.log.read(0, hub.log.end)] == [(2, gap), (1, b"later\n")]
    hub.end_run()


def test_detach_keys() -> None:
    assert parse_detach_keys("") == b"\x10\x11"
    assert parse_detach_keys("ctrl-a,x,ctrl-[") == b"\x01x\x1b"
    with pytest.raises(InvalidArgument, match=r"^Invalid detach keys \(ctrl-\?\?\) provided$"):
        parse_detach_keys("ctrl-??")


def test_detach_scanner_holds_back_only_what_may_be_the_sequence() -> None:
    scanner = DetachScanner(b"\x10\x11")
    assert scanner.feed(b"ab\x10") == (b"ab", False)
    assert scanner.feed(b"c") == (b"\x10c", False)
    assert scanner.feed(b"\x10\x10\x11rest") == (b"\x10", True)


def test_frames_are_built_whole() -> None:
    deframer = Deframer()
    assert list(deframer.feed(b"\x01\0\0\0\0\0\0\x02hi")) == [(1, b"hi")]
