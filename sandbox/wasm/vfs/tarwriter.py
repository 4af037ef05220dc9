"""Headers of a tar as Go's archive/tar (which every Docker client reads with) understands them: ustar, and a PAX header
before what ustar cannot say."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from sandbox.wasm.vfs.inode import NO_XATTRS

BLOCK = 512
END = bytes(2 * BLOCK)
FILE, HARD_LINK, SYMLINK, CHAR, BLOCK_DEVICE, DIRECTORY, FIFO = b"0", b"1", b"2", b"3", b"4", b"5", b"6"
_SECOND = 1_000_000_000
_OCTAL_7, _OCTAL_11 = 8**7, 8**11


@dataclass(slots=True)
class Member:
    """One entry: `name` (a directory's ends in a slash), the type flag, and what goes into its header."""

    name: str
    type: bytes
    mode: int
    uid: int
    gid: int
    size: int
    mtime_ns: int
    link: str = ""
    rdev: int = 0
    xattrs: Mapping[str, bytes] = field(default_factory=lambda: NO_XATTRS)


def header(member: Member) -> bytes:
    """The blocks before the member's content."""
    records: dict[str, bytes] = {}
    name, link = _bytes(member.name), _bytes(member.link)
    prefix = b""
    if len(name) > 100 or not member.name.isascii():
        prefix, short = _split(name)
        if not short or not member.name.isascii():
            records["path"] = name
            prefix, short = b"", name[:100]
        name = short
    if len(link) > 100 or not member.link.isascii():
        records["linkpath"] = link
    if member.mtime_ns % _SECOND or not 0 <= member.mtime_ns // _SECOND < _OCTAL_11:
        records["mtime"] = _decimal(member.mtime_ns)
    for key, value, limit in (
        ("uid", member.uid, _OCTAL_7),
        ("gid", member.gid, _OCTAL_7),
        ("size", member.size, _OCTAL_11),
    ):
        if value >= limit:
            records[key] = b"%d" % value
    for key, content in member.xattrs.items():
        records["SCHILY.xattr." + key] = content
    block = _block(member, name, link[:100], prefix)
    return _pax(records, name) + block if records else block


def _block(member: Member, name: bytes, link: bytes, prefix: bytes) -> bytes:
    seconds = member.mtime_ns // _SECOND
    major = os.major(member.rdev) if member.rdev else 0
    minor = os.minor(member.rdev) if member.rdev else 0
    raw = b"%b%07o\0%07o\0%07o\0%011o\0%011o\0        %b%bustar\x0000%b%07o\0%07o\0%b" % (
        name.ljust(100, b"\0"),
        member.mode & 0o7777,
        member.uid if member.uid < _OCTAL_7 else 0,
        member.gid if member.gid < _OCTAL_7 else 0,
        member.size if member.size < _OCTAL_11 else 0,
        seconds if 0 <= seconds < _OCTAL_11 else 0,
        member.type,
        link.ljust(100, b"\0"),
        bytes(64),
        major,
        minor,
        prefix.ljust(167, b"\0"),
    )
    return raw[:148] + b"%06o\0 " % sum(raw) + raw[156:]


def _split(name: bytes) -> tuple[bytes, bytes]:
    """ustar's prefix and name of a long name; (b"", b"") if it cannot be cut."""
    if len(name) > 256:
        return (b"", b"")
    slash = name.rfind(b"/", 0, 156)
    while slash > 0 and len(name) - slash - 1 <= 100:
        if len(name) - slash - 1 > 0:
            return (name[:slash], name[slash + 1 :])
        slash = name.rfind(b"/", 0, slash)
    return (b"", b"")


def _pax(records: dict[str, bytes], name: bytes) -> bytes:
    body = b"".join(_record(key, value) for key, value in records.items())
    last = name.rstrip(b"/").rpartition(b"/")[2][:80]
    extended = Member("", b"x", 0o644, 0, 0, len(body), 0)
    return _block(extended, b"PaxHeaders.0/" + last, b"", b"") + body + padding(len(body))


def _record(key: str, value: bytes) -> bytes:
    """ "<length> key=value\\n", where the length counts its own digits."""
    bare = b" " + _bytes(key) + b"=" + value + b"\n"
    length = len(bare)
    while len(b"%d" % length) + len(bare) != length:
        length = len(b"%d" % length) + len(bare)
    return b"%d" % length + bare


def _decimal(nanoseconds: int) -> bytes:
    sign = b"-" if nanoseconds < 0 else b""
    whole, fraction = divmod(abs(nanoseconds), _SECOND)
    return sign + (b"%d.%09d" % (whole, fraction)).rstrip(b"0").rstrip(b".")


def padding(size: int) -> bytes:
    """The zeros after `size` bytes of content."""
    return bytes(-size % BLOCK)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
