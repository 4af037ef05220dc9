"""The content of a file in memory: only the pages written take room, holes are read as zeros."""

from __future__ import annotations

PAGE = 4096


class SparseContent:
    """`size` bytes, of which those written lie in pages; a page's end that was never written is not there."""

    __slots__ = ("_pages", "size")

    def __init__(self) -> None:
        self._pages: dict[int, bytearray] = {}
        self.size = 0

    @property
    def used(self) -> int:
        """The room it takes, in bytes of whole pages."""
        return len(self._pages) * PAGE

    def growth(self, start: int, end: int) -> int:
        """How much `used` grows when all bytes from `start` to `end` are written."""
        first, stop = start // PAGE, -(-end // PAGE)
        pages = self._pages
        if stop - first < len(pages):
            there = sum(number in pages for number in range(first, stop))
        else:
            there = sum(first <= number < stop for number in pages)
        return (max(0, stop - first) - there) * PAGE

    def read(self, view: memoryview, offset: int) -> int:
        """Fill `view` from `offset` on; the number of bytes, 0 at the end."""
        count, done = max(0, min(len(view), self.size - offset)), 0
        while done < count:
            number, start = divmod(offset + done, PAGE)
            part = min(PAGE - start, count - done)
            found = self._pages.get(number, b"")[start : start + part]
            view[done : done + part] = found if len(found) == part else found.ljust(part, b"\0")
            done += part
        return count

    def write(self, view: memoryview, offset: int) -> None:
        """Put the bytes at `offset`, growing as needed."""
        done = 0
        while done < len(view):
            number, start = divmod(offset + done, PAGE)
            part = min(PAGE - start, len(view) - done)
            page = self._page(number)
            page.extend(bytes(max(0, start - len(page))))
            page[start : start + part] = view[done : done + part]
            done += part
        self.size = max(self.size, offset + done)

    def fill(self, start: int, end: int) -> None:
        """Take the room for all bytes from `start` to `end`, and be at least so long."""
        for number in range(start // PAGE, -(-end // PAGE)):
            page = self._page(number)
            page.extend(bytes(PAGE - len(page)))
        self.size = max(self.size, end)

    def _page(self, number: int) -> bytearray:
        page = self._pages.get(number)
        if page is None:
            page = self._pages[number] = bytearray()
        return page

    def resize(self, size: int) -> None:
        """Cut it, or let it end with a hole."""
        if size < self.size:
            last, rest = divmod(size, PAGE)
            kept = last + bool(rest)
            self._pages = {number: page for number, page in self._pages.items() if number < kept}
            if rest and last in self._pages:
                del self._pages[last][rest:]
        self.size = size
