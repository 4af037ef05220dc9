"""Bounds, growth and strings of a program's memory."""

from __future__ import annotations

import errno
import struct

import pytest

from sandbox.wasm.kernel.memory import Memory


def memory(size: int = 64) -> Memory:
    return Memory(memoryview(bytearray(size)))


def test_what_is_written_is_read() -> None:
    m = memory()
    m.write(10, b"abc")
    m.pack(struct.Struct("<HI"), 20, 1, 2)
    assert m.read(9, 5) == b"\0abc\0"
    assert m.unpack(struct.Struct("<HI"), 20) == (1, 2)
    assert (m.u32(22), m.i32(22)) == (2, 2)


@pytest.mark.parametrize("address, size", [(60, 5), (64, 1), (-1, 1), (0, -1), (0xFFFFFFF0, 32)])
def test_an_address_outside_is_a_fault(address: int, size: int) -> None:
    for access in (memory().read, memory().view):
        with pytest.raises(OSError) as caught:
            access(address, size)
        assert caught.value.errno == errno.EFAULT


def test_writing_across_the_end_changes_nothing() -> None:
    m = memory(8)
    with pytest.raises(OSError):
        m.write(6, b"abc")
    assert m.read(0, 8) == bytes(8)


def test_strings_end_at_zero_and_keep_bytes_that_are_no_text() -> None:
    m = memory(256)
    m.write(100, b"x" * 100 + b"\xff\0")
    assert m.cstring(100) == "x" * 100 + "\udcff"


def test_a_string_without_an_end_is_a_fault() -> None:
    m = memory(8)
    m.write(0, b"12345678")
    with pytest.raises(OSError) as caught:
        m.cstring(4)
    assert caught.value.errno == errno.EFAULT


def test_the_null_pointer_is_no_string() -> None:
    with pytest.raises(OSError):
        memory().cstring(0)


def test_an_array_of_strings_ends_at_the_null_pointer() -> None:
    m = memory()
    m.write(8, b"a\0bc\0")
    m.pack(struct.Struct("<3I"), 32, 8, 10, 0)
    assert m.strings(32) == ["a", "bc"]
    assert m.strings(0) == []


def test_growth_is_noticed_when_a_new_address_is_used() -> None:
    big = bytearray(128)
    told: list[int] = []
    m = Memory(memoryview(bytearray(64)), lambda: memoryview(big))
    m.on_growth = lambda: told.append(1)
    m.write(100, b"new")
    assert big[100:103] == b"new"
    assert (m.size(), told) == (128, [1])


def test_a_view_writes_through() -> None:
    m = memory()
    m.view(4, 4)[:] = b"abcd"
    assert m.read(4, 4) == b"abcd"
