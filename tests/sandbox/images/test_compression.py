import bz2
import gzip
import io
import lzma
import os
import tracemalloc
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from sandbox.images.compression import PIECE, decompress, sniff
from sandbox.images.errors import InvalidImage

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "xz": lzma.compress,
    "bzip2": bz2.compress,
    "plain": bytes,
}
DATA = b"hello " * 50_000 + os.urandom(100_000)


class Trickle(io.BytesIO):
    """Gives one to seven bytes at a time."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(size if size and size > 0 else 7, 1 + self.tell() % 7))


@pytest.mark.parametrize("kind", PACKERS)
def test_every_format_is_told_and_unpacked(kind: str) -> None:
    data = PACKERS[kind](DATA)
    assert sniff(data[:6]) == kind
    assert b"".join(decompress(io.BytesIO(data))) == DATA
    small = PACKERS[kind](b"abc" * 100)
    assert b"".join(decompress(Trickle(small))) == b"abc" * 100


@pytest.mark.parametrize("kind", ["gzip", "zstd", "xz", "bzip2"])
def test_members_one_after_another_are_one_stream(kind: str) -> None:
    data = PACKERS[kind](b"one") + PACKERS[kind](b"two")
    assert b"".join(decompress(io.BytesIO(data))) == b"onetwo"
    assert b"".join(decompress(Trickle(data))) == b"onetwo"


@pytest.mark.parametrize("kind", ["gzip", "xz", "bzip2"])
def test_a_cut_off_stream_is_damaged(kind: str) -> None:
    data = PACKERS[kind](DATA)
    with pytest.raises(InvalidImage, match=f"damaged {kind} stream: unexpected end"):
        list(decompress(io.BytesIO(data[:-5])))


@pytest.mark.parametrize("kind", ["gzip", "zstd", "xz", "bzip2"])
def test_garbage_inside_is_damage(kind: str) -> None:
    data = bytearray(PACKERS[kind](DATA))
    data[20:40] = os.urandom(20)
    with pytest.raises(InvalidImage, match=f"damaged {kind} stream"):
        list(decompress(io.BytesIO(bytes(data))))


@pytest.mark.parametrize("kind", ["gzip", "zstd", "xz", "bzip2"])
def test_a_bomb_comes_in_bounded_pieces(kind: str) -> None:
    data = PACKERS[kind](bytes(24 << 20))
    tracemalloc.start()
    total = largest = 0
    for piece in decompress(io.BytesIO(data)):
        total += len(piece)
        largest = max(largest, len(piece))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == 24 << 20
    assert largest <= PIECE
    assert peak < 12 << 20


@given(st.binary(max_size=300))
def test_any_bytes_are_unpacked_or_refused(data: bytes) -> None:
    for start in (b"", b"\x1f\x8b\x08\0", b"\x28\xb5\x2f\xfd", b"BZh9", b"\xfd7zXZ\0"):
        try:
            list(decompress(io.BytesIO(start + data)))
        except InvalidImage:
            continue
