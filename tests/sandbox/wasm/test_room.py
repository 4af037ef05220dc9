"""The worker's room for processes is given and given back."""

from __future__ import annotations

import pytest

from sandbox.wasm.engine import Room


def test_room_is_limited_and_comes_back() -> None:
    room = Room(mappings=36)
    for _ in range(3):
        room.take()
    with pytest.raises(MemoryError, match="no room for another process"):
        room.take()
    room.give()
    room.take()
    with pytest.raises(MemoryError):
        room.take()
