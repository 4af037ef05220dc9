"""What may be handed on of a chunked body."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from frontend.wire.chunks import Chunks

BEHIND = b"what follows"


def handed_on(stream: bytes) -> list[bytes]:
    """The pieces, as long as there is more of ``stream``."""
    chunks, parts = Chunks(), []
    while stream:
        part, stream = stream[: chunks.safe], stream[chunks.safe :]
        chunks.fed(part)
        parts.append(part)
    return parts


@given(st.lists(st.binary(min_size=1)), st.sampled_from([b"", b";a=b", b";" + b"x" * 5000]))
def test_no_piece_goes_beyond_the_body(data: list[bytes], extension: bytes) -> None:
    body = b"".join(b"%x%s\r\n%s\r\n" % (len(part), extension, part) for part in data) + b"0\r\n5;a: b\r\n\r\n"
    parts = handed_on(body + BEHIND)
    assert parts[-len(BEHIND) :] == [bytes([value]) for value in BEHIND]
    if len(extension) < 4096:
        assert [part for part in parts if len(part) > 1] == [part for part in data if len(part) > 1]


def test_data_behind_a_line_that_is_too_long_is_no_size() -> None:
    body = b"1;" + b"x" * 5000 + b"\r\n1\r\n0\r\n5;a: b\r\n\r\n"
    assert {len(part) for part in handed_on(body + BEHIND)} == {1}


def test_what_is_no_size_is_handed_on_byte_by_byte() -> None:
    for line in (b"+5\r\n", b"5\n", b"0x5\r\n", b" 5\r\n", b"-1\r\n", b"1" * 16 + b"\r\n", b"\r\n"):
        assert {len(part) for part in handed_on(line + b"abcdefgh")} == {1}, line
