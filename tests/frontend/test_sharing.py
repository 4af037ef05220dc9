"""Many askers, one call: how few calls, how fresh the answers."""

from __future__ import annotations

import asyncio

import pytest

from frontend.sharing import Shared


class Source:
    """Counts its calls and answers each when it is let go."""

    def __init__(self) -> None:
        self.calls: list[asyncio.Future[None]] = []

    async def call(self) -> int:
        gate = asyncio.get_running_loop().create_future()
        self.calls.append(gate)
        number = len(self.calls)
        await gate
        return number


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_who_asks_during_a_call_gets_the_next_ones_answer() -> None:
    source = Source()
    shared = Shared(source.call)
    first = asyncio.create_task(shared.ask())
    await settle()
    late = [asyncio.create_task(shared.ask()) for _ in range(5)]
    await settle()
    assert len(source.calls) == 1
    source.calls[0].set_result(None)
    await settle()
    assert len(source.calls) == 2
    source.calls[1].set_result(None)
    assert [await first, *[await task for task in late]] == [1, 2, 2, 2, 2, 2]


async def test_a_failure_reaches_all_who_waited_and_nobody_after() -> None:
    source = Source()
    shared = Shared(source.call)
    asked = [asyncio.create_task(shared.ask()) for _ in range(2)]
    await settle()
    source.calls[0].set_exception(ConnectionError("gone"))
    for task in asked:
        with pytest.raises(ConnectionError, match="gone"):
            await task
    again = asyncio.create_task(shared.ask())
    await settle()
    source.calls[1].set_result(None)
    assert await again == 2


async def test_an_asker_who_leaves_takes_nothing_from_the_others() -> None:
    source = Source()
    shared = Shared(source.call)
    leaving, staying = asyncio.create_task(shared.ask()), asyncio.create_task(shared.ask())
    await settle()
    leaving.cancel()
    await settle()
    source.calls[0].set_result(None)
    assert await staying == 1
