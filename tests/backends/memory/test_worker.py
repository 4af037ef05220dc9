"""Containers of the memory backend: real programs in the sandbox, through the worker's socket."""

from __future__ import annotations

import asyncio
import io
import signal
import socket
import tarfile
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from backends.api import types as t
from backends.api.client import EngineClient
from backends.api.engine import Engine
from backends.api.errors import EngineError, Forbidden, NotFound
from tests.backends.core.conftest import Shop, read_all, split
from tests.backends.memory.conftest import IMAGE, Worker


async def tar_of(**files: bytes) -> AsyncIterator[bytes]:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    yield buffer.getvalue()


async def untar(client: Engine, ref: str, path: str) -> dict[str, bytes]:
    download = await client.get_archive(ref, path)
    data = b"".join([piece async for piece in download.body])
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {entry.name: archive.extractfile(entry).read() for entry in archive if entry.isfile()}  # type: ignore[union-attr]


async def up(client: Engine, shop: Shop, *command: str, **more: Any) -> str:
    found = await shop.create(*(command or ("sleep", "1000")), **more)
    await client.start_container(found)
    return found


async def test_run_has_output_code_and_log(client: Engine, shop: Shop) -> None:
    found, code = await shop.run("sh", "-c", "echo out; echo err >&2; exit 3")
    assert code == 3
    assert split(await shop.logs(found)) == (b"out\n", b"err\n")


async def test_exec_streams_both_ways(client: Engine, shop: Shop) -> None:
    found = await up(client, shop)
    assert await shop.exec(found, "sh", "-c", "echo hi; echo no >&2; exit 5") == (5, b"hi\n", b"no\n")
    data = bytes(range(256)) * 8192
    assert await shop.exec(found, "cat", stdin=data) == (0, data, b"")
    code, out, _ = await shop.exec(found, "dd", "if=/dev/zero", "bs=1M", "count=8")
    assert (code, len(out)) == (0, 8 << 20)


async def test_programs_that_cannot_start(client: Engine, shop: Shop) -> None:
    for command, code, words in (
        ("nosuch", 127, 'exec: "nosuch": executable file not found in $PATH: unknown'),
        ("/etc/passwd", 126, 'exec: "/etc/passwd": permission denied: unknown'),
    ):
        found = await shop.create(command)
        with pytest.raises(EngineError) as refused:
            await client.start_container(found)
        assert (refused.value.status, refused.value.message.endswith(words)) == (400, True)
        state = (await client.inspect_container(found)).state
        assert (state.status, state.exit_code) == ("created", code)
    running = await up(client, shop)
    assert (await shop.exec(running, "nosuch"))[0] == 127


async def test_terminal(client: Engine, shop: Shop) -> None:
    found = await shop.create("sh", Tty=True, OpenStdin=True, StdinOnce=True, host={"ConsoleSize": [33, 99]})
    stream = await client.attach_container(found, t.AttachOptions(stdin=True, stdout=True, stream=True))
    await client.start_container(found)
    await stream.write(b"stty size; tty; exit 4\n")
    text = await read_all(stream)
    assert b"33 99\r\n/dev/pts/0\r\n" in text
    assert (await client.inspect_container(found)).state.exit_code == 4


async def test_signals_and_stop(client: Engine, shop: Shop) -> None:
    ignoring = await up(client, shop)
    await client.stop_container(ignoring, timeout=0)
    assert (await client.inspect_container(ignoring)).state.exit_code == 137
    polite = await shop.create("sh", "-c", "trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.05; done")
    stream = await client.attach_container(polite, t.AttachOptions(stdout=True, stream=True))
    await client.start_container(polite)
    await stream.read()
    await client.stop_container(polite)
    assert (await client.inspect_container(polite)).state.exit_code == 7
    assert split(await shop.logs(polite))[0] == b"ready\nbye\n"


async def test_files_come_and_go_in_every_state(client: Engine, shop: Shop) -> None:
    found = await shop.create("cat", "/data/in", host={"Binds": ["shared:/data"]})
    await client.put_archive(found, "/data", tar_of(**{"in": b"through the volume\n"}))
    assert await shop.finish(found) == 0
    assert split(await shop.logs(found))[0] == b"through the volume\n"
    assert await untar(client, found, "/data/in") == {"in": b"through the volume\n"}
    again = await shop.create("sh", "-c", "cat /data/in > /made", host={"Binds": ["shared:/data"]})
    assert await shop.finish(again) == 0
    assert await untar(client, again, "/made") == {"made": b"through the volume\n"}
    assert [(change.path, change.kind) for change in await client.container_changes(again)] == [
        ("/data", 1), ("/made", 1),
    ]  # fmt: skip
    assert (await client.stat_path(again, "/made")).size == 19
    assert (await untar(client, again, "/."))["./made"] == b"through the volume\n"


@pytest.mark.parametrize(
    ("path", "kind", "message"),
    [
        ("/nosuch", NotFound, "Could not find the file /nosuch in container pc"),
        ("", EngineError, "bad parameter: path cannot be empty"),
        ("/etc/passwd", EngineError, "extraction point is not a directory"),
    ],
)
async def test_wrong_paths(client: Engine, shop: Shop, path: str, kind: type[EngineError], message: str) -> None:
    await shop.create("true", name="pc")
    with pytest.raises(kind) as refused:
        await client.put_archive("pc", path, tar_of(x=b""))
    assert refused.value.message == message


async def test_read_only_root(client: Engine, shop: Shop) -> None:
    found, code = await shop.run("sh", "-c", "echo x > /tmp/x", host={"ReadonlyRootfs": True})
    assert code == 1
    with pytest.raises(Forbidden):
        await client.put_archive(found, "/tmp", tar_of(x=b""))


async def test_containers_find_each_other_by_name(client: Engine, shop: Shop) -> None:
    await client.create_network({"Name": "net"})
    serve = "mkdir /www; echo page > /www/index.html; exec httpd -f -h /www -p 80"
    request = t.CreateContainer(
        name="web", config={"Image": IMAGE, "Cmd": ["sh", "-c", serve]}, host_config={"NetworkMode": "net"},
        networking_config={"EndpointsConfig": {"net": {"Aliases": ["site"]}}},
    )  # fmt: skip
    web = (await client.create_container(request)).id
    await client.start_container(web)
    ask = f"for n in web site {web[:12]}; do until wget -q -O - http://$n/; do sleep 0.05; done; done"
    found, code = await shop.run("timeout", "20", "sh", "-c", ask, host={"NetworkMode": "net"})
    assert (code, split(await shop.logs(found))[0]) == (0, b"page\npage\npage\n")
    shared, code = await shop.run("wget", "-q", "-O", "-", "http://localhost/", host={"NetworkMode": "container:web"})
    assert split(await shop.logs(shared))[0] == b"page\n"


async def test_published_port_leads_into_the_container(client: Engine, shop: Shop) -> None:
    host = {"PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]}}
    found = await up(client, shop, "sh", "-c", "echo hello | nc -l -p 80", host=host)
    ports = (await client.inspect_container(found)).network_settings.ports["80/tcp"]
    assert ports is not None

    def fetch() -> bytes:
        while True:
            try:
                with socket.create_connection(("127.0.0.1", int(ports[0].host_port)), 5) as connection:
                    data = connection.recv(100)
            except ConnectionError:
                continue
            if data:
                return data

    assert await asyncio.wait_for(asyncio.to_thread(fetch), 20) == b"hello\n"


async def test_pause_top_and_stats(client: Engine, shop: Shop) -> None:
    found = await up(client, shop)
    top = await client.top_container(found, "-o pid,args")
    assert (top.titles, top.processes) == (["PID", "COMMAND"], [["1", "sleep 1000"]])
    sample = await anext(await client.container_stats(found, False, True))
    assert sample["pids_stats"] == {"current": 1}
    assert sample["memory_stats"]["usage"] > 0
    await client.pause_container(found)
    assert (await client.inspect_container(found)).state.status == "paused"
    await client.unpause_container(found)
    assert (await shop.exec(found, "true"))[0] == 0


async def test_memory_limit_ends_the_container(client: Engine, shop: Shop) -> None:
    grow = "a=0123456789; while :; do a=$a$a; done"
    found, code = await shop.run("sh", "-c", grow, host={"Memory": 32 << 20})
    state = (await client.inspect_container(found)).state
    assert (code, state.oom_killed) == (137, True)
    assert state.error == "the program needed more memory than the container may have"


async def test_probes_that_take_too_long_leave_no_processes(client: Engine, shop: Shop) -> None:
    check = {"Test": ["CMD", "sleep", "2000"], "Interval": 1_000_000, "Timeout": 1_000_000, "Retries": 20}
    found = await shop.create("sleep", "1000", Healthcheck=check)
    events = await client.events(1, 0, {"container": [found], "event": ["health_status"]})
    await client.start_container(found)
    assert (await asyncio.wait_for(anext(events), 30)).Action == "health_status: unhealthy"
    end = time.monotonic() + 20
    while len(processes := (await client.top_container(found, "")).processes) > 3:  # main, a probe, one that is ending
        assert time.monotonic() < end, processes


async def test_user_and_environment(client: Engine, shop: Shop) -> None:
    found, _ = await shop.run("sh", "-c", "id; echo $HOME; pwd", User="nobody", WorkingDir="/srv/made")
    assert split(await shop.logs(found))[0] == (
        b"uid=65534(nobody) gid=65534(nogroup) groups=65534(nogroup)\n/home\n/srv/made\n"
    )


async def test_a_killed_worker_comes_back_with_files_logs_and_codes(make_worker: Callable[[], Worker]) -> None:
    worker = make_worker()
    client: Engine = EngineClient(worker.socket)  # type: ignore[abstract]
    shop = Shop(client, IMAGE)
    found = await up(client, shop, "sh", "-c", "test -e /file || echo kept > /file; echo up; sleep 1000")
    await anext((await client.container_logs(found, t.LogOptions(stdout=True, follow=True))).body)
    worker.end(signal.SIGKILL)
    client = EngineClient(make_worker().socket)  # type: ignore[abstract]
    shop = Shop(client, IMAGE)
    state = (await client.inspect_container(found)).state
    assert (state.status, state.exit_code) == ("exited", 137)
    assert split(await shop.logs(found))[0] == b"up\n"
    assert await untar(client, found, "/file") == {"file": b"kept\n"}
    await client.start_container(found)
    assert await shop.exec(found, "cat", "/file") == (0, b"kept\n", b"")
    await client.remove_container(found, force=True)


async def test_sigterm_is_an_orderly_end(make_worker: Callable[[], Worker]) -> None:
    worker = make_worker()
    client: Engine = EngineClient(worker.socket)  # type: ignore[abstract]
    found = await up(client, Shop(client, IMAGE), name="plain")
    await up(client, Shop(client, IMAGE), name="again", host={"RestartPolicy": {"Name": "unless-stopped"}})
    assert await asyncio.to_thread(worker.end, signal.SIGTERM) == 0
    assert not worker.socket.exists()
    client = EngineClient(make_worker().socket)  # type: ignore[abstract]
    starts = await client.events(1, 0, {"event": ["start"]})
    names = [(await asyncio.wait_for(anext(starts), 10)).Actor["Attributes"]["name"] for _ in range(3)]
    assert names == ["plain", "again", "again"]
    assert (await client.inspect_container(found)).state.status == "exited"


async def test_bundled_image_is_there(client: Engine) -> None:
    assert [image.repo_tags for image in await client.list_images(False, {}, False)] == [["sockerless/base:latest"]]
