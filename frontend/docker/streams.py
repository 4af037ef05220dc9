"""/containers/{ref}/attach and /logs, and the heads of taken-over connections."""

from __future__ import annotations

from falcon.asgi import Response

from backends.api import types as t
from backends.api.bytestream import ByteStream
from backends.api.engine import Stream
from backends.api.errors import EngineError
from frontend import relay
from frontend.docker.answers import Area, Body
from frontend.request import Request
from frontend.wire.detach import parse_detach_keys
from frontend.wire.errors import BadRequest
from frontend.wire.query import tail

RAW = "application/vnd.docker.raw-stream"
MULTIPLEXED = "application/vnd.docker.multiplexed-stream"


class Streams(Area):
    """A container's output and input."""

    async def on_post_attach(self, req: Request, resp: Response, ref: str) -> None:
        """The raw connection: 101 for a client that asks to upgrade, else 200. Errors are plain text, as in Docker."""
        try:
            parse_detach_keys(req.text("detachKeys"))
            await req.raw_body()  # some clients repeat the query there
            stream = await self.engine.attach_container(ref, _attach_options(req))
        except (BadRequest, EngineError) as error:
            resp.status = error.status if isinstance(error, EngineError) else 400
            resp.content_type = RAW
            resp.set_header("Connection", "close")
            resp.data = f"{error.message}\r\n".encode()
            return
        await carry(req, stream, req.flag("stdin"))

    async def on_get_logs(self, req: Request, resp: Response, ref: str) -> None:
        """What was written so far, and with ``follow`` what will be; the head is sent at once."""
        options = t.LogOptions(
            stdout=req.flag("stdout"),
            stderr=req.flag("stderr"),
            follow=req.flag("follow"),
            timestamps=req.flag("timestamps"),
            details=req.flag("details"),
            tail=tail(req.text("tail") or None),
            since=req.time("since"),
            until=req.time("until"),
        )
        if not (options.stdout or options.stderr):
            raise BadRequest("must specify at least one of 'stdout' or 'stderr'")
        download = await self.engine.container_logs(ref, options)
        resp.content_type = content_type(req, bool(download.meta))
        resp.stream = Body(download.body)


def _attach_options(req: Request) -> t.AttachOptions:
    return t.AttachOptions(
        stdin=req.flag("stdin"),
        stdout=req.flag("stdout"),
        stderr=req.flag("stderr"),
        stream=req.flag("stream"),
        logs=req.flag("logs"),
        detach_keys=req.text("detachKeys"),
    )


def content_type(req: Request, tty: bool) -> str:
    """Since API 1.42 the type tells whether the stream is framed."""
    return RAW if tty or req.version < (1, 42) else MULTIPLEXED


async def carry(req: Request, stream: Stream, forward: bool) -> None:
    """Take the request's connection over and relay until the end."""
    try:
        client = await take_over(req, stream.tty)
    except BaseException:
        await stream.close()
        raise
    async with client:
        await relay.carry(client, stream, forward)


async def take_over(req: Request, tty: bool) -> ByteStream:
    """Answer 101 or 200 and return the connection."""
    takeover = req.takeover
    if req.get_header("upgrade"):
        head = [("Content-Type", content_type(req, tty)), ("Connection", "Upgrade"), ("Upgrade", "tcp")]
        client = await takeover("101 UPGRADED", head)
    else:
        client = await takeover("200 OK", [("Content-Type", RAW)])
    await relay.head_received(takeover.socket, req.get_header)
    return client
