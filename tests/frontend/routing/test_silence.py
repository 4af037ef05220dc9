"""A worker that takes connections and answers nothing, beside one that is well."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from backends.api.client import connect
from backends.api.errors import NotFound, Unavailable
from frontend.routing.router import Router, route
from frontend.routing.workers import Worker
from tests.frontend.routing.conftest import Endpoint
from tests.frontend.routing.fake_engine import FakeEngine

REFUSAL = b'{"kind":"NotFound","message":"No such exec instance"}'
ANSWER = b"HTTP/1.1 404 Not Found\r\nSockerless-Error: 1\r\nContent-Length: %d\r\n\r\n%s" % (len(REFUSAL), REFUSAL)
PATIENCE = 0.05
Hanging = tuple[Router, FakeEngine]


@pytest.fixture
async def hanging(endpoint: Endpoint, tmp_path: Path) -> AsyncIterator[Hanging]:
    fake = FakeEngine(tmp_path / "silent.sock")
    client = connect(fake.path, "silent")
    yield route([endpoint.places["left"].worker, Worker("silent", client, patience=PATIENCE)]), fake
    client.close()
    fake.close()


async def request(fake: FakeEngine) -> tuple[Any, str]:
    """The next request's wire and operation."""
    wire = await fake.accept()
    line = (await wire.receive()).split(b"\r\n")[0].decode()
    return wire, line.split()[1].removeprefix("/engine/")


OPERATIONS: list[Callable[[Router], Awaitable[Any]]] = [
    lambda router: router.list_containers(True, -1, False, {}),
    lambda router: router.info(),
    lambda router: router.disk_usage(["volume"]),
    lambda router: router.prune_containers({}),
    lambda router: router.events(0, 1, {}),
    lambda router: router.create_volume({"Name": "data"}),
]


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_what_is_asked_of_everybody_is_answered(
    hanging: Hanging, operation: Callable[[Router], Awaitable[Any]]
) -> None:
    await asyncio.wait_for(operation(hanging[0]), 10)


async def test_silence_is_remembered_until_it_ends(hanging: Hanging) -> None:
    router, fake = hanging
    await router.list_networks({})
    assert (await request(fake))[1] == "list_networks"
    question, operation = await request(fake)
    assert operation == "inspect_exec"
    for _ in range(3):
        with pytest.raises(NotFound):
            await router.inspect_network("nosuch")
    with pytest.raises(Unavailable, match="the silent backend is not available: no answer in time"):
        await router.inspect_container("nosuch")
    await question.send(ANSWER)
    while router.workers[1].pulse.silent:
        await question.flushed()
    asked = asyncio.create_task(router.list_volumes({}))
    line = (await question.receive()).split(b"\r\n")[0]  # nothing else was asked meanwhile
    assert line == b"POST /engine/list_volumes HTTP/1.1"
    await question.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]")
    assert await asked == []


async def test_an_answer_may_take_its_time_while_there_are_signs_of_life(hanging: Hanging) -> None:
    router, fake = hanging
    router = route([Worker("slow", router.workers[1].engine, patience=1.0)])
    asked = asyncio.create_task(router.list_volumes({}))
    listing, _ = await request(fake)
    for _ in range(2):
        question, operation = await request(fake)
        assert operation == "inspect_exec"
        await question.send(ANSWER.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    await listing.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]")
    assert await asked == []
