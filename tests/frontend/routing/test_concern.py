"""What a request is about."""

from __future__ import annotations

import pytest

from frontend.routing.concern import concern


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ("GET /_ping", ("all", "")),
        ("GET /v1.41/info", ("all", "")),
        ("GET /events", ("all", "")),
        ("POST /v1.41/containers/create", ("create", "")),
        ("GET /v1.41/containers/json", ("all", "")),
        ("POST /containers/prune", ("all", "")),
        ("GET /containers/web/json", ("container", "web")),
        ("DELETE /containers/web", ("container", "web")),
        ("POST /containers/web/rename", ("all", "")),
        ("GET /containers/web/attach/ws", ("container", "web")),
        ("GET /containers/a/b/json", ("all", "")),
        ("POST /exec/0f/start", ("exec", "0f")),
        ("POST /commit?container=web&repo=x", ("container", "web")),
        ("GET /images/json", ("all", "")),
        ("GET /images/get?names=a", ("all", "")),
        ("GET /images/host:5000/a/b:c/json", ("image", "host:5000/a/b:c")),
        ("GET /images/a/get", ("image", "a")),
        ("POST /images/a/b/push", ("image", "a/b")),
        ("DELETE /images/a/b", ("image", "a/b")),
        ("POST /images/create?fromImage=x", ("default", "")),
        ("POST /v1.41/build?t=x", ("default", "")),
        ("POST /session", ("default", "")),
        ("POST /grpc", ("default", "")),
        ("POST /auth", ("default", "")),
        ("GET /distribution/a/b/json", ("default", "")),
        ("POST /swarm/init", ("default", "")),
        ("GET /plugins", ("default", "")),
        ("GET /networks", ("all", "")),
        ("GET /networks/n", ("network", "n")),
        ("DELETE /networks/n", ("all", "")),
        ("POST /networks/n/connect", ("all", "")),
        ("GET /volumes/v", ("volume", "v")),
        ("POST /volumes/create", ("all", "")),
    ],
)
def test_concern(request_: str, expected: tuple[str, str]) -> None:
    method, _, target = request_.partition(" ")
    path, _, query = target.partition("?")
    assert tuple(concern(method, path, query)) == expected
