"""docs/features.md against what a running server does: every route answers for itself, every refusal as written."""

from __future__ import annotations

import http.client
import io
import json
import re
import socket
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import pytest

from appliance import features
from backends.api import types as t
from backends.api.engine import Engine as EngineContract
from backends.api.errors import Unsupported
from backends.docker.engine import DockerEngine
from frontend.routing.router import route
from tests.clients.engine import Engine

NOTHING = quote(json.dumps({"label": ["nothing-has-this-label"]}))
TAR = "application/x-tar"
SWARM = (
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm'
    " and try again."
)
BUILDKIT = (
    "BuildKit is not supported: set DOCKER_BUILDKIT=0 for the classic builder "
    "(docker compose: COMPOSE_DOCKER_CLI_BUILD=0 as well)"
)
SESSION = "BuildKit is not supported: set DOCKER_BUILDKIT=0 to build with the classic builder, which is"
PLUGINS = "plugins are not supported: networks and volumes are the backend's own, logs this engine's"
CHECKPOINTS = "checkpoints are not supported: no backend can freeze a process into files"
H2C = {"Connection": "Upgrade", "Upgrade": "h2c"}
#: what makes requests of these routes harmless, and quick
QUERY = {
    "/events": "?since=1&until=2",
    "/auth": "",
    "/images/create": "?fromSrc=http://",
    "/images/search": "?term=127.0.0.1:1/x",
    "/images/prune": f"?filters={NOTHING}",
    "/containers/prune": f"?filters={NOTHING}",
    "/networks/prune": f"?filters={NOTHING}",
    "/volumes/prune": f"?filters={NOTHING}",
    "/build/prune": f"?filters={quote(json.dumps({'id': ['nosuch']}))}",
    "/containers/{ref}/archive": "?path=/",
    "/commit": "?container=nosuch",
    "/images/get": "?names=nosuch",
}
IMAGE_ACTIONS = {
    "GET": ("/json", "/history", "/get", "/attestations"),
    "POST": ("/tag?repo=x", "/push"),
    "DELETE": ("",),
}
#: routes that are there to be refused
REFUSED = {
    ("GET", "/images/127.0.0.1:1/nosuch/attestations"),
    ("GET", "/containers/nosuch/checkpoints"),
    ("POST", "/containers/nosuch/checkpoints"),
    ("DELETE", "/containers/nosuch/checkpoints/nosuch"),
    ("POST", "/session"),
    ("POST", "/grpc"),
    ("GET", "/plugins/privileges"),
    ("POST", "/plugins/pull"),
    ("POST", "/plugins/create"),
}
#: swarm's operations of API 1.51: 503
SWARMS = {
    "GET": "/swarm /swarm/unlockkey /nodes /nodes/x /services /services/x /services/x/logs /tasks /tasks/x"
    " /tasks/x/logs /secrets /secrets/x /configs /configs/x",
    "POST": "/swarm/init /swarm/join /swarm/leave /swarm/unlock /swarm/update /nodes/x/update /services/create"
    " /services/x/update /secrets/create /secrets/x/update /configs/create /configs/x/update",
    "DELETE": "/nodes/x /services/x /secrets/x /configs/x",
}
#: every other operation of API 1.51
OPERATIONS = {
    "GET": "/_ping /containers/json /containers/x/archive /containers/x/attach/ws /containers/x/changes"
    " /containers/x/export /containers/x/json /containers/x/logs /containers/x/stats /containers/x/top"
    " /distribution/x/json /events /exec/x/json /images/get /images/json /images/search /images/x/get"
    " /images/x/history /images/x/json /info /networks /networks/x /plugins /plugins/privileges /plugins/x/json"
    " /system/df /version /volumes /volumes/x",
    "HEAD": "/_ping /containers/x/archive",
    "POST": "/auth /build /build/prune /commit /containers/create /containers/prune /containers/x/attach"
    " /containers/x/exec /containers/x/kill /containers/x/pause /containers/x/rename /containers/x/resize"
    " /containers/x/restart /containers/x/start /containers/x/stop /containers/x/unpause /containers/x/update"
    " /containers/x/wait /exec/x/resize /exec/x/start /images/create /images/load /images/prune /images/x/push"
    " /images/x/tag /networks/create /networks/prune /networks/x/connect /networks/x/disconnect /plugins/create"
    " /plugins/pull /plugins/x/disable /plugins/x/enable /plugins/x/push /plugins/x/set /plugins/x/upgrade /session"
    " /volumes/create /volumes/prune",
    "PUT": "/containers/x/archive /volumes/x",
    "DELETE": "/containers/x /images/x /networks/x /plugins/x /volumes/x",
}


@dataclass
class Answer:
    """``message`` is an error's, that of a late one too."""

    status: int
    body: bytes

    @property
    def message(self) -> str:
        lines = [line for line in self.body.splitlines() if line]
        last = json.loads(lines[-1]) if lines and lines[-1].startswith(b"{") else {}
        return str(last.get("message") or last.get("error") or "")


def ask(
    engine: Engine, method: str, target: str, body: Any = None, kind: str = "application/json", headers: Any = None
) -> Answer:
    connection = http.client.HTTPConnection("localhost", timeout=120)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(120)
    connection.sock.connect(engine.socket)
    data = body if isinstance(body, bytes) else json.dumps({} if body is None else body).encode()
    has_body = method in ("POST", "PUT")
    connection.request(method, target, data if has_body else None, {"Content-Type": kind, **(headers or {})})
    answer = connection.getresponse()
    found = Answer(answer.status, answer.read())
    connection.close()
    return found


def targets(method: str, path: str) -> list[str]:
    """Requests of a route about things that do not exist."""
    if path == "/images/{path:path}":
        return [f"/images/127.0.0.1:1/nosuch{action}" for action in IMAGE_ACTIONS[method]]
    if path == "/distribution/{path:path}":
        return ["/distribution/NoReference/json"]
    return [re.sub(r"\{\w+\}", "nosuch", path) + QUERY.get(path, "")]


REASONS = features.refusals()
ROUTES = [(method, path) for path, methods in features.endpoints() for method in methods]


@pytest.mark.parametrize(("method", "path"), ROUTES, ids=[f"{method} {path}" for method, path in ROUTES])
def test_a_route_that_is_listed_answers(ours: Engine, method: str, path: str) -> None:
    for target in targets(method, path):
        headers = H2C if path in ("/session", "/grpc") else {}
        body = b"" if headers or path in ("/images/create", "/containers/{ref}/start") else None
        answer = ask(ours, method, f"/v1.51{target}", body, headers=headers)
        if method != "HEAD":
            assert answer.message != "page not found"
        assert (answer.status == 501) == ((method, target.partition("?")[0]) in REFUSED), (target, answer)


def test_what_is_not_listed_is_no_page(ours: Engine) -> None:
    listed = set(ROUTES)
    for path in {path for _, path in ROUTES} - {"/images/{path:path}"}:
        for method in ("GET", "POST", "PUT", "DELETE", "PATCH"):
            # the router's own names are names of objects too: GET /networks/create is about a network
            named = re.sub(r"(?<=/)(create|json|prune)\Z", "{ref}", path)
            if (method, path) in listed or {(method, named), (method, named.replace("{ref}", "{name}"))} & listed:
                continue
            if path.startswith("/plugins/"):
                continue  # likewise
            answer = ask(ours, method, targets("", path)[0])
            assert (answer.status, answer.message) == (404, "page not found"), (method, path)


def test_every_operation_of_the_api_has_a_route() -> None:
    listed = {
        (method, re.compile(re.sub(r"\{\w+(:path)?\}", lambda found: ".+" if found[1] else "[^/]+", path)))
        for method, path in ROUTES
    }
    missing = [
        (method, path)
        for method, paths in OPERATIONS.items()
        for path in paths.split()
        if not any(method == known and pattern.fullmatch(path) for known, pattern in listed)
    ]
    assert missing == []


def test_swarm_answers_as_outside_a_swarm(ours: Engine) -> None:
    for method, paths in SWARMS.items():
        for path in paths.split():
            answer = ask(ours, method, f"/v1.51{path}")
            assert (answer.status, answer.message) == (503, SWARM), path


# -- refusals


def context(dockerfile: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo("Dockerfile")
        info.size = len(dockerfile)
        archive.addfile(info, io.BytesIO(dockerfile.encode()))
    return buffer.getvalue()


def container(**host: Any) -> dict[str, Any]:
    return {"Image": "sockerless/base", "Cmd": ["true"], "HostConfig": host}


def built(step: str) -> tuple[str, str, bytes, str]:
    return "POST", "/build", context(f"FROM sockerless/base\n{step}\n"), TAR


IN_MEMORY = {
    "Type": "volume",
    "Source": "mem",
    "Target": "/m",
    "VolumeOptions": {"DriverConfig": {"Name": "local", "Options": {"type": "tmpfs", "device": "tmpfs"}}},
}
#: where, the message, and a request that gets it; in the stream of a build the status is 200
REFUSALS: list[tuple[str, str, tuple[Any, ...]]] = [
    ("frontend.docker.build", BUILDKIT, ("POST", "/build?version=2", b"", TAR)),
    ("frontend.docker.build", "squashing is not supported: it needs an experimental engine",
     ("POST", "/build?squash=1", b"", TAR)),
    ("frontend.docker.build", f"outputs need BuildKit. {BUILDKIT}", ("POST", "/build?outputs=x", b"", TAR)),
    ("frontend.docker.images", "an image here is of one platform: remove it without naming platforms",
     ("DELETE", "/images/sockerless/base?platforms=%7B%22os%22%3A%22linux%22%7D")),
    ("frontend.docker.images", "attestations are not kept: only the image of one platform is pulled",
     ("GET", "/images/sockerless/base/attestations")),
    ("frontend.docker.lifecycle", CHECKPOINTS, ("POST", "/containers/nosuch/start?checkpoint=x", b"")),
    ("frontend.docker.session", SESSION, ("POST", "/session", b"", "application/json", H2C)),
    ("frontend.docker.swarm", PLUGINS, ("POST", "/plugins/pull?remote=x")),
    ("backends.core.build.remote",
     "ADD http://127.0.0.1:1/x: downloading is switched off on this engine; its setting build_add_urls "
     "(SOCKERLESS_BUILD_ADD_URLS=1) allows it, or RUN a download", built("ADD http://127.0.0.1:1/x /")),
    ("backends.core.build.runmounts",
     "RUN --mount=type=ssh is not supported: the classic builder has no session", built("RUN --mount=type=ssh true")),
    ("backends.core.build.running", "RUN --security=insecure is not supported", built("RUN --security=insecure true")),
    ("backends.core.logoptions", "log driver syslog is not supported: use json-file, local or none",
     ("POST", "/containers/create", container(LogConfig={"Type": "syslog"}))),
    ("backends.core.logoptions",
     "the log tag {{.DaemonName}} is not supported: known are {{.ID}}, {{.FullID}}, {{.Name}}, {{.ImageName}}, "
     "{{.ImageID}}, {{.ImageFullID}}",
     ("POST", "/containers/create", container(LogConfig={"Config": {"tag": "{{.DaemonName}}"}}))),
    ("backends.core.mounts", 'invalid mount config for type "image": this mount type is not supported here',
     ("POST", "/containers/create", container(Mounts=[{"Type": "image", "Source": "x", "Target": "/x"}]))),
    ("backends.core.networks", "networks without IPv4 are not supported",
     ("POST", "/networks/create", {"Name": "six", "EnableIPv4": False})),
    ("backends.core.networks", "config-only networks are not supported",
     ("POST", "/networks/create", {"Name": "only", "ConfigOnly": True})),
    ("backends.core.networks", "network driver macvlan is not supported: use bridge",
     ("POST", "/networks/create", {"Name": "mac", "Driver": "macvlan"})),
    ("backends.core.volumes", "volume mem is in memory: mounting it read-only, in part or twice is not supported",
     ("POST", "/containers/create", container(Mounts=[IN_MEMORY | {"ReadOnly": True}]))),
    ("backends.core.localvolume",
     "create vv: options of the local volume driver are not supported: ['device', 'type']; o=bind with a device is, "
     "and type=tmpfs",
     ("POST", "/volumes/create", {"Name": "vv", "DriverOpts": {"type": "nfs", "device": ":/x"}})),
]  # fmt: skip
#: what no request to this appliance meets: shown below
ELSEWHERE = {
    ("backends.core.build.remote", "building from a git repository needs git on the engine's host"),
    ("backends.core.logs", "configured logging driver does not support reading"),
    ("frontend.routing.router", "an endpoint of several backends has no Docker engine of its own"),
    ("backends.core.engine", "no Docker engine stands behind the … backend"),
    ("backends.docker.objects", "the Docker engine cannot remove anonymous volumes only: it is older than API 1.42"),
    ("backends.docker.images", "secrets from the context are not supported by the Docker engine's classic builder"),
}


def documented(where: str, message: str) -> tuple[str, str]:
    """The row of docs/features.md that a message is of."""
    return next(
        (module, reason)
        for module, reason in REASONS
        if module == f"`{where}`" and re.fullmatch(re.escape(reason).replace("…", ".*"), message)
    )


@pytest.mark.parametrize(
    ("where", "message", "request_"), REFUSALS, ids=[f"{where}-{message[:40]}" for where, message, _ in REFUSALS]
)
def test_a_refusal_is_answered_as_documented(ours: Engine, where: str, message: str, request_: tuple[Any, ...]) -> None:
    documented(where, message)
    answer = ask(ours, *request_)
    late = where.startswith("backends.core.build.")
    assert (answer.status, answer.message) == (200 if late else 501, message)


def test_every_refusal_is_shown() -> None:
    shown = {documented(where, message) for where, message, _ in REFUSALS}
    elsewhere = {(f"`{where}`", message) for where, message in ELSEWHERE}
    assert shown | elsewhere == set(REASONS)


def test_logs_that_are_not_kept(ours: Engine) -> None:
    name = "features-unread"
    created = ask(ours, "POST", f"/containers/create?name={name}", container(LogConfig={"Type": "none"}))
    assert created.status == 201
    answer = ask(ours, "GET", f"/containers/{name}/logs?stdout=1")
    assert (answer.status, answer.message) == (501, "configured logging driver does not support reading")
    assert ask(ours, "DELETE", f"/containers/{name}").status == 204


async def test_what_only_other_appliances_refuse() -> None:
    with pytest.raises(Unsupported, match=r"^an endpoint of several backends has no Docker engine of its own$"):
        await route([]).relay()
    engine = cast("EngineContract", DockerEngine.__new__(DockerEngine))
    secret = t.BuildImage(secrets={"x": "s"})
    with pytest.raises(Unsupported, match=r"^secrets from the context are not supported by the Docker"):
        await engine.build_image(cast(Any, None), secret)


def test_the_page_lists_them() -> None:
    page = (Path(features.ROOT) / "docs" / "features.md").read_text()
    assert all(f"| {where} | {reason} |" in page for where, reason in REASONS)
