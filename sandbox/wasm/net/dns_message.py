"""DNS messages (RFC 1035), sans I/O: enough to answer for the containers and to read what others answer."""

from __future__ import annotations

import enum
import ipaddress
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field

_HEADER = struct.Struct("!HHHHHH")
_RECORD = struct.Struct("!HHIH")
_POINTER = 0xC0
_MAX_JUMPS = 64


class MalformedMessage(ValueError):
    """The bytes are no DNS message. `ident` answers FORMERR with, None when there is not even that."""

    def __init__(self, reason: str, ident: int | None = None) -> None:
        super().__init__(reason)
        self.ident = ident


class Type(enum.IntEnum):
    A = 1
    NS = 2
    CNAME = 5
    SOA = 6
    PTR = 12
    MX = 15
    TXT = 16
    AAAA = 28
    OPT = 41
    ANY = 255


class Code(enum.IntEnum):
    """Response codes."""

    NOERROR = 0
    FORMERR = 1
    SERVFAIL = 2
    NXDOMAIN = 3
    NOTIMP = 4
    REFUSED = 5


IN = 1
QR, AA, TC, RD, RA = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080
_OPCODE = 0x7800
_NAME_TYPES = frozenset({Type.NS, Type.CNAME, Type.PTR})


@dataclass(frozen=True)
class Question:
    """`name` without the final dot, as it was written."""

    name: str
    type: int
    class_: int = IN


@dataclass(frozen=True)
class Record:
    """One resource record. `data` is its RDATA, the name inside expanded for NS, CNAME and PTR."""

    name: str
    type: int
    ttl: int
    data: bytes
    class_: int = IN


@dataclass(frozen=True)
class Message:
    ident: int
    flags: int = 0
    questions: tuple[Question, ...] = ()
    answers: tuple[Record, ...] = ()
    authority: tuple[Record, ...] = ()
    additional: tuple[Record, ...] = ()

    @property
    def is_response(self) -> bool:
        return bool(self.flags & QR)

    @property
    def opcode(self) -> int:
        return (self.flags & _OPCODE) >> 11

    @property
    def code(self) -> int:
        return self.flags & 0xF

    @property
    def payload_size(self) -> int:
        """The largest datagram its sender takes: EDNS's word, or 512."""
        sizes = [record.class_ for record in self.additional if record.type == Type.OPT]
        return max([512, *sizes])

    def reply(self, code: int, answers: Iterable[Record] = (), flags: int = 0) -> Message:
        """The response to it: its questions, recursion available."""
        kept = self.flags & (_OPCODE | RD)
        return Message(self.ident, QR | RA | kept | flags | code, self.questions, tuple(answers))


def address_record(name: str, address: str, ttl: int) -> Record:
    """A or AAAA, as the address is."""
    found = ipaddress.ip_address(address)
    return Record(name, Type.A if found.version == 4 else Type.AAAA, ttl, found.packed)


def pointer_record(name: str, target: str, ttl: int) -> Record:
    """PTR."""
    return Record(name, Type.PTR, ttl, pack_name(target))


def pack_name(name: str) -> bytes:
    """A name in wire form, uncompressed; ValueError for labels that do not fit."""
    packed = bytearray()
    for label in name.rstrip(".").split(".") if name.rstrip(".") else ():
        raw = label.encode("utf-8", "surrogateescape")
        if not 0 < len(raw) < 64:
            raise ValueError(f"label of {len(raw)} bytes in {name!r}")
        packed += bytes([len(raw)]) + raw
    if len(packed) > 254:
        raise ValueError(f"name of {len(packed)} bytes")
    return bytes(packed) + b"\0"


def reverse_address(name: str) -> str | None:
    """The IPv4 address that a name under in-addr.arpa stands for."""
    suffix = ".in-addr.arpa"
    if not name.lower().endswith(suffix):
        return None
    try:
        return str(ipaddress.IPv4Address(".".join(reversed(name[: -len(suffix)].split(".")))))
    except ValueError:
        return None


@dataclass
class _Writer:
    out: bytearray = field(default_factory=bytearray)
    places: dict[str, int] = field(default_factory=dict)

    def name(self, name: str) -> None:
        """A name; one that was written before becomes a pointer to it."""
        place = self.places.get(name.lower())
        if place is not None:
            self.out += struct.pack("!H", _POINTER << 8 | place)
            return
        if name and len(self.out) < 0x4000:
            self.places[name.lower()] = len(self.out)
        self.out += pack_name(name)

    def record(self, record: Record) -> None:
        self.name(record.name)
        self.out += _RECORD.pack(record.type, record.class_, record.ttl, len(record.data)) + record.data


def pack(message: Message) -> bytes:
    """The message in wire form."""
    writer = _Writer()
    sections = (message.answers, message.authority, message.additional)
    writer.out += _HEADER.pack(message.ident, message.flags, len(message.questions), *map(len, sections))
    for question in message.questions:
        writer.name(question.name)
        writer.out += struct.pack("!HH", question.type, question.class_)
    for section in sections:
        for record in section:
            writer.record(record)
    return bytes(writer.out)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = _HEADER.size

    def bytes(self, size: int) -> bytes:
        end = self.at + size
        if end > len(self.data):
            raise MalformedMessage("cut off")
        found = self.data[self.at : end]
        self.at = end
        return found

    def name(self) -> str:
        labels: list[str] = []
        back: int | None = None
        for _ in range(_MAX_JUMPS * 2):
            size = self.bytes(1)[0]
            if size & _POINTER == _POINTER:
                target = (size & ~_POINTER) << 8 | self.bytes(1)[0]
                back = self.at if back is None else back
                self.at = target
            elif size & _POINTER:
                raise MalformedMessage("unknown kind of label")
            elif size:
                labels.append(self.bytes(size).decode("utf-8", "surrogateescape"))
            else:
                self.at = self.at if back is None else back
                return ".".join(labels)
        raise MalformedMessage("name runs in circles")

    def question(self) -> Question:
        name = self.name()
        kind, class_ = struct.unpack("!HH", self.bytes(4))
        return Question(name, kind, class_)

    def record(self) -> Record:
        name = self.name()
        kind, class_, ttl, size = _RECORD.unpack(self.bytes(_RECORD.size))
        start = self.at
        data = self.bytes(size)
        if kind in _NAME_TYPES:
            self.at = start
            data = pack_name(self.name())
            self.at = start + size
        return Record(name, kind, ttl, data, class_)


def parse(data: bytes) -> Message:
    """Read a message; MalformedMessage. Bytes after its end are ignored."""
    if len(data) < _HEADER.size:
        raise MalformedMessage("shorter than a header")
    ident, flags, *counts = _HEADER.unpack_from(data)
    reader = _Reader(data)
    try:
        questions = tuple(reader.question() for _ in range(counts[0]))
        sections = [tuple(reader.record() for _ in range(count)) for count in counts[1:]]
    except ValueError as error:
        raise MalformedMessage(str(error), ident) from error
    return Message(ident, flags, questions, *sections)


def unpack_name(data: bytes) -> str:
    """The name that is the whole of an expanded RDATA."""
    reader = _Reader(bytes(_HEADER.size) + data)
    return reader.name()
