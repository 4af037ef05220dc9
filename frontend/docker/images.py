"""/images, and what registries know of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from typing import Any

import msgspec
from falcon.asgi import Response

from backends.api import types as t
from backends.api.errors import EngineError, NotFound, Unauthorized, Unsupported
from frontend.docker.answers import Area, Body, Progress, finish, reply
from frontend.docker.render import render_image
from frontend.request import Request
from frontend.wire.auth import parse_registry_auth
from frontend.wire.errors import BadRequest
from frontend.wire.imagepaths import split_image_path
from frontend.wire.versions import Version


class Images(Area):
    """Images. Their names hold slashes, so ``path`` is all that follows /images/."""

    async def on_get_list(self, req: Request, resp: Response) -> None:
        """Tagged images, or with ``all`` every one."""
        filters = req.filters("images")
        if req.version < (1, 41) and req.text("filter"):
            filters["reference"] = [*filters.get("reference", ()), req.text("filter")]
        summaries = await self.engine.list_images(req.flag("all"), filters, req.flag("shared-size"))
        if req.version < (1, 51):
            summaries = [msgspec.structs.replace(image, containers=-1) for image in summaries]
        reply(resp, [render_summary(image, req.version) for image in summaries])

    async def on_post_create(self, req: Request, resp: Response) -> None:
        """Pull (``fromImage``), or import a root file system (``fromSrc``, "-" or a URL); a stream of progress."""
        platform = req.text("platform", (1, 32))
        if name := req.text("fromImage"):
            start = _refused_as_failure(self.engine.pull_image(name, req.text("tag"), platform, _auth(req)))
        else:
            request = t.ImportImage(
                source=req.text("fromSrc"),
                repo=req.text("repo"),
                tag=req.text("tag"),
                message=req.text("message"),
                changes=req.texts("changes"),
                platform=platform,
            )
            start = self.engine.import_image(req.upload(), request)
        _stream(resp, await Progress.begin(start))

    async def on_post_load(self, req: Request, resp: Response) -> None:
        """Load a saved archive (Docker's or OCI's, compressed or not); a stream of progress, any failure inside it."""
        start = self.engine.load_images(req.upload(), req.flag("quiet"), req.text("platform", (1, 48)))
        _stream(resp, await Progress.begin_whatever_happens(start))

    async def on_get_save(self, req: Request, resp: Response) -> None:
        """Images as one archive."""
        await self._save(resp, req.texts("names"), req.text("platform", (1, 48)))

    async def on_post_prune(self, req: Request, resp: Response) -> None:
        """Remove unused images; unless ``dangling=false`` only untagged ones."""
        deleted, space = await finish(self.engine.prune_images(req.filters("images/prune")))
        reply(resp, {"ImagesDeleted": deleted or None, "SpaceReclaimed": space})

    async def on_get_search(self, req: Request, resp: Response) -> None:
        """Ask Docker Hub's index, or that of the registry that the term begins with."""
        found = await self.engine.search_images(
            req.text("term"), req.number("limit"), req.filters("images/search"), _auth(req)
        )
        reply(resp, found)

    async def on_get(self, req: Request, resp: Response, path: str) -> None:
        """…/json, …/history, …/get."""
        name, action = _split(req, path)
        match action:
            case "json":
                platform = req.text("platform", (1, 49))
                if platform and req.flag("manifests"):
                    raise BadRequest("conflicting options: manifests and platform options cannot both be set")
                image = await self.engine.inspect_image(name, platform)
                reply(resp, render_image(image, req.version))
            case "history":
                await self._check_platform([name], req.text("platform", (1, 48)))
                reply(resp, await self.engine.image_history(name))
            case "get":
                await self._save(resp, [name], req.text("platform", (1, 48)))
            case _:
                raise Unsupported("attestations are not kept: only the image of one platform is pulled")

    async def on_post(self, req: Request, resp: Response, path: str) -> None:
        """…/tag, and …/push: a stream of progress."""
        name, action = _split(req, path)
        if action == "push":
            start = self.engine.push_image(name, req.text("tag"), req.text("platform", (1, 46)), _auth(req))
            _stream(resp, await Progress.begin(start))
            return
        await finish(self.engine.tag_image(name, req.text("repo"), req.text("tag")))
        resp.status = 201

    async def on_delete(self, req: Request, resp: Response, path: str) -> None:
        """[{Untagged}, {Deleted}]."""
        if req.version >= (1, 50) and req.texts("platforms"):
            raise Unsupported("an image here is of one platform: remove it without naming platforms")
        reply(resp, await finish(self.engine.remove_image(path, req.flag("force"), req.flag("noprune"))))

    async def _check_platform(self, names: list[str], platform: str) -> None:
        """An image here has one platform: asked for another one there is none."""
        for name in names if platform else ():
            await self.engine.inspect_image(name, platform)

    async def _save(self, resp: Response, names: list[str], platform: str) -> None:
        await self._check_platform(names, platform)
        download = await self.engine.save_images(names)
        resp.content_type = "application/x-tar"
        resp.stream = Body(download.body)


async def _refused_as_failure(start: Awaitable[AsyncIterator[t.Progress]]) -> AsyncIterator[t.Progress]:
    """A registry that refuses is a 500 of dockerd's: at a 401 the docker CLI would ask its terminal for a password."""
    try:
        return await start
    except Unauthorized as error:
        raise EngineError(error.message) from error


def _auth(req: Request) -> dict[str, Any]:
    return parse_registry_auth(req.get_header("x-registry-auth"))


def _split(req: Request, path: str) -> tuple[str, str]:
    found = split_image_path(req.method, path)
    if found is None:
        raise NotFound("page not found")
    return found


def _stream(resp: Response, progress: Progress) -> None:
    resp.content_type = "application/json"
    resp.stream = Body(progress)


def render_summary(image: t.ImageSummary, version: Version) -> Any:
    """Docker's ImageSummary; VirtualSize went with API 1.44, the names of what has none with 1.43."""
    if version >= (1, 44):
        return image
    fields = {**msgspec.to_builtins(image), "VirtualSize": image.size}
    if version < (1, 43) and not image.repo_tags and not image.repo_digests:
        fields |= {"RepoTags": ["<none>:<none>"], "RepoDigests": ["<none>@<none>"]}
    return fields
