"""The codec against messages as they were seen on wires, and against anything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.wasm.net import dns_message as dns
from sandbox.wasm.net.dns_message import Code, MalformedMessage, Message, Question, Record, Type

ANSWER = bytes.fromhex(
    "db42 8180 0001 0001 0000 0000 03777777 0c6e6f7274686561737465726e 03656475 00 0001 0001"
    "c00c 0001 0001 00000258 0004 9b211144".replace(" ", "")
)
"""A recursive server's answer with a compressed name."""

QUERY_WITH_EDNS = bytes.fromhex(
    "1b1e 0120 0001 0000 0000 0001 03777777 076578616d706c65 03636f6d 00 001c 000100 0029 1000 0000 0000 0000".replace(
        " ", ""
    )
)
"""dig's question for an AAAA record, telling that it takes 4096 bytes."""

ALIASES = bytes.fromhex(
    "0001 8180 0001 0002 0000 0000 03777777 076578616d706c65 036e6574 00 0001 0001"
    "c00c 0005 0001 0000003c 0006 03776562 c010"
    "c02d 0001 0001 0000003c 0004 c0000201".replace(" ", "")
)
"""A CNAME whose target is compressed, and an address that belongs to the target."""


def test_reads_a_compressed_answer() -> None:
    message = dns.parse(ANSWER)
    assert message.ident == 0xDB42
    assert message.is_response
    assert message.code == Code.NOERROR
    assert message.questions == (Question("www.northeastern.edu", Type.A),)
    assert message.answers == (Record("www.northeastern.edu", Type.A, 600, bytes([155, 33, 17, 68])),)


def test_writes_the_same_bytes() -> None:
    assert dns.pack(dns.parse(ANSWER)) == ANSWER


def test_reads_the_room_a_client_has() -> None:
    message = dns.parse(QUERY_WITH_EDNS)
    assert message.questions == (Question("www.example.com", Type.AAAA),)
    assert message.payload_size == 4096
    assert dns.parse(ANSWER).payload_size == 512


def test_expands_names_inside_records() -> None:
    alias, address = dns.parse(ALIASES).answers
    assert dns.unpack_name(alias.data) == "web.example.net"
    assert (address.name, address.data) == ("web.example.net", bytes([192, 0, 2, 1]))


def test_reply_repeats_question_and_recursion_wish() -> None:
    query = Message(7, dns.RD, (Question("web", Type.A),))
    reply = query.reply(Code.NOERROR, [dns.address_record("web", "10.5.0.2", 600)])
    assert reply.flags == dns.QR | dns.RD | dns.RA
    assert dns.pack(reply) == bytes.fromhex(
        "000781800001000100000000037765620000010001c00c000100010000025800040a050002"
    )


def test_addresses_and_their_names() -> None:
    assert dns.address_record("a", "::1", 1).type == Type.AAAA
    assert dns.reverse_address("2.0.5.10.in-addr.arpa") == "10.5.0.2"
    assert dns.reverse_address("2.0.5.10.IN-ADDR.ARPA") == "10.5.0.2"
    assert dns.reverse_address("5.10.in-addr.arpa") is None
    assert dns.reverse_address("web") is None


@pytest.mark.parametrize(
    ("data", "ident"),
    [
        (b"", None),
        (ANSWER[:11], None),
        (ANSWER[:-1], 0xDB42),
        (ANSWER[:12] + b"\xc0\x0c\0\1\0\1", 0xDB42),
        (ANSWER[:12] + b"\x40a\0\0\1\0\1", 0xDB42),
    ],
    ids=["empty", "no header", "cut off", "circle", "label kind"],
)
def test_refuses_what_is_no_message(data: bytes, ident: int | None) -> None:
    with pytest.raises(MalformedMessage) as caught:
        dns.parse(data)
    assert caught.value.ident == ident


@pytest.mark.parametrize("name", ["a" * 64, "a..b", ".".join(["a" * 60] * 5)])
def test_refuses_names_that_do_not_fit(name: str) -> None:
    with pytest.raises(ValueError, match=r"label|name"):
        dns.pack_name(name)


@given(st.binary(max_size=200))
def test_anything_is_read_or_refused(data: bytes) -> None:
    try:
        dns.parse(data)
    except MalformedMessage:
        return


LETTERS = st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters=".")
LABELS = st.text(LETTERS, min_size=1, max_size=20)
NAMES = st.lists(LABELS, min_size=1, max_size=4).map(".".join)


@given(st.lists(st.tuples(NAMES, st.binary(max_size=40)), max_size=8))
def test_what_is_written_is_read(parts: list[tuple[str, bytes]]) -> None:
    records = tuple(Record(name, Type.TXT, 5, data) for name, data in parts)
    message = Message(1, dns.QR, (Question("web", Type.ANY),), records)
    read = dns.parse(dns.pack(message))
    assert [(r.name.lower(), r.data) for r in read.answers] == [(r.name.lower(), r.data) for r in records]
