"""/containers/{ref}/exec and /exec/{exec_id}/…"""

from __future__ import annotations

from typing import Any

from falcon.asgi import Response

from backends.api import types as t
from frontend.docker.answers import Area, finish, reply
from frontend.docker.streams import carry
from frontend.request import Request
from frontend.wire import newer
from frontend.wire.bodies import CREATE_EXEC, START_EXEC
from frontend.wire.detach import parse_detach_keys
from frontend.wire.errors import BadRequest
from frontend.wire.query import dimension


class Execs(Area):
    """Processes beside a container's own."""

    async def on_post_create(self, req: Request, resp: Response, ref: str) -> None:
        """201 {Id}."""
        body = await req.body(CREATE_EXEC) or {}
        newer.leave_out(body, req.version, newer.EXEC)
        request = exec_request(body)
        reply(resp, {"Id": await finish(self.engine.create_exec(ref, request))}, 201)

    async def on_post_start(self, req: Request, resp: Response, exec_id: str) -> None:
        """The raw connection, see attach; with ``Detach`` 200 as soon as the process runs."""
        body = await req.body(START_EXEC) or {}
        newer.leave_out(body, req.version, newer.EXEC)
        request = t.StartExec(
            detach=bool(body.get("Detach")), tty=bool(body.get("Tty")), console_size=console_size(body)
        )
        if request.detach:
            await finish(self.engine.start_exec_detached(exec_id, request))
            return
        await carry(req, await self.engine.start_exec(exec_id, request), forward=True)

    async def on_get_inspect(self, req: Request, resp: Response, exec_id: str) -> None:
        """State and exit code."""
        reply(resp, await self.engine.inspect_exec(exec_id))

    async def on_post_resize(self, req: Request, resp: Response, exec_id: str) -> None:
        """200."""
        height, width = dimension("height", req.text("h")), dimension("width", req.text("w"))
        await self.engine.resize_exec(exec_id, height, width)


def exec_request(body: dict[str, Any]) -> t.CreateExec:
    """Return the typed form of a checked body. Raises BadRequest."""
    if not body.get("Cmd"):
        raise BadRequest("No exec command specified")
    keys = body.get("DetachKeys") or ""
    if keys:
        parse_detach_keys(keys)
    return t.CreateExec(
        cmd=body["Cmd"],
        env=body.get("Env") or [],
        user=body.get("User") or "",
        working_dir=body.get("WorkingDir") or "",
        tty=bool(body.get("Tty")),
        privileged=bool(body.get("Privileged")),
        attach_stdin=bool(body.get("AttachStdin")),
        attach_stdout=bool(body.get("AttachStdout")),
        attach_stderr=bool(body.get("AttachStderr")),
        detach_keys=keys,
        console_size=console_size(body),
    )


def console_size(body: dict[str, Any]) -> list[int] | None:
    """[height, width]; [0, 0] means unset."""
    size: list[int] | None = body.get("ConsoleSize")
    return size if size is not None and any(size) else None
