"""/containers/{ref}/…: what makes a container run, stop and wait."""

from __future__ import annotations

from typing import Any

from falcon.asgi import Response

from backends.api import types as t
from backends.api.errors import Unsupported
from frontend.docker.answers import Area, Body, Rendered, finish
from frontend.request import Request
from frontend.wire.detach import parse_detach_keys
from frontend.wire.errors import BadRequest
from frontend.wire.query import dimension

_NO_CHECKPOINTS = "checkpoints are not supported: no backend can freeze a process into files"
_CONDITIONS = ("not-running", "next-exit", "removed")


class Lifecycle(Area):
    """A container's process."""

    async def on_post_start(self, req: Request, resp: Response, ref: str) -> None:
        """204, 304 when it runs already."""
        if await req.raw_body() not in (b"", b"{}", b"null"):
            raise BadRequest(
                "starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24"
            )
        parse_detach_keys(req.text("detachKeys"))
        if req.text("checkpoint"):
            raise Unsupported(_NO_CHECKPOINTS)
        await finish(self.engine.start_container(ref))
        resp.status = 204

    async def on_post_stop(self, req: Request, resp: Response, ref: str) -> None:
        """204 once it has stopped; ``t`` seconds until it is killed."""
        await finish(self.engine.stop_container(ref, timeout=req.number("t"), signal=req.text("signal", (1, 42))))
        resp.status = 204

    async def on_post_restart(self, req: Request, resp: Response, ref: str) -> None:
        """204."""
        await finish(self.engine.restart_container(ref, timeout=req.number("t"), signal=req.text("signal", (1, 42))))
        resp.status = 204

    async def on_post_kill(self, req: Request, resp: Response, ref: str) -> None:
        """204 once the signal is sent; for KILL, once the process is gone."""
        await finish(self.engine.kill_container(ref, signal=req.text("signal")))
        resp.status = 204

    async def on_post_pause(self, req: Request, resp: Response, ref: str) -> None:
        """204."""
        await finish(self.engine.pause_container(ref))
        resp.status = 204

    async def on_post_unpause(self, req: Request, resp: Response, ref: str) -> None:
        """204."""
        await finish(self.engine.unpause_container(ref))
        resp.status = 204

    async def on_get_checkpoints(self, req: Request, resp: Response, ref: str) -> None:
        """501."""
        raise Unsupported(_NO_CHECKPOINTS)

    async def on_post_checkpoints(self, req: Request, resp: Response, ref: str) -> None:
        """501."""
        raise Unsupported(_NO_CHECKPOINTS)

    async def on_delete_checkpoint(self, req: Request, resp: Response, ref: str, checkpoint: str) -> None:
        """501."""
        raise Unsupported(_NO_CHECKPOINTS)

    async def on_post_resize(self, req: Request, resp: Response, ref: str) -> None:
        """200."""
        height, width = dimension("height", req.text("h")), dimension("width", req.text("w"))
        await self.engine.resize_container(ref, height, width)

    async def on_post_wait(self, req: Request, resp: Response, ref: str) -> None:
        """The head is sent once the waiter is registered, {StatusCode} when the condition is met.

        ``docker run`` waits for the head before it starts the container.
        """
        condition = req.text("condition", (1, 30)) or "not-running"
        if condition not in _CONDITIONS:
            raise BadRequest(f'invalid condition: "{condition}"')
        results = await self.engine.wait_container(ref, condition)
        resp.content_type = "application/json"
        resp.stream = Body(Rendered(results, _exit_result))

    async def on_get_stats(self, req: Request, resp: Response, ref: str) -> None:
        """Usage once a second; with ``stream=0`` one reading, after a second unless ``one-shot``."""
        stream = req.flag("stream") if "stream" in req.params else True
        one_shot = req.flag("one-shot")
        if stream and one_shot:
            raise BadRequest("cannot have stream=true and one-shot=true")
        readings = Rendered(await self.engine.container_stats(ref, stream, one_shot), lambda reading: reading)
        resp.content_type = "application/json"
        if stream:
            resp.stream = Body(readings)
        else:
            try:
                resp.data = await anext(readings)
            finally:
                await readings.aclose()


def _exit_result(result: t.ExitResult) -> dict[str, Any]:
    answer: dict[str, Any] = {"StatusCode": result.status_code}
    if result.error:
        answer["Error"] = {"Message": result.error}
    return answer
