"""Read the headers of an uncompressed tar: ustar, PAX (global and per entry), GNU long names, base-256 numbers.

Only headers are read, content stays where it is: a ``Header`` says at which offset. Strict, because layers come from
strangers. Like Go's archive/tar, which dockerd reads with, it refuses a bad checksum, a truncated header or content, a
malformed number or PAX record, and extended headers of more than 1 MiB; like it, it accepts an archive that ends
without zero blocks, and ignores what follows them. The content of a sparse file (``Header.sparse``) is in pieces.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from sandbox.images import sparse
from sandbox.images.errors import InvalidImage

BLOCK = 512
MAX_EXTENDED = 1 << 20
_ZERO = bytes(BLOCK)
_XATTR = "SCHILY.xattr."
_CONTENT_TYPES = frozenset(b"07S\0")
_HEADER_ONLY = frozenset(b"123456")

ReadAt = Callable[[int, int], bytes]
"""(count, offset) -> at most count bytes, as os.pread."""


@dataclass(slots=True)
class Header:
    """One member: ``kind`` is the tar type flag (``b"0"``, ``b"5"``, …) and ``offset`` where its content starts.

    ``sparse``: of the ``size`` bytes only these pieces are stored there, one behind the other; None for all of them.
    """

    name: str
    kind: int
    mode: int
    uid: int
    gid: int
    size: int
    mtime_ns: int
    link: str
    device: int
    offset: int
    xattrs: dict[str, bytes] = field(default_factory=dict)
    sparse: sparse.Map | None = None


def scan(read: ReadAt, length: int) -> Iterator[Header]:
    """Yield every member of the archive of ``length`` bytes; raises InvalidImage at the first thing that is wrong."""
    position = 0
    shared: dict[str, bytes] = {}
    pax: dict[str, bytes] = {}
    long: dict[str, str] = {}
    while True:
        block = read(BLOCK, position)
        if not block:
            break
        if len(block) < BLOCK:
            raise InvalidImage("truncated tar: unexpected EOF in a header")
        if block == _ZERO:
            _check_end(read(BLOCK, position + BLOCK))
            return
        header = _parse(block, position + BLOCK)
        if header.kind in b"xgLK":
            data = _extended(read, header)
            if header.kind == ord("x"):
                pax = _records(data)
            elif header.kind == ord("g"):
                shared |= _records(data)
            else:
                long["name" if header.kind == ord("L") else "link"] = _text(data.rstrip(b"\0"))
            position = header.offset + _padded(header.size)
            continue
        header.name = long.get("name", header.name)
        header.link = long.get("link", header.link)
        if shared or pax:
            _apply({**shared, **pax}, header)
        stored = _finish(header, read, block, {**shared, **pax})
        if header.offset + stored > length:
            raise InvalidImage(f"truncated tar: unexpected EOF in {header.name!r}")
        position = header.offset + _padded(stored)
        yield header
        pax, long = {}, {}
    if pax or long:
        raise InvalidImage("truncated tar: an extended header describes no entry")


def _padded(size: int) -> int:
    return (size + BLOCK - 1) // BLOCK * BLOCK


def _check_end(block: bytes) -> None:
    if block and block != _ZERO:
        raise InvalidImage("invalid tar header: one zero block inside the archive")


def _parse(block: bytes, offset: int) -> Header:
    checksum = _number(block[148:156])
    unsigned = sum(block) - sum(block[148:156]) + 8 * 0x20
    if checksum != unsigned and checksum != _signed_sum(block):
        raise InvalidImage("invalid tar header: bad checksum")
    magic = block[257:265]
    name, prefix = block[:100].partition(b"\0")[0], b""
    if magic == b"ustar\x0000":
        prefix = block[345:500].partition(b"\0")[0]
    device = 0
    if block[156] in b"34":
        device = _device(_number(block[329:337]), _number(block[337:345]))
    return Header(
        name=_text(prefix + b"/" + name if prefix else name),
        kind=block[156],
        mode=_number(block[100:108]) & 0o7777,
        uid=_number(block[108:116]),
        gid=_number(block[116:124]),
        size=_number(block[124:136]),
        mtime_ns=_moment(_number(block[136:148], signed=True) * 1_000_000_000),
        link=_text(block[157:257].partition(b"\0")[0]),
        device=device,
        offset=offset,
    )


def _device(major: int, minor: int) -> int:
    if max(major, minor) >= 1 << 31:
        raise InvalidImage("invalid tar header: device number out of range")
    return os.makedev(major, minor)


def _signed_sum(block: bytes) -> int:
    signed = sum(value - 256 if value > 127 else value for value in block)
    return signed - sum(value - 256 if value > 127 else value for value in block[148:156]) + 8 * 0x20


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _number(raw: bytes, *, signed: bool = False) -> int:
    if raw[0] & 0x80:
        value = int.from_bytes(raw, "big", signed=False) & ~(0x80 << (8 * len(raw) - 8))
        if raw[0] & 0x40:
            value -= 1 << (8 * len(raw) - 1)
    else:
        digits = raw.strip(b" \0").partition(b"\0")[0].strip()
        try:
            value = int(digits, 8) if digits else 0
        except ValueError:
            raise InvalidImage(f"invalid tar header: malformed number {raw!r}") from None
    if (value < 0 and not signed) or abs(value) >= 1 << 63:
        raise InvalidImage("invalid tar header: number out of range")
    return value


def _extended(read: ReadAt, header: Header) -> bytes:
    if header.size > MAX_EXTENDED:
        raise InvalidImage("invalid tar header: extended header too large")
    data = read(header.size, header.offset)
    if len(data) < header.size:
        raise InvalidImage("truncated tar: unexpected EOF in an extended header")
    return data


def _records(data: bytes) -> dict[str, bytes]:
    records: dict[str, bytes] = {}
    pairs: list[bytes] = []
    position = 0
    while position < len(data):
        space = data.find(b" ", position, position + 20)
        digits = data[position:space] if space > 0 else b""
        end = position + int(digits) if digits.isdigit() else -1
        if end <= space or end > len(data) or data[end - 1] != ord("\n"):
            raise InvalidImage("invalid tar header: malformed PAX record")
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if not equals or not key or b"\0" in key:
            raise InvalidImage("invalid tar header: malformed PAX record")
        if not sparse.collect(records, _text(key), value, pairs):
            records[_text(key)] = value
        position = end
    return records


def _apply(records: dict[str, bytes], header: Header) -> None:
    for key, value in records.items():
        if key.startswith(_XATTR):
            header.xattrs[key[len(_XATTR) :]] = value
        elif value:
            _apply_standard(key, value, header)


def _apply_standard(key: str, value: bytes, header: Header) -> None:
    if key == "path":
        header.name = _pax_name(value)
    elif key == "linkpath":
        header.link = _pax_name(value)
    elif key == "mtime":
        header.mtime_ns = _seconds(value)
    elif key in ("size", "uid", "gid"):
        if not value.isdigit() or len(value) > 18:
            raise InvalidImage(f"invalid tar header: PAX {key}")
        setattr(header, key, int(value))


def _pax_name(value: bytes) -> str:
    if b"\0" in value:
        raise InvalidImage("invalid tar header: NUL in a PAX name")
    return _text(value)


def _seconds(value: bytes) -> int:
    """PAX time, decimal seconds with any number of digits after the point, in nanoseconds (cut, as Go does)."""
    whole, _, fraction = value.partition(b".")
    digits = whole.removeprefix(b"-")
    if not digits.isdigit() or len(digits) > 10 or (fraction and not fraction.isdigit()):
        raise InvalidImage("invalid tar header: PAX mtime")
    nanoseconds = int(digits) * 1_000_000_000 + int((fraction + b"0" * 9)[:9])
    return _moment(-nanoseconds if whole.startswith(b"-") else nanoseconds)


def _moment(nanoseconds: int) -> int:
    """A time beyond 64 bits is the epoch, as dockerd sets it (pkg/system, Chtimes)."""
    return nanoseconds if abs(nanoseconds) < 1 << 63 else 0


def _finish(header: Header, read: ReadAt, block: bytes, records: dict[str, bytes]) -> int:
    """Settle kind, size and where the content starts; how many bytes of content follow there in the archive.

    Links, directories and devices have no content; an old-style ``dir/`` is a directory.
    """
    stored = header.size
    if header.kind in _CONTENT_TYPES:
        found = (
            sparse.old_map(block, read, header.offset, stored, _number)
            if header.kind == ord("S")
            else sparse.pax_map(records, read, header.offset, stored)
        )
        if found is not None:
            header.sparse, header.size, stored = found.pieces, found.size, found.stored
            header.offset += found.ahead
            header.name = _pax_name(records.get("GNU.sparse.name", b"")) or header.name
        header.kind = ord("5") if header.name.endswith("/") else ord("0")
    elif header.kind not in _HEADER_ONLY:
        raise InvalidImage(f"{header.name!r}: unhandled tar header type {header.kind}")
    if header.kind != ord("0"):
        header.size, header.sparse = 0, None
        return 0
    return stored
