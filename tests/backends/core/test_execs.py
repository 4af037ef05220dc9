"""Execs: errors, users, terminals, what background processes do to them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from backends.api import types as t
from backends.api.errors import EngineError
from backends.api.framing import Deframer
from backends.core import execs
from backends.core.engine import CoreEngine
from sandbox.images.store import Store
from tests.backends.core.conftest import Shop, read_all
from tests.backends.core.local_driver import LocalDriver


async def running(core: CoreEngine, shop: Shop, **more: Any) -> str:
    found = await shop.create("sleep", "60", name="pc", **more)
    await core.start_container(found)
    return found


async def test_refusals(core: CoreEngine, shop: Shop) -> None:
    created = await shop.create("true")
    with pytest.raises(EngineError) as refused:
        await core.create_exec(created, t.CreateExec(cmd=["x"]))
    assert (refused.value.status, refused.value.message) == (409, f"container {created} is not running")
    await running(core, shop)
    for request, status, message in (
        (t.CreateExec(), 400, "No exec command specified"),
        (t.CreateExec(cmd=["x"], user="nosuch"), 400, "unable to find user nosuch: no matching entries in passwd file"),
        (t.CreateExec(cmd=["x"], detach_keys="ctrl-??"), 400, "Invalid detach keys (ctrl-??) provided"),
    ):
        with pytest.raises(EngineError) as refused:
            await core.create_exec("pc", request)
        assert (refused.value.status, refused.value.message) == (status, message)
    with pytest.raises(EngineError) as refused:
        await core.inspect_exec("nosuch")
    assert (refused.value.status, refused.value.message) == (404, "No such exec instance: nosuch")


async def test_second_start(core: CoreEngine, shop: Shop) -> None:
    await running(core, shop)
    exec_id = await core.create_exec("pc", t.CreateExec(cmd=["true"], attach_stdout=True))
    shown = await core.inspect_exec(exec_id)
    assert (shown.running, shown.exit_code, shown.process_config.entrypoint) == (False, None, "true")
    await read_all(await core.start_exec(exec_id, t.StartExec()))
    assert (await core.inspect_exec(exec_id)).exit_code == 0
    with pytest.raises(EngineError) as refused:
        await core.start_exec(exec_id, t.StartExec())
    assert (refused.value.status, refused.value.message) == (409, f"Error: Exec command {exec_id} has already run")


async def test_detached(core: CoreEngine, shop: Shop) -> None:
    await running(core, shop)
    exec_id = await core.create_exec("pc", t.CreateExec(cmd=["nosuch"]))
    with pytest.raises(EngineError, match=r'exec: "nosuch": executable file not found in \$PATH: unknown$') as refused:
        await core.start_exec_detached(exec_id, t.StartExec(detach=True))
    assert refused.value.status == 400
    assert (await core.inspect_exec(exec_id)).exit_code == 127


async def test_environment_and_directory(core: CoreEngine, shop: Shop) -> None:
    found = await running(core, shop, Env=["A=1", "B=2"], User="ann", WorkingDir="/seed")
    code, out, _ = await shop.exec("pc", "sh", "-c", "pwd; env", env=["B=3"])
    assert code == 0
    lines = out.decode().splitlines()
    assert lines[0].endswith("/seed")
    assert {"A=1", "B=3", "FROM=image", "HOME=/home/ann", f"HOSTNAME={found[:12]}"} <= set(lines)


async def test_terminal_input_and_size(core: CoreEngine, shop: Shop) -> None:
    await running(core, shop)
    request = t.CreateExec(
        cmd=["sh", "-c", "stty size; read line; echo got $line"], tty=True, attach_stdin=True, attach_stdout=True,
    )  # fmt: skip
    exec_id = await core.create_exec("pc", request)
    stream = await core.start_exec(exec_id, t.StartExec(tty=True, console_size=[30, 90]))
    assert stream.tty
    size = b""
    while not size.endswith(b"\n"):  # the host hands a line's text and its end over as two pieces
        size += await stream.read()
    await stream.write(b"hello\n")
    assert (size, await read_all(stream)) == (b"30 90\r\n", b"hello\r\ngot hello\r\n")


async def test_detach_keys_leave_it_running(core: CoreEngine, shop: Shop) -> None:
    await running(core, shop)
    request = t.CreateExec(cmd=["cat"], tty=True, attach_stdin=True, attach_stdout=True)
    exec_id = await core.create_exec("pc", request)
    stream = await core.start_exec(exec_id, t.StartExec(tty=True))
    await stream.write(b"\x10\x11")
    assert await read_all(stream) == b""
    assert (await core.inspect_exec(exec_id)).running


async def test_background_process_does_not_hold_it(
    core: CoreEngine, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execs, "DRAIN_LIMIT", 0.2)
    await running(core, shop)
    code, out, _ = await shop.exec("pc", "sh", "-c", "sleep 50 & echo started")
    assert (code, out) == (0, b"started\n")


async def test_end_of_the_container_ends_its_execs(core: CoreEngine, shop: Shop) -> None:
    await running(core, shop)
    exec_id = await core.create_exec("pc", t.CreateExec(cmd=["sleep", "50"], attach_stdout=True))
    stream = await core.start_exec(exec_id, t.StartExec())
    await core.kill_container("pc")
    assert await read_all(stream) == b""
    assert (await core.inspect_exec(exec_id)).exit_code == 137


async def test_who_starts_it_says_whether_its_output_is_framed(core: CoreEngine, shop: Shop) -> None:
    await running(core, shop)
    for terminal, raw in ((True, False), (True, True), (False, True), (False, False)):
        exec_id = await core.create_exec("pc", t.CreateExec(cmd=["echo", "x"], tty=terminal, attach_stdout=True))
        out = await read_all(await core.start_exec(exec_id, t.StartExec(tty=raw)))
        if not raw:  # the host may hand a terminal's line and its end over as two pieces, a frame each
            frames = list(Deframer().feed(out))
            assert {stream for stream, _ in frames} == {1}
            out = b"".join(data for _, data in frames)
        assert out == (b"x\r\n" if terminal else b"x\n")


async def test_a_folder_that_is_none(core: CoreEngine, shop: Shop) -> None:
    await running(core, shop)
    code, out, err = await shop.exec("pc", "pwd", working_dir="rel")
    assert (code, out, err) == (
        128, b"OCI runtime exec failed: exec failed: Cwd must be an absolute path\r\n", b"",
    )  # fmt: skip


async def test_an_exec_whose_user_is_unknown_has_failed(core: CoreEngine, shop: Shop) -> None:
    found = await running(core, shop, User="ann")
    exec_id = await core.create_exec(found, t.CreateExec(cmd=["true"]))
    (core.context.directory / "containers" / found / "rootfs/etc/passwd").write_text("")
    with pytest.raises(EngineError, match=r"^unable to find user ann"):
        await core.start_exec(exec_id, t.StartExec())
    shown = await core.inspect_exec(exec_id)
    assert (shown.running, shown.exit_code) == (False, 126)


async def test_execs_that_never_ran_keep_no_others(tmp_path: Path, images: Store) -> None:
    now = time.time_ns()
    core = CoreEngine(tmp_path / "data", LocalDriver(images).drivers(), images, clock=lambda: now)
    await core.open()
    shop = Shop(core)
    found = await running(core, shop)
    for _ in range(60):
        await core.create_exec(found, t.CreateExec(cmd=["true"]))
    assert (await shop.exec(found, "true"))[0] == 0
    old = next(key for key, kept in core._execs._by_id.items() if kept.record.exit_code == 0)
    now += execs.KEEP + 1
    for _ in range(2):
        await core.create_exec(found, t.CreateExec(cmd=["true"]))
    with pytest.raises(EngineError, match=r"^No such exec instance"):
        await core.inspect_exec(old)
    await core.close()
