"""The OpenAPI description of what this server answers, read from the routes and the code of their responders.

``python -m frontend.openapi`` prints docs/openapi.json; a test holds the file against it. Parameters are what a
responder reads of its request, bodies the shapes it checks them by, so the description cannot promise what is not so.
Connections that are taken over (attach, exec) are described up to their head.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, cast

import msgspec

from backends.api import types as t
from backends.api.engine import Engine
from backends.api.version import VERSION
from frontend.app import routes
from frontend.responders import Reading, read_responder
from frontend.wire.imagepaths import ACTIONS
from frontend.wire.versions import NEWEST

Json = dict[str, Any]
METHODS = ("get", "head", "post", "put", "delete")
_TAR = "application/x-tar"
_PARAMETERS: dict[str, Json] = {
    "text": {"type": "string"},
    "texts": {"type": "array", "items": {"type": "string"}},
    "flag": {"type": "boolean"},
    "number": {"type": "integer", "format": "int64"},
    "time": {"type": "string", "description": "Unix seconds with a fraction, RFC 3339, or how long ago: 10m"},
    "filters": {"type": "string", "contentMediaType": "application/json"},
}
_ERROR: Json = {
    "description": "What is wrong, in Docker's words.",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
}


def description() -> Json:
    """Return the whole document."""
    paths: dict[str, Json] = {}
    for path, method, reading in operations():
        paths.setdefault(path, {})[method] = _operation(path, method, reading)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Docker Engine API as Sockerless serves it",
            "version": str(NEWEST),
            "description": f"Of version {VERSION}. Every path also with a version, /v1.24 to /v{NEWEST}.",
        },
        "servers": [{"url": f"/v{NEWEST}"}],
        "paths": paths,
        "components": {"schemas": _schemas(paths)},
    }


def operations() -> Iterator[tuple[str, str, Reading]]:
    """Yield each path, method and what its responder reads, in the order of the route table."""
    for path, resource, suffix in routes(cast(Engine, None), ""):
        for method in METHODS:
            responder = getattr(resource, f"on_{method}{f'_{suffix}' if suffix else ''}", None)
            if responder is None:
                continue
            for plain, action in _plain(path, method):
                yield plain, method, read_responder(responder, action)


def _plain(path: str, method: str) -> Iterator[tuple[str, str]]:
    """An image's name holds slashes: what the router takes as one path is one path an action here."""
    if not path.endswith("{path:path}"):
        yield path, ""
    elif path.startswith("/images/") and method != "delete":
        for action in ACTIONS[method.upper()]:
            yield f"/images/{{name}}/{action}", action
    else:
        yield path.replace("{path:path}", "{name}" if method == "delete" else "{name}/json"), ""


def _operation(path: str, method: str, reading: Reading) -> Json:
    names = [part.strip("{}") for part in path.split("/") if part.startswith("{")]
    parameters: list[Json] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}} for name in names
    ]
    for name, (kind, detail) in sorted(reading.parameters.items()):
        schema = dict(_PARAMETERS[kind])
        if kind == "filters" and detail:
            schema["description"] = f"JSON: lists or maps of values by key. Keys: {', '.join(detail)}"
        parameters.append({"name": name, "in": "query", "schema": schema})
    described: Json = {
        "operationId": "_".join([method, *(part.strip("{}") for part in path.strip("/").split("/"))]),
        "summary": reading.summary,
    }
    if parameters:
        described["parameters"] = parameters
    if body := _body(reading):
        described["requestBody"] = body
    done = {} if reading.refuses else {str(reading.status): _answer(reading)}
    return described | {"responses": {**done, "default": _ERROR}}


def _body(reading: Reading) -> Json | None:
    if reading.shape is not None:
        return {"required": reading.required, "content": {"application/json": {"schema": reading.shape}}}
    if reading.upload:
        return {"content": {_TAR: {"schema": {"type": "string", "format": "binary"}}}}
    return None


def _answer(reading: Reading) -> Json:
    answer: Json = {"description": reading.summary or "Done."}
    if reading.result is not None:
        schema = msgspec.json.schema_components([reading.result], ref_template="#/components/schemas/{name}")[0][0]
        answer["content"] = {"application/json": {"schema": schema}}
    elif reading.media:
        answer["content"] = {media: {} for media in reading.media}
    return answer


def _schemas(paths: Json) -> Json:
    """The types that answers are of, and the error's."""
    kinds = [reading.result for _, _, reading in operations() if reading.result is not None]
    found = msgspec.json.schema_components([*kinds, t.ExitResult], ref_template="#/components/schemas/{name}")[1]
    error = {"type": "object", "properties": {"message": {"type": "string"}}, "required": ["message"]}
    return {"Error": error, **dict(sorted(found.items()))}


def page() -> str:
    """Return the text of docs/openapi.json."""
    return json.dumps(description(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    print(page(), end="")
