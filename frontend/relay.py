"""What the frontend does with a connection that it has taken over."""

from __future__ import annotations

import array
import asyncio
import fcntl
import socket
from collections.abc import Callable
from contextlib import suppress

from backends.api.bytestream import ByteStream
from backends.api.client import RemoteStream
from backends.api.engine import Stream
from backends.api.errors import EngineError
from backends.api.relay import relay, tell

_SIOCOUTQ = 0x5411
_HEAD_SECONDS = 0.05


async def carry(client: ByteStream, stream: Stream, forward: bool) -> None:
    """Between client and process until one of them ends; a worker's stream goes there without passing through here."""
    if not isinstance(stream, RemoteStream):
        await relay(client, stream, forward)
        return
    try:
        await stream.hand_over(client, forward)
    except EngineError as error:
        with suppress(ConnectionError):
            await tell(client, stream, error)
    finally:
        await stream.close()


def sent_by_docker_py(header: Callable[[str], str | None]) -> bool:
    """Whether docker-py asks, by its name or, under that of a program built on it, by the headers of its library."""
    if (header("user-agent") or "").startswith("docker-sdk-python"):
        return True
    return header("accept") == "*/*" and (header("accept-encoding") or "").startswith("gzip, deflate")


async def head_received(connection: socket.socket, header: Callable[[str], str | None]) -> None:
    """Wait until docker-py has read the answer's head; ``header`` gives those of its request by name in lower case.

    It reads the stream from below a buffer that may have swallowed what came together with the head. On a Unix socket
    the kernel tells when all was read; on TCP only that it arrived, so there we wait a little.
    """
    if not sent_by_docker_py(header):
        return
    if connection.family != socket.AF_UNIX:
        await asyncio.sleep(_HEAD_SECONDS)
        return
    unread = array.array("i", [1])
    deadline = asyncio.get_running_loop().time() + _HEAD_SECONDS
    while asyncio.get_running_loop().time() < deadline:
        fcntl.ioctl(connection.fileno(), _SIOCOUTQ, unread)
        if not unread[0]:
            return
        await asyncio.sleep(0.0005)
