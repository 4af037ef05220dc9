"""The way of one container, end to end on real processes."""

from __future__ import annotations

import asyncio

import pytest

from backends.api import types as t
from backends.api.errors import Conflict, EngineError, InvalidArgument, NotFound, NotModified
from backends.core.engine import CoreEngine
from tests.backends.core.conftest import Shop, read_all, split


async def test_run_attach_wait_logs_remove(core: CoreEngine, shop: Shop) -> None:
    found = await shop.create("sh", "-c", "echo out; echo err >&2; exit 3", name="one")
    stream = await core.attach_container(found, t.AttachOptions(stdout=True, stderr=True, stream=True))
    waiting = await core.wait_container("one", "next-exit")
    await core.start_container("one")
    assert split(await read_all(stream)) == (b"out\n", b"err\n")
    assert (await anext(waiting)).status_code == 3
    state = (await core.inspect_container(found[:12])).state
    assert (state.status, state.exit_code, state.running) == ("exited", 3, False)
    assert split(await shop.logs("one")) == (b"out\n", b"err\n")
    await core.remove_container("one")
    with pytest.raises(NotFound, match=r"^No such container: one$"):
        await core.inspect_container("one")


async def test_start_twice_is_not_modified_and_kill_gives_137(core: CoreEngine, shop: Shop) -> None:
    found = await shop.create("sleep", "60")
    await core.start_container(found)
    with pytest.raises(NotModified):
        await core.start_container(found)
    await core.kill_container(found)
    assert (await core.inspect_container(found)).state.exit_code == 137


async def test_stdin_written_before_the_start_reaches_the_program(core: CoreEngine, shop: Shop) -> None:
    found = await shop.create("cat", OpenStdin=True, StdinOnce=True)
    stream = await core.attach_container(found, t.AttachOptions(stdin=True, stdout=True, stderr=True, stream=True))
    await stream.write(b"hello\n")
    await stream.write_eof()
    await core.start_container(found)
    assert split(await read_all(stream))[0] == b"hello\n"


async def test_exec_code_is_final_before_the_end(core: CoreEngine, shop: Shop) -> None:
    found = await shop.create("sleep", "60")
    await core.start_container(found)
    assert await shop.exec(found, "sh", "-c", "echo hi; echo no >&2; exit 5") == (5, b"hi\n", b"no\n")
    assert await shop.exec(found, "cat", stdin=b"x" * 3_000_000) == (0, b"x" * 3_000_000, b"")
    text = (
        b"OCI runtime exec failed: exec failed: unable to start container process: "
        b'exec: "nosuch": executable file not found in $PATH: unknown\r\n'
    )
    assert await shop.exec(found, "nosuch") == (127, text, b"")


async def test_failed_start_leaves_it_created(core: CoreEngine, shop: Shop) -> None:
    found = await shop.create("nosuch")
    with pytest.raises(InvalidArgument, match=r'exec: "nosuch": executable file not found in \$PATH: unknown$'):
        await core.start_container(found)
    state = (await core.inspect_container(found)).state
    assert (state.status, state.exit_code) == ("created", 127)
    assert state.error.endswith('exec: "nosuch": executable file not found in $PATH: unknown')


async def test_stop_signals_then_kills(core: CoreEngine, shop: Shop) -> None:
    polite = await shop.create("sh", "-c", "trap 'exit 9' TERM; echo ready; while :; do sleep 0.01; done")
    stream = await core.attach_container(polite, t.AttachOptions(stdout=True, stream=True))
    await core.start_container(polite)
    assert await stream.read()
    await core.stop_container(polite)
    assert (await core.inspect_container(polite)).state.exit_code == 9
    with pytest.raises(NotModified):
        await core.stop_container(polite)
    deaf = await shop.create("sh", "-c", "trap '' TERM; echo ready; sleep 60")
    stream = await core.attach_container(deaf, t.AttachOptions(stdout=True, stream=True))
    await core.start_container(deaf)
    assert await stream.read()
    await core.stop_container(deaf, timeout=0)
    assert (await core.inspect_container(deaf)).state.exit_code == 137


async def test_auto_remove_delivers_the_code_to_a_wait_for_removal(core: CoreEngine, shop: Shop) -> None:
    found = await shop.create("sh", "-c", "exit 7", host={"AutoRemove": True})
    waiting = await core.wait_container(found, "removed")
    await core.start_container(found)
    assert (await anext(waiting)).status_code == 7
    assert await core.list_containers(True, 0, False, {}) == []


async def test_remove_running_needs_force(core: CoreEngine, shop: Shop) -> None:
    found = await shop.create("sleep", "60", name="pc")
    await core.start_container(found)
    with pytest.raises(Conflict) as refused:
        await core.remove_container(found)
    assert refused.value.message == (
        'cannot remove container "pc": container is running: stop the container before removing or force remove'
    )
    await core.remove_container(found, force=True)
    assert await core.list_containers(True, 0, False, {}) == []


async def test_terminal_is_not_framed(core: CoreEngine, shop: Shop) -> None:
    found = await shop.create("sh", "-c", "stty size; echo done", Tty=True, host={"ConsoleSize": [40, 100]})
    stream = await core.attach_container(found, t.AttachOptions(stdout=True, stream=True))
    await core.start_container(found)
    assert await read_all(stream) == b"40 100\r\ndone\r\n"


async def test_two_starts_at_once(core: CoreEngine, shop: Shop) -> None:
    found = await shop.create("sleep", "60")
    outcomes = await asyncio.gather(*(core.start_container(found) for _ in range(3)), return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["NoneType", "NotModified", "NotModified"]


async def test_two_removals_at_once(core: CoreEngine, shop: Shop) -> None:
    found = await shop.create("sleep", "60")
    await core.start_container(found)
    outcomes = await asyncio.gather(
        *(core.remove_container(found, force=True) for _ in range(2)), return_exceptions=True
    )
    assert [str(outcome) for outcome in outcomes] == [
        "None",
        f"removal of container {found} is already in progress",
    ]


async def test_a_client_that_goes_away_leaves_nothing_half_made(core: CoreEngine, shop: Shop) -> None:
    found = await shop.create("sleep", "60")
    starts = await core.events(1, 0, {"event": ["start"]})
    asking = asyncio.create_task(core.start_container(found))
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.wait_for(anext(starts), 5)
    assert (await core.inspect_container(found)).state.running
    exec_id = await core.create_exec(found, t.CreateExec(cmd=["sh", "-c", "yes | head -c 9000000"], attach_stdout=True))
    asking = asyncio.create_task(core.start_exec(exec_id, t.StartExec()))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    asking.cancel()
    ends = await core.events(1, 0, {"event": ["exec_die"]})
    assert (await asyncio.wait_for(anext(ends), 5)).Actor["Attributes"]["exitCode"] == "0"


async def test_a_wait_that_is_given_up_leaves_no_waiter(core: CoreEngine, shop: Shop) -> None:
    found = await shop.create("true")
    waiting = await core.wait_container(found, "removed")
    await waiting.aclose()  # type: ignore[attr-defined]
    await core.remove_container(found)
    with pytest.raises(InvalidArgument, match=r'^invalid condition: "foo"$'):
        await core.wait_container(await shop.create("true"), "foo")


async def test_a_restart_that_fails_says_so_and_leaves_the_last_exit_code(core: CoreEngine, shop: Shop) -> None:
    other, _ = await shop.run("true", name="other")
    found = await shop.create("sleep", "100", name="sharer", host={"NetworkMode": "container:other"})
    words = f"cannot join network of a non running container: {other}"
    with pytest.raises(EngineError) as refused:
        await core.restart_container("sharer")
    assert refused.value.message == f"Cannot restart container sharer: {words}"
    state = (await core.inspect_container(found)).state
    assert (state.status, state.exit_code, state.error) == ("created", 128, words)
    core.registry.find(found).record.state.exit_code = 137
    with pytest.raises(EngineError):
        await core.start_container(found)
    assert (await core.inspect_container(found)).state.exit_code == 137
