"""/build, /build/prune and /commit: what makes images of Dockerfiles and containers."""

from __future__ import annotations

from typing import Any

import msgspec
from falcon.asgi import Response

from backends.api import types as t
from backends.api.errors import Unsupported
from frontend.docker.answers import Area, Body, Progress, finish, reply
from frontend.request import Request
from frontend.wire.auth import parse_registry_auth
from frontend.wire.bodies import COMMIT
from frontend.wire.errors import BadRequest
from frontend.wire.query import integer

_NUMBERS = {
    "memory": "Memory",
    "memswap": "MemorySwap",
    "cpushares": "CpuShares",
    "cpuperiod": "CpuPeriod",
    "cpuquota": "CpuQuota",
    "shmsize": "ShmSize",
}
_TEXTS = {"cpusetcpus": "CpusetCpus", "cpusetmems": "CpusetMems", "cgroupparent": "CgroupParent"}
_BUILDKIT = (
    "BuildKit is not supported: set DOCKER_BUILDKIT=0 for the classic builder "
    "(docker compose: COMPOSE_DOCKER_CLI_BUILD=0 as well)"
)


class Builds(Area):
    """The classic builder and commit."""

    async def on_post_build(self, req: Request, resp: Response) -> None:
        """A stream of progress; what is wrong with the context or the Dockerfile is told by the status."""
        if req.text("version") == "2" or req.text("session"):
            raise Unsupported(_BUILDKIT)
        if req.flag("squash"):
            raise Unsupported("squashing is not supported: it needs an experimental engine")
        if req.text("outputs"):
            raise Unsupported(f"outputs need BuildKit. {_BUILDKIT}")
        _check(req)
        progress = await Progress.begin(self.engine.build_image(req.upload(), _request(req)))
        resp.content_type = "application/json"
        resp.stream = Body(progress)

    async def on_post_prune(self, req: Request, resp: Response) -> None:
        """What RUN --mount=type=cache has kept. Steps are images, and pruned as such."""
        pruned = await finish(self.engine.prune_builds(req.filters("build/prune"), req.flag("all"), _kept(req)))
        reply(resp, {"CachesDeleted": pruned.deleted or None, "SpaceReclaimed": pruned.space_reclaimed})

    async def on_post_commit(self, req: Request, resp: Response) -> None:
        """{"Id"} of the new image."""
        request = t.CommitContainer(
            repo=req.text("repo"),
            tag=req.text("tag"),
            comment=req.text("comment"),
            author=req.text("author"),
            pause=req.flag("pause") or not req.text("pause"),
            changes=req.texts("changes"),
            config=await req.body(COMMIT),
        )
        reply(resp, {"Id": await finish(self.engine.commit_container(req.text("container"), request))}, 201)


def _check(req: Request) -> None:
    """BadRequest for what the engine refuses on Linux. It does not look at the body's Content-Type."""
    version, isolation = req.text("version"), req.text("isolation")
    if version not in ("", "1"):
        raise BadRequest(f'invalid version "{version}"')
    if req.text("securityopt"):
        raise BadRequest("security options are not supported on linux")
    if isolation.lower() not in ("", "default"):
        raise BadRequest(f'unsupported isolation: "{isolation}"')


def _kept(req: Request) -> t.KeepCache:
    """Since API 1.48 there are three limits; the older name of the first still counts where it has none."""
    if req.version < (1, 48):
        return t.KeepCache(reserved_space=_bytes(req, "keep-storage"))
    return t.KeepCache(
        reserved_space=_bytes(req, "reserved-space") or _bytes(req, "keep-storage"),
        max_used_space=_bytes(req, "max-used-space"),
        min_free_space=_bytes(req, "min-free-space"),
    )


def _bytes(req: Request, name: str) -> int:
    text = req.text(name)
    try:
        return integer(text) if text else 0
    except BadRequest as error:
        raise BadRequest(f"{name} is in bytes and expects an integer, got {text}: {error.message}") from None


def _request(req: Request) -> t.BuildImage:
    host_config: t.Json = {name: integer(req.text(key)) for key, name in _NUMBERS.items() if req.text(key)}
    host_config |= {name: req.text(key) for key, name in _TEXTS.items() if req.text(key)}
    host_config |= {"Ulimits": ulimits} if (ulimits := _json(req, "ulimits", list[Any])) else {}
    return t.BuildImage(
        tags=req.texts("t"),
        dockerfile=req.text("dockerfile"),
        remote=req.text("remote"),
        quiet=req.flag("q"),
        no_cache=req.flag("nocache"),
        cache_from=_json(req, "cachefrom", list[str]) or [],
        pull=req.flag("pull"),
        remove=req.flag("rm") or not req.text("rm"),
        force_remove=req.flag("forcerm"),
        build_args=_json(req, "buildargs", dict[str, str | None]) or {},
        labels=_json(req, "labels", dict[str, str]) or {},
        target=req.text("target"),
        platform=req.text("platform"),
        network_mode=req.text("networkmode"),
        extra_hosts=[entry for text in req.texts("extrahosts") for entry in text.split(",") if entry],
        host_config=host_config,
        auths=parse_registry_auth(req.get_header("x-registry-config")),
        secrets=_secrets(req),
    )


def _json(req: Request, name: str, kind: Any) -> Any:
    text = req.text(name)
    if not text:
        return None
    try:
        return msgspec.json.decode(text, type=kind | None)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadRequest(f"error reading {name}: {error}") from None


def _secrets(req: Request) -> dict[str, str]:
    """["id=x,src=path", …] with paths in the context, as podman sends them."""
    found: dict[str, str] = {}
    for text in _json(req, "secrets", list[str]) or ():
        fields = dict(field.partition("=")[::2] for field in text.split(","))
        if not fields.get("id") or not fields.get("src"):
            raise BadRequest(f"invalid secret {text!r}: id and src are needed")
        found[fields["id"]] = fields["src"]
    return found
