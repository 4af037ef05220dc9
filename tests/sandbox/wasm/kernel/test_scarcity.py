"""What becomes of containers when the machine has no memory left. A test program has one MiB."""

from __future__ import annotations

import os

import pytest

from sandbox.wasm.kernel.scarcity import Scarcity
from tests.sandbox.wasm.kernel.kit import MEMORY, Box, Sys, pipe_out

SIGKILL = 9


def idle(sys: Sys) -> int:
    return sys("pause")


def test_the_biggest_container_loses_a_process() -> None:
    small, big = Box(), Box()
    reading, out = pipe_out()

    def two(sys: Sys) -> int:
        sys.fork(idle)
        sys.write(0, b"x")
        return sys("pause")

    lives, dies = small.start(idle), big.start(two, files=[out])
    os.set_blocking(reading, True)
    assert os.read(reading, 1) == b"x"
    os.close(reading)
    scarcity = Scarcity(lambda: 0, 2 * MEMORY)
    scarcity.watch(small.kernel)
    scarcity.watch(big.kernel)
    scarcity.look()
    assert big.finish(dies) == SIGKILL
    assert (dies.out_of_memory, lives.alive) == (True, True)
    small.kernel.kill_all()
    small.finish(lives)


@pytest.mark.parametrize(("available", "reserve"), [(MEMORY, MEMORY), (0, MEMORY + 1)], ids=["enough", "not to blame"])
def test_nobody_is_killed_in_vain(available: int, reserve: int) -> None:
    box = Box()
    task = box.start(idle)
    scarcity = Scarcity(lambda: available, reserve)
    scarcity.watch(box.kernel)
    scarcity.look()
    assert not task.out_of_memory
    box.kernel.kill_all()
    box.finish(task)
