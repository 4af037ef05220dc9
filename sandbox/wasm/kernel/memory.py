"""A program's linear memory as the kernel sees it: little endian, 32-bit addresses, bounds-checked."""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable
from typing import Any

_MASK = 0xFFFFFFFF
_I32 = struct.Struct("<i")
_U32 = struct.Struct("<I")


def _fault() -> OSError:
    return OSError(errno.EFAULT, "bad address")


class Memory:
    """`window` covers the whole memory; `refresh` answers the present window after the program has grown it.

    Only the program's own thread may use it: the window dies with the machine. A bad address raises OSError(EFAULT).
    """

    __slots__ = ("_refresh", "_size", "_window", "on_growth")

    def __init__(self, window: memoryview, refresh: Callable[[], memoryview] | None = None) -> None:
        self._window = window
        self._size = len(window)
        self._refresh = refresh
        self.on_growth: Callable[[], None] | None = None
        """Told when a bigger memory is noticed, which is at the first use of an address in the new part."""

    def _grow(self, end: int) -> None:
        if end > self.size():
            raise _fault()

    def size(self) -> int:
        """Bytes of memory the program has now."""
        if self._refresh is not None:
            self._window = self._refresh()
            before, self._size = self._size, len(self._window)
            if before != self._size and self.on_growth is not None:
                self.on_growth()
        return self._size

    def view(self, address: int, size: int) -> memoryview:
        """A writable window on `size` bytes of the program's memory."""
        address &= _MASK
        end = address + (size & _MASK)
        if end > self._size:
            self._grow(end)
        return self._window[address:end]

    def read(self, address: int, size: int) -> bytes:
        address &= _MASK
        end = address + (size & _MASK)
        if end > self._size:
            self._grow(end)
        return bytes(self._window[address:end])

    def write(self, address: int, data: bytes | bytearray | memoryview) -> None:
        address &= _MASK
        end = address + len(data)
        if end > self._size:
            self._grow(end)
        self._window[address:end] = data

    def unpack(self, layout: struct.Struct, address: int) -> tuple[Any, ...]:
        address &= _MASK
        if address + layout.size > self._size:
            self._grow(address + layout.size)
        return layout.unpack_from(self._window, address)

    def pack(self, layout: struct.Struct, address: int, *values: Any) -> None:
        address &= _MASK
        if address + layout.size > self._size:
            self._grow(address + layout.size)
        layout.pack_into(self._window, address, *values)

    def i32(self, address: int) -> int:
        value: int = self.unpack(_I32, address)[0]
        return value

    def u32(self, address: int) -> int:
        value: int = self.unpack(_U32, address)[0]
        return value

    def cstring(self, address: int) -> str:
        """The zero-terminated string at `address`; bytes that are not UTF-8 become surrogates."""
        return self.cbytes(address).decode("utf-8", "surrogateescape")

    def cbytes(self, address: int) -> bytes:
        address &= _MASK
        if not address:
            raise _fault()
        step = 64
        while True:
            end = min(address + step, self._size)
            if end <= address:
                self._grow(address + 1)
                continue
            chunk = bytes(self._window[address:end])
            stop = chunk.find(0)
            if stop >= 0:
                return chunk[:stop]
            if end == self._size:
                self._grow(end + 1)
            step *= 4

    def strings(self, address: int) -> list[str]:
        """A zero-terminated array of string pointers, as argv and environ are."""
        found: list[str] = []
        while address and (pointer := self.u32(address)):
            found.append(self.cstring(pointer))
            address += 4
        return found
