"""Where a passed-on answer ends."""

from __future__ import annotations

import pytest

from frontend.routing.answer import Answer, BadAnswer, Kind

COUNTED = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n3\r\nabc\r\n0\r\nX: 1\r\n\r\n"


@pytest.mark.parametrize("answer", [COUNTED, CHUNKED])
@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_bytes_are_passed_on_as_they_are_until_the_end_shows(answer: bytes, size: int) -> None:
    found = Answer("GET")
    passed = b""
    for start in range(0, len(answer), size):
        assert not found.complete
        passed += found.feed(answer[start : start + size])
    assert (passed, found.kind, found.complete, found.keep_alive) == (answer, Kind.COUNTED, True, True)


@pytest.mark.parametrize(
    ("method", "head", "kind", "complete", "keep_alive"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Kind.COUNTED, True, True),
        ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Kind.COUNTED, True, True),
        ("POST", b"HTTP/1.1 204 No Content\r\n\r\n", Kind.COUNTED, True, True),
        ("POST", b"HTTP/1.1 304 Not Modified\r\n\r\n", Kind.COUNTED, True, True),
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Kind.COUNTED, True, True),
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", Kind.COUNTED, True, False),
        ("GET", b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", Kind.COUNTED, True, False),
        ("POST", b"HTTP/1.1 200 OK\r\nContent-Type: x\r\n\r\n", Kind.OPEN, False, True),
        ("POST", b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n", Kind.SWITCHED, False, False),
    ],
)
def test_heads(method: str, head: bytes, kind: Kind, complete: bool, keep_alive: bool) -> None:
    found = Answer(method)
    assert found.feed(head) == head
    assert (found.kind, found.complete, found.keep_alive) == (kind, complete, keep_alive)


def test_what_follows_a_switch_is_passed_on_unread() -> None:
    found = Answer("POST")
    whole = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n\x01\0\0\0\0\0\0\x02hi"
    assert found.feed(whole) == whole


def test_interim_answers_are_dropped() -> None:
    found = Answer("PUT")
    assert found.feed(b"HTTP/1.1 100 Continue\r\n\r\n") == b""
    assert found.feed(COUNTED) == COUNTED


@pytest.mark.parametrize("data", [b"SSH-2.0-OpenSSH\r\n\r\n", b"x" * ((1 << 20) + 1)])
def test_what_is_no_http_is_refused(data: bytes) -> None:
    with pytest.raises(BadAnswer):
        Answer("GET").feed(data)
