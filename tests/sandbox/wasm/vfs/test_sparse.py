"""A file's content in memory against a file of the kernel's."""

from __future__ import annotations

import os
import tempfile

from hypothesis import given
from hypothesis import strategies as st

from sandbox.wasm.vfs.sparse import PAGE, SparseContent

offsets = st.integers(0, 4 * PAGE)
steps = st.lists(
    st.tuples(st.just("write"), offsets, st.binary(min_size=1, max_size=2 * PAGE))
    | st.tuples(st.just("resize"), offsets, st.just(b""))
    | st.tuples(st.just("fill"), offsets, st.binary(min_size=1, max_size=PAGE)),
    max_size=8,
)


@given(steps)
def test_what_is_written_is_read_with_zeros_between(steps: list[tuple[str, int, bytes]]) -> None:
    ours = SparseContent()
    with tempfile.TemporaryFile() as real:
        fd = real.fileno()
        for what, offset, data in steps:
            if what == "write":
                expected = ours.used + ours.growth(offset, offset + len(data))
                ours.write(memoryview(data), offset)
                os.pwrite(fd, data, offset)
                assert ours.used == expected
            elif what == "fill":
                ours.fill(offset, offset + len(data))
                os.posix_fallocate(fd, offset, len(data))
            else:
                ours.resize(offset)
                os.ftruncate(fd, offset)
        size = os.fstat(fd).st_size
        buffer = memoryview(bytearray(size + 1))
        assert (ours.size, ours.read(buffer, 0)) == (size, size)
        assert bytes(buffer[:size]) == os.pread(fd, size + 1, 0)


def test_room_is_taken_by_pages_and_given_back() -> None:
    content = SparseContent()
    content.write(memoryview(b"x"), 10 * PAGE)
    assert (content.used, content.growth(0, 1 << 60)) == (PAGE, (1 << 60) - PAGE)
    content.fill(0, 2 * PAGE + 1)
    assert content.used == 4 * PAGE
    content.resize(PAGE)
    assert content.used == PAGE
    content.resize(0)
    assert (content.used, content.size) == (0, 0)
