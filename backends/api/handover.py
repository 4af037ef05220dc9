"""Handing a client's connection over to a worker, so that a process's bytes take one hop instead of two.

After the head of a STREAM's answer the caller says who will carry the bytes: ``RELAY`` = the caller, all that follows
is the stream's; ``HAND_OVER`` = the worker. That byte comes with the client's descriptor (SCM_RIGHTS), and behind it a
line of JSON, :class:`Offer`. From then on the caller keeps its own descriptor of the connection, but does not touch it.
The worker sends ``OVER`` when the stream came to its proper end; the caller closes to end it early.
"""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import closing

import msgspec

from backends.api.bytestream import ByteStream

RELAY, HAND_OVER, OVER = b"r", b"h", b"."


class Offer(msgspec.Struct):
    """What the worker must know: input that was received already, whether it has ended, whether it is wanted."""

    received: bytes
    ended: bool
    forward: bool


_decode = msgspec.json.Decoder(Offer).decode


async def give(control: ByteStream, client: ByteStream, forward: bool) -> None:
    """Hand ``client`` over to the worker at the other end of ``control``. Raises OSError."""
    await client.flushed()
    received, ended = client.stop_reading()
    offer = Offer(received, ended, forward)
    with closing(_duplicate(control)) as channel:
        socket.send_fds(channel, [HAND_OVER], [client.transport.get_extra_info("socket").fileno()])
    await control.write(msgspec.json.encode(offer) + b"\n")


async def taker(transport: asyncio.Transport) -> socket.socket | None:
    """Wait for the first byte; return the client's connection, None when the caller goes on itself.

    ``transport`` must not be read meanwhile: whoever reads a descriptor's byte without asking for it loses it. Raises
    ConnectionResetError when the caller is gone.
    """
    with closing(_duplicate(transport)) as channel:
        while True:
            try:
                said, descriptors, _, _ = socket.recv_fds(channel, 1, 1)
                break
            except BlockingIOError:
                await _readable(channel.fileno())
    if not said:
        raise ConnectionResetError("nobody wants the stream")
    return socket.socket(fileno=descriptors[0]) if descriptors else None


async def take(control: ByteStream, connection: socket.socket) -> tuple[ByteStream, bool]:
    """(the client's connection, whether its input is wanted). Raises ConnectionError."""
    line = bytearray()
    while not line.endswith(b"\n"):
        part = await control.read()
        if not part:
            raise ConnectionResetError("the offer is not complete")
        line += part
    offer = _decode(bytes(line))
    connection.setblocking(False)
    made = await asyncio.get_running_loop().connect_accepted_socket(
        lambda: ByteStream(offer.received, offer.ended), connection
    )
    return made[1], offer.forward


def _duplicate(connection: ByteStream | asyncio.Transport) -> socket.socket:
    transport = connection.transport if isinstance(connection, ByteStream) else connection
    return socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno()))


async def _readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(descriptor)
