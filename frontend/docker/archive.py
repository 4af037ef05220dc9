"""/containers/{ref}/archive: docker cp, in whatever state the container is."""

from __future__ import annotations

import base64
from typing import Any

from falcon.asgi import Response

from frontend.docker.answers import Area, Body, encode
from frontend.request import Request
from frontend.wire.errors import BadRequest

STAT = "X-Docker-Container-Path-Stat"


class Archive(Area):
    """Files in a container as tars."""

    async def on_head(self, req: Request, resp: Response, ref: str) -> None:
        """The path's description in a header."""
        _describe(resp, await self.engine.stat_path(ref, _path(req)))

    async def on_get(self, req: Request, resp: Response, ref: str) -> None:
        """A tar whose top entry is the path's last name."""
        download = await self.engine.get_archive(ref, _path(req))
        _describe(resp, download.meta)
        resp.content_type = "application/x-tar"
        resp.stream = Body(download.body)

    async def on_put(self, req: Request, resp: Response, ref: str) -> None:
        """Unpack the body, a tar compressed or not, into an existing folder."""
        await self.engine.put_archive(
            ref,
            _path(req),
            req.upload(),
            no_overwrite=req.flag("noOverwriteDirNonDir"),
            copy_uid_gid=req.flag("copyUIDGID"),
        )


def _path(req: Request) -> str:
    path = req.text("path")
    if not path:
        raise BadRequest("bad parameter: path cannot be empty")
    return path


def _describe(resp: Response, found: Any) -> None:
    resp.set_header(STAT, base64.b64encode(encode(found)).decode("ascii"))
