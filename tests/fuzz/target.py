"""What a fuzzer feeds: a function of bytes that may raise only what its documentation says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """``run`` takes whatever a stranger sends, calls the code that reads it and asserts what must hold of the result.

    ``refusals`` are the documented errors; ``seeds`` what good input looks like; ``words`` pieces that mean something.
    """

    name: str
    run: Callable[[bytes], object]
    refusals: tuple[type[Exception], ...] = ()
    seeds: tuple[bytes, ...] = ()
    words: tuple[bytes, ...] = ()

    def feed(self, data: bytes) -> bool:
        """Run once; whether the input was taken. Raises what is no documented refusal."""
        try:
            self.run(data)
        except self.refusals:
            return False
        return True


def text(data: bytes) -> str:
    """Bytes as they come out of a query string or a JSON text: no UTF-8 becomes the replacement character."""
    return data.decode(errors="replace")


#: What breaks parsers that were written for honest input.
NASTY = (
    b"9" * 5000,
    b"-1",
    b"0",
    b"18446744073709551616",
    b"1e999",
    b"NaN",
    b"-0",
    b"\0",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"\\ud800",
    b"\xc2\xb2",
    b"\xd9\xa3",
    b"\xf0\x9f\xa6\x80",
    b"\r\n",
    b"\n",
    b" ",
    b"/",
    b"..",
    b":",
    b"@",
    b"=",
    b",",
    b'"',
    b"'",
    b"\\",
    b"$",
    b"{",
    b"}",
    b"[",
    b"]",
    b"*",
    b"null",
    b"true",
    b"[" * 3000,
    b'{"a":' * 3000,
    b"a" * 300,
    b"_",
    b"+",
    b"-",
    b".",
    b"%",
)
