"""Peers that go away at awkward moments: before what they sent is read, after their socket's number serves another."""

from __future__ import annotations

import asyncio
import os
import socket

from backends.api.bytestream import LIMIT, ByteStream
from backends.api.hangup import HangupWatch, hangup_watch


async def stream_to(sock: socket.socket) -> ByteStream:
    return (await asyncio.get_running_loop().create_unix_connection(ByteStream, sock=sock))[1]


async def test_an_end_that_is_told_before_the_data_that_pauses_reading() -> None:
    ours, theirs = socket.socketpair()
    stream = await stream_to(ours)
    stream.inbox.feed(bytes(LIMIT))
    theirs.sendall(bytes(100_000))
    theirs.close()
    hangup_watch()._dispatch()
    await asyncio.wait_for(stream.wait_lost(), 5)


async def test_a_number_that_serves_another_socket_is_not_mistaken_for_the_old_one() -> None:
    watch = HangupWatch(asyncio.get_running_loop())
    called: list[str] = []

    def old() -> None:
        called.append("old")

    ours, theirs = socket.socketpair()
    other, peer = socket.socketpair()
    elsewhere = ours.dup()  # as a worker has it after a hand-over
    number = ours.fileno()
    watch.add(number, old)
    watch.remove(number, old)
    ours.close()
    os.dup2(other.fileno(), number)
    watch.add(number, lambda: called.append("new"))
    theirs.close()
    watch._dispatch()
    assert called == []
    peer.close()
    watch._dispatch()
    assert called == ["new"]
    for each in (other, elsewhere):
        each.close()
    os.close(number)
