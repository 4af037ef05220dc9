"""Sparse members of a tar, in the four forms that GNU tar writes: old GNU (type ``S``), PAX 0.0, 0.1 and 1.0.

The archive holds only the pieces of such a file that are not holes, one behind the other; a map says where they belong.
Read as Go's archive/tar reads it: pieces in order, none over another or over the end, together all that is stored.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from sandbox.images.errors import InvalidImage

BLOCK = 512
MAX_MAP = 1 << 20
"""Bytes of a map in the archive."""
PREFIX = "GNU.sparse."
_PAIR = (f"{PREFIX}offset", f"{PREFIX}numbytes")
_MAX_SIZE = 1 << 60
_COPY = 1 << 20

Map = tuple[tuple[int, int], ...]
"""(where it belongs in the file, its length), for each stored piece."""


@dataclass(frozen=True, slots=True)
class Sparse:
    """``size`` of the whole file; ``ahead``: bytes of the map before the content, ``stored``: bytes of content."""

    pieces: Map
    size: int
    ahead: int
    stored: int


def collect(records: dict[str, bytes], key: str, value: bytes, pairs: list[bytes]) -> bool:
    """Take a PAX record of form 0.0, which gives each piece by two records of always the same names."""
    if key not in _PAIR:
        return False
    if key != _PAIR[len(pairs) % 2] or b"," in value:
        raise InvalidImage("invalid tar header: malformed sparse map")
    pairs.append(value)
    records[f"{PREFIX}map"] = b",".join(pairs)
    return True


def pax_map(records: Mapping[str, bytes], read: Callable[[int, int], bytes], offset: int, stored: int) -> Sparse | None:
    """A file of a PAX form, of which ``stored`` bytes follow at ``offset``; None if it is none."""
    version = records.get(f"{PREFIX}major"), records.get(f"{PREFIX}minor")
    if version == (b"1", b"0"):
        numbers, used = _leading_numbers(read, offset, stored)
    elif version in ((None, None), (b"0", b"0"), (b"0", b"1")) and f"{PREFIX}numblocks" in records:
        text = records.get(f"{PREFIX}map", b"")
        numbers, used = [_number(part) for part in text.split(b",")] if text else [], 0
        numbers.insert(0, _number(records[f"{PREFIX}numblocks"]))
    elif any(key.startswith(PREFIX) for key in records):
        raise InvalidImage("invalid tar header: sparse entry of an unknown form")
    else:
        return None
    size = _number(records.get(f"{PREFIX}realsize") or records.get(f"{PREFIX}size") or b"")
    return Sparse(_checked(numbers[1:], numbers[0], size, stored - used), size, used, stored - used)


def old_map(
    block: bytes, read: Callable[[int, int], bytes], offset: int, stored: int, number: Callable[[bytes], int]
) -> Sparse:
    """The same of a header ``block`` of type ``S``; here the map's further blocks do not count as stored."""
    numbers = list(_slots(block[386:482], number))
    more, used = block[482], 0
    while more:
        if used >= MAX_MAP:
            raise InvalidImage("invalid tar header: sparse map too large")
        extension = read(BLOCK, offset + used)
        if len(extension) < BLOCK:
            raise InvalidImage("truncated tar: unexpected EOF in a sparse map")
        numbers += _slots(extension[:504], number)
        more, used = extension[504], used + BLOCK
    size = number(block[483:495])
    return Sparse(_checked(numbers, len(numbers) // 2, size, stored), size, used, stored)


def _slots(raw: bytes, number: Callable[[bytes], int]) -> Iterator[int]:
    for start in range(0, len(raw), 24):
        if not raw[start]:
            return
        yield number(raw[start : start + 12])
        yield number(raw[start + 12 : start + 24])


def _leading_numbers(read: Callable[[int, int], bytes], offset: int, stored: int) -> tuple[list[int], int]:
    """The numbers at the start of the content, one a line, and how many bytes they take: whole blocks."""
    data = bytearray()
    lines, wanted = 0, 1
    while lines < wanted:
        if len(data) + BLOCK > min(stored, MAX_MAP):
            raise InvalidImage("invalid tar header: sparse map too large")
        block = read(BLOCK, offset + len(data))
        if len(block) < BLOCK:
            raise InvalidImage("truncated tar: unexpected EOF in a sparse map")
        data += block
        lines += block.count(b"\n")
        if wanted == 1 and lines:
            wanted += 2 * _number(bytes(data.partition(b"\n")[0]))
    return [_number(bytes(line)) for line in data.split(b"\n")[:wanted]], len(data)


def _number(raw: bytes) -> int:
    if not raw.isdigit() or len(raw) > 18:
        raise InvalidImage("invalid tar header: malformed sparse map")
    return int(raw)


def _checked(numbers: list[int], count: int, size: int, stored: int) -> Map:
    found = tuple(zip(numbers[::2], numbers[1::2], strict=False))
    end = 0
    for offset, length in found:
        if offset < end:
            raise InvalidImage("invalid tar header: malformed sparse map")
        end = offset + length
    if len(numbers) != 2 * count or end > size or size > _MAX_SIZE or sum(length for _, length in found) != stored:
        raise InvalidImage("invalid tar header: malformed sparse map")
    return found


class Content:
    """Where the content of a tar's files can be read: the tar ``fd``, or a copy with the sparse files whole behind it.

    ``make`` opens the file for that copy, when the first sparse file comes. OSError of the disk.
    """

    def __init__(self, fd: int, make: Callable[[], int]) -> None:
        self.fd = fd
        self._tar = fd
        self._make = make
        self._end = 0

    def place(self, sparse: Map, stored: int, size: int) -> int:
        """Make a file of ``size`` bytes whole, whose pieces begin at ``stored``; where it begins now."""
        if self.fd == self._tar:
            fd = self._make()
            self._end = os.fstat(self._tar).st_size
            _copy(self._tar, 0, fd, 0, self._end)
            self.fd = fd
        begin = self._end
        self._end += size
        os.ftruncate(self.fd, self._end)
        for offset, length in sparse:
            _copy(self._tar, stored, self.fd, begin + offset, length)
            stored += length
        return begin


def _copy(source: int, start: int, target: int, at: int, count: int) -> None:
    while count > 0:
        view = memoryview(os.pread(source, min(count, _COPY), start))
        if not view:
            raise InvalidImage("truncated tar: unexpected EOF in a sparse file")
        start, count = start + len(view), count - len(view)
        while view:
            written = os.pwrite(target, view, at)
            view, at = view[written:], at + written
