"""Containers share what the worker may have open."""

from __future__ import annotations

import errno
import resource
from collections.abc import Iterator

import pytest

from tests.sandbox.wasm.kernel.kit import Box, Failed, Sys, exited

MOST = 400


@pytest.fixture
def few() -> Iterator[None]:
    """The worker, this process, may have MOST open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (MOST, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_container_that_takes_many_leaves_the_others_some(few: None) -> None:
    greedy, modest = Box(), Box()
    opened = 0

    def other(sys: Sys) -> int:
        sys.pipe()
        return 0

    def main(sys: Sys) -> int:
        nonlocal opened
        with pytest.raises(Failed) as caught:
            while True:
                sys.pipe()
                opened += 2
        assert caught.value.errno == errno.ENFILE
        assert sys("dup", 0) > 0
        assert exited(modest.run(other)) == 0
        return 0

    assert exited(greedy.run(main)) == 0
    assert MOST // 4 <= opened < MOST // 2 + 16
