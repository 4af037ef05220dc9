"""What a sandboxed process writes: messages of a packet socket, gathered into chunks, in the order written."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator

from backends.core.fdio import readable
from sandbox.wasm.kernel.output import MESSAGE

GATHER = 1 << 18


class OrderedOutput:
    """Owns the descriptor. Nothing is read while the consumer is busy, so a slow consumer holds the writers back."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)

    async def chunks(self) -> AsyncIterator[tuple[int, bytes]]:
        """Yield (1 or 2, bytes) until every writer has gone."""
        room = memoryview(bytearray(GATHER + MESSAGE))  # zero pages of the host until it is written to
        tag = bytearray(1)
        stream = held = 0
        with self._socket:
            while True:
                try:
                    size = self._socket.recvmsg_into([tag, room[held:]])[0] - 1
                except BlockingIOError:
                    size = 0
                if held and (size <= 0 or tag[0] != stream):
                    yield stream, bytes(room[:held])
                    if size > 0:
                        room[:size] = room[held : held + size]
                    held = 0
                if size < 0:
                    return
                if not size:
                    await readable((self._socket.fileno(),))
                    continue
                stream = tag[0]
                held += size
                if held >= GATHER:
                    yield stream, bytes(room[:held])
                    held = 0
