"""What a request of Docker's API is about, read off its method and path alone."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import parse_qs

from frontend.wire.imagepaths import split_image_path

_VERSION = re.compile(r"/v[0-9.]+(?=/)")
_DEFAULTS = re.compile(
    r"/(images/(create|load|search)|build|session|grpc|auth|distribution/.+"
    r"|(swarm|nodes|services|tasks|secrets|configs|plugins)(/.*)?)"
)
_EVERYBODYS = ("/containers/json", "/containers/prune", "/images/json", "/images/prune", "/images/get", "/build/prune")


class Concern(NamedTuple):
    """``kind``: create, container, exec, image, network, volume (``ref`` says which), default (whatever the default
    worker has), or all (several workers', or the endpoint's own)."""

    kind: str
    ref: str = ""


ALL = Concern("all")
DEFAULT = Concern("default")


def concern(method: str, path: str, query: str) -> Concern:
    """``path`` is decoded and may begin with a version."""
    path = _VERSION.sub("", path, count=1) if path.startswith("/v") else path
    if path in _EVERYBODYS:
        return ALL
    if _DEFAULTS.fullmatch(path):
        return DEFAULT
    if path == "/commit":
        return Concern("container", parse_qs(query).get("container", [""])[0])
    area, _, rest = path.removeprefix("/").partition("/")
    first, _, verb = rest.partition("/")
    match area:
        case "containers" if rest == "create":
            return Concern("create")
        case "containers" if first and "/" not in verb and verb != "rename":
            return Concern("container", first)
        case "containers" if verb == "attach/ws":
            return Concern("container", first)
        case "exec" if first and verb:
            return Concern("exec", first)
        case "images":
            return _image(method, rest)
        case "networks" | "volumes" if method == "GET" and first and not verb:
            return Concern(area.removesuffix("s"), first)
    return ALL


def _image(method: str, rest: str) -> Concern:
    if method == "DELETE" and rest:
        return Concern("image", rest)
    found = split_image_path(method, rest)
    return Concern("image", found[0]) if found else ALL
