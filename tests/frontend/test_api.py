"""Docker's API as a client meets it: statuses, headers, messages and what reaches the engine."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from backends.api import types as t
from backends.api.framing import frame
from tests.backends.api.peer import Peer
from tests.frontend.site import Site, request

COMMON = {
    "api-version": "1.51",
    "docker-experimental": "false",
    "ostype": "linux",
    "server": "Sockerless/0.1.0 (linux)",
}
SWARM = (
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm'
    " and try again."
)


async def create(site: Site, image: str = "cat", **config: Any) -> str:
    answer = await site.call("POST", "/containers/create?name=c", {"Image": image, **config})
    assert answer.status == 201
    found: str = answer.json["Id"]
    return found


# -- every answer


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [("GET", "/_ping", 200), ("GET", "/nothing", 404), ("GET", "/v9.9/info", 400), ("GET", "/swarm", 503)],
)
async def test_headers_on_every_answer(site: Site, method: str, target: str, status: int) -> None:
    answer = await site.call(method, target)
    assert answer.status == status
    assert COMMON.items() <= answer.headers.items()


async def test_ping(site: Site) -> None:
    answer = await site.call("GET", "/v1.24/_ping")
    assert (answer.status, answer.body) == (200, b"OK")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert (answer.headers["builder-version"], answer.headers["swarm"]) == ("1", "inactive")
    assert answer.headers["cache-control"] == "no-cache, no-store, must-revalidate"


async def test_head_of_ping_has_no_body_on_a_kept_connection(site: Site) -> None:
    wire = await site.connect()
    await wire.send(request("HEAD", "/_ping") + request("GET", "/_ping"))
    assert (await wire.answer("HEAD")).headers["content-length"] == "0"
    assert (await wire.answer()).body == b"OK"


@pytest.mark.parametrize(
    ("method", "target", "status", "message"),
    [
        ("GET", "/nothing", 404, "page not found"),
        ("DELETE", "/info", 404, "page not found"),
        ("GET", "/info/", 404, "page not found"),
        ("HEAD", "/containers/c", 404, None),
        ("GET", "/v1.52/info", 400, "client version 1.52 is too new. Maximum supported API version is 1.51"),
        ("GET", "/v1.x/info", 404, "page not found"),
        ("GET", "/swarm", 503, SWARM),
        ("POST", "/services/create", 503, SWARM),
        ("GET", "/swarming", 404, "page not found"),
        ("GET", "/plugins/x/json", 404, 'plugin "x" not found'),
        ("DELETE", "/plugins/x?force=1", 404, 'plugin "x" not found'),
        ("POST", "/plugins/x/enable?timeout=0", 404, 'plugin "x" not found'),
        ("GET", "/plugins/x", 404, "page not found"),
        ("DELETE", "/plugins", 404, "page not found"),
        ("PUT", "/volumes/v", 503, "volume update only valid for cluster volumes, but swarm is unavailable"),
        ("GET", "/networks/bridge?scope=swarm", 404, "network bridge not found"),
        (
            "GET",
            "/networks/bridge?verbose=x",
            400,
            'invalid value for verbose: x: strconv.ParseBool: parsing "x": invalid syntax',
        ),
        (
            "POST",
            "/build/prune?max-used-space=x",
            400,
            'max-used-space is in bytes and expects an integer, got x: strconv.Atoi: parsing "x": invalid syntax',
        ),
        ("GET", "/containers/a/b:1/json", 404, "No such container: a/b:1"),
        ("DELETE", "/containers/a/b", 404, "No such container: a/b"),
        ("GET", "/containers/a/nothing", 404, "page not found"),
        ("GET", "/networks/a/b", 404, "network a/b not found"),
        ("GET", "/volumes/a/b", 404, "get a/b: no such volume"),
        ("POST", "/build?version=2", 501, None),
        ("POST", "/build?buildargs=x", 400, None),
        ("POST", "/build?version=3", 400, 'invalid version "3"'),
        ("POST", "/build?securityopt=%5B%22seccomp=x%22%5D", 400, "security options are not supported on linux"),
        ("POST", "/build?isolation=hyperv", 400, 'unsupported isolation: "hyperv"'),
        (
            "POST",
            "/build/prune?keep-storage=x",
            400,
            'keep-storage is in bytes and expects an integer, got x: strconv.Atoi: parsing "x": invalid syntax',
        ),
        ("POST", "/commit?container=nosuch", 404, "No such container: nosuch"),
        ("GET", "/images/get?names=a&names=b", 501, "saving a, b is not supported"),
        ("POST", "/images/a/b/json", 404, "page not found"),
        ("GET", "/containers/nosuch/json", 404, "No such container: nosuch"),
        ("GET", "/containers/c/logs", 400, "must specify at least one of 'stdout' or 'stderr'"),
        ("POST", "/containers/c/wait?condition=foo", 400, 'invalid condition: "foo"'),
        ("POST", "/containers/c/resize?h=a&w=1", 400, 'invalid resize height "a": invalid syntax'),
        ("POST", "/containers/c/resize?h=1&w=", 400, 'invalid resize width "": invalid syntax'),
        ("POST", "/containers/c/stop?t=x", 400, 'strconv.Atoi: parsing "x": invalid syntax'),
        ("GET", "/containers/json?limit=x", 400, 'strconv.Atoi: parsing "x": invalid syntax'),
        ("GET", "/containers/json?filters=%7B%22foo%22:[]%7D", 400, "invalid filter 'foo'"),
        ("GET", "/containers/json?filters=x", 400, "invalid filter"),
        ("GET", "/containers/c/archive", 400, "bad parameter: path cannot be empty"),
        ("PUT", "/containers/c/archive", 400, "bad parameter: path cannot be empty"),
        ("GET", "/containers/c/archive?path=/nosuch", 404, "Could not find the file /nosuch in container c"),
        ("GET", "/containers/c/stats?one-shot=1", 400, "cannot have stream=true and one-shot=true"),
        ("GET", "/system/df?type=x", 400, "unknown object type: x"),
        (
            "GET",
            "/events?since=xx",
            400,
            'invalid value for \'since\': invalid timestamp "xx": invalid seconds "xx": invalid syntax',
        ),
        ("GET", "/events?since=20&until=10", 400, "`since` time (20) cannot be after `until` time (10)"),
    ],
)
async def test_refusals(site: Site, method: str, target: str, status: int, message: str | None) -> None:
    answer = await site.call(method, target)
    assert answer.status == status
    if message is not None:
        assert answer.json == {"message": message}
        assert answer.headers["content-type"] == "application/json"


async def test_a_client_that_is_too_old_is_told_in_plain_text(site: Site) -> None:
    answer = await site.call("GET", "/v1.12/info")
    assert (answer.status, answer.headers["content-type"]) == (400, "text/plain; charset=utf-8")
    assert answer.body == (
        b"client version 1.12 is too old. Minimum supported API version is 1.24, "
        b"please upgrade your client to a newer version\n"
    )


async def test_double_slashes_are_redirected(site: Site) -> None:
    answer = await site.call("GET", "/v1.44//containers///json?all=1")
    assert (answer.status, answer.headers["location"]) == (301, "/v1.44/containers/json?all=1")


async def test_options(site: Site) -> None:
    answer = await site.call("OPTIONS", "/containers/json")
    assert (answer.status, answer.body) == (200, b"")


async def test_a_defect_is_answered_and_logged_once(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    await create(site)
    answer = await site.call("POST", "/containers/c/rename?name=d")
    assert (answer.status, answer.message) == (500, "internal error: RuntimeError: a defect of the engine")
    failures = [record.__dict__ for record in caplog.records if record.name == "frontend.app"]
    assert [(f["method"], f["path"], f["reason"]) for f in failures] == [
        ("POST", "/containers/c/rename", "RuntimeError: a defect of the engine")
    ]


# -- bodies

CREATE = "/v1.44/containers/create"


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        (b'{"Image":"x"}', "text/plain", "unsupported Content-Type header (text/plain): must be 'application/json'"),
        (b'{"Image":"x"}', "", "malformed Content-Type header (): mime: no media type"),
        (b'{"Image":', "application/json", "invalid JSON: unexpected EOF"),
        (b'{"Image":"x"} 1', "application/json", "unexpected content after JSON"),
        (b"", "application/json", "invalid JSON: got EOF while reading request body"),
        (b" ", "application/json", "invalid JSON: got EOF while reading request body"),
        (b"null", "application/json", "config cannot be empty in order to create a container"),
        (b"{}", "application/json", "config cannot be empty in order to create a container"),
        (b'{"HostConfig":{}}', "application/json", "config cannot be empty in order to create a container"),
        (
            b'{"Tty":"yes"}',
            "application/json; charset=utf-8",
            "invalid JSON: json: cannot unmarshal string into Go struct field CreateRequest.Tty of type bool",
        ),
        (
            b'{"Image":"x","NetworkingConfig":{"EndpointsConfig":{"b":{},"a":{}}}}',
            "application/json",
            "Container cannot be created with multiple network endpoints: a, b",
        ),
    ],
)
async def test_bodies_that_are_refused(site: Site, body: bytes, kind: str, message: str) -> None:
    path = CREATE.replace("1.44", "1.43")
    answer = await site.call("POST", path, body, {"Content-Type": kind} if kind else {})
    assert (answer.status, answer.message) == (400, message)


async def test_no_body_is_an_empty_object(site: Site, peer: Peer) -> None:
    await create(site)
    assert (await site.call("POST", "/networks/create")).status == 201
    assert peer.seen["network"] == {}
    assert (await site.call("POST", "/networks/n/connect")).status == 200
    assert peer.seen["connect"] == ("n", "", {})
    assert (await site.call("POST", "/containers/c/update")).status == 200
    assert (await site.call("POST", "/containers/c/exec")).message == "No exec command specified"


async def test_create_takes_keys_in_any_case_and_keeps_what_it_does_not_know(site: Site, peer: Peer) -> None:
    body = {
        "image": "cat",
        "ENTRYPOINT": "sh",
        "Cmd": ["a"],
        "Labels": {"KeepMe": "1"},
        "Future": {"x": 1},
        "hostconfig": {"binds": ["a:/b"], "NewThing": 7, "RestartPolicy": {"name": "no"}},
        "NetworkingConfig": {"EndpointsConfig": {"N1": {"aliases": ["A"]}, "n2": {}}},
    }
    answer = await site.call("POST", f"{CREATE}?name=web&platform=linux/amd64&Image=other&Cmd=b", body)
    assert (answer.status, sorted(answer.json)) == (201, ["Id", "Warnings"])
    assert answer.json["Warnings"] == []
    assert peer.containers[answer.json["Id"]] == t.CreateContainer(
        name="web",
        platform="linux/amd64",
        config={"Image": "cat", "Entrypoint": ["sh"], "Cmd": ["a"], "Labels": {"KeepMe": "1"}, "Future": {"x": 1}},
        host_config={"Binds": ["a:/b"], "NewThing": 7, "RestartPolicy": {"Name": "no"}},
        networking_config={"EndpointsConfig": {"N1": {"Aliases": ["A"]}, "n2": {}}},
    )


async def test_create_without_its_image(site: Site) -> None:
    answer = await site.call("POST", CREATE, {"Image": "nosuch:1"})
    assert (answer.status, answer.message) == (404, "No such image: nosuch:1")


# -- containers


async def test_states_and_empty_answers(site: Site, peer: Peer) -> None:
    identity = await create(site)
    for target, status in [("start", 204), ("start", 304), ("stop?t=-1&signal=INT", 204), ("stop", 304)]:
        answer = await site.call("POST", f"/containers/{identity}/{target}")
        assert (answer.status, answer.body) == (status, b"")
    assert peer.seen["stop"] == (None, "")
    answer = await site.call("POST", "/containers/c/kill")
    assert (answer.status, answer.message) == (
        409,
        f"cannot kill container: c: container {identity} is not running",
    )
    answer = await site.call("DELETE", "/containers/c?force=True&v=0")
    assert (answer.status, peer.seen["remove"]) == (204, (True, False, False))


async def test_start_with_a_body(site: Site) -> None:
    await create(site)
    answer = await site.call("POST", "/containers/c/start", {"Binds": []})
    assert answer.status == 400
    assert answer.message.startswith("starting container with non-empty request body was deprecated")


async def test_list(site: Site, peer: Peer) -> None:
    assert (await site.call("GET", "/containers/json")).body == b"[]\n"
    identity = await create(site)
    filters = json.dumps({"label": {"a=b": True}, "status": ["exited"]}).replace(" ", "").replace('"', "%22")
    answer = await site.call("GET", f"/containers/json?all=1&limit=3&size=true&filters={filters}")
    assert [row["Id"] for row in answer.json] == [identity]
    assert peer.seen["list"] == (True, 3, True, {"label": ["a=b"], "status": ["exited"]})
    await site.call("GET", "/containers/json?all=none")
    assert peer.seen["list"] == (False, -1, False, {})


async def test_inspect_and_what_versions_change(site: Site) -> None:
    await create(site)
    now = (await site.call("GET", "/containers/c/json")).json
    assert now["State"]["Status"] == "created"
    assert now["NetworkSettings"]["IPAddress"] == "10.0.0.2"
    assert now["NetworkSettings"]["Networks"]["own"]["Aliases"] == ["a"]
    assert "SizeRw" not in now and "Health" not in now["State"]
    before = (await site.call("GET", "/v1.44/containers/c/json?size=1")).json
    assert before["NetworkSettings"]["Networks"]["own"]["Aliases"] == ["a", now["Id"][:12]]
    assert (before["SizeRw"], before["SizeRootFs"]) == (5, 6)


async def test_wait(site: Site, peer: Peer) -> None:
    await create(site)
    for condition, seen in [("?condition=removed", "removed"), ("", "not-running")]:
        wire = await site.connect()
        await wire.send(request("POST", f"/containers/c/wait{condition}"))
        status, headers = await wire.head()
        assert (status, headers["content-type"], peer.seen["condition"]) == (200, "application/json", seen)
        peer.exits.put_nowait(t.ExitResult(status_code=137, error="killed"))
        assert await wire.chunk() == b'{"StatusCode":137,"Error":{"Message":"killed"}}\n'
        assert await wire.chunk() == b""


@pytest.mark.parametrize(
    ("version", "tty", "kind"),
    [
        ("", False, "application/vnd.docker.multiplexed-stream"),
        ("/v1.41", False, "application/vnd.docker.raw-stream"),
        ("", True, "application/vnd.docker.raw-stream"),
    ],
)
async def test_logs(site: Site, peer: Peer, version: str, tty: bool, kind: str) -> None:
    await create(site, "hello", Tty=tty)
    query = "stdout=1&stderr=true&tail=5&since=1.5&until=2026-01-01T00:00:00Z&timestamps=1&details=no"
    answer = await site.call("GET", f"{version}/containers/c/logs?{query}")
    assert (answer.headers["content-type"], answer.headers["transfer-encoding"]) == (kind, "chunked")
    assert answer.body == (b"out\nerr\n" if tty else frame(1, b"out\n") + frame(2, b"err\n"))
    assert peer.seen["logs"] == t.LogOptions(
        stdout=True, stderr=True, timestamps=True, tail=5, since=1_500_000_000, until=1_767_225_600 * 10**9
    )


async def test_the_head_of_logs_comes_before_the_first_line(site: Site) -> None:
    await create(site, "hang")
    wire = await site.connect()
    await wire.send(request("GET", "/containers/c/logs?follow=1&stdout=1"))
    assert (await wire.head())[0] == 200


async def test_logs_that_break_are_not_taken_for_complete(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    await create(site, "break")
    wire = await site.connect()
    await wire.send(request("GET", "/containers/c/logs?stdout=1"))
    assert (await wire.head())[0] == 200
    assert await wire.chunk() == frame(1, b"half")
    assert await wire.rest() == b""
    records = [record.__dict__ for record in caplog.records if record.name != "asyncio"]
    assert [(r["name"], r["reason"]) for r in records] == [("frontend.app", "EngineError: the disk is full")]


async def test_stats(site: Site, peer: Peer) -> None:
    await create(site)
    assert (await site.call("GET", "/containers/c/stats")).body == b'{"read":0}\n{"read":1}\n{"read":2}\n'
    answer = await site.call("GET", "/containers/c/stats?stream=0&one-shot=1")
    assert (answer.json, "content-length" in answer.headers) == ({"read": 0}, True)
    assert peer.seen["stats"] == (False, True)


async def test_the_rest_of_a_container(site: Site, peer: Peer) -> None:
    await create(site)
    assert (await site.call("GET", "/containers/c/top")).json == {"Titles": ["PID"], "Processes": [["-ef"]]}
    assert (await site.call("GET", "/containers/c/top?ps_args=aux")).json["Processes"] == [["aux"]]
    assert (await site.call("GET", "/containers/c/changes")).body == b"null\n"
    assert (await site.call("POST", "/containers/c/update", {"memory": 1})).json == {"Warnings": ["Memory ignored"]}
    answer = await site.call("POST", "/containers/c/resize?h=24&w=80")
    assert (answer.status, peer.seen["size"]) == (200, (24, 80))
    answer = await site.call("POST", "/containers/prune?filters=")
    assert answer.json == {"ContainersDeleted": None, "SpaceReclaimed": 0}


# -- files


async def test_archives(site: Site, peer: Peer) -> None:
    answer = await site.call("GET", "/containers/c/archive?path=/etc/passwd")
    stat = json.loads(base64.b64decode(answer.headers["x-docker-container-path-stat"]))
    assert stat == {"name": "passwd", "size": 3, "mode": 420, "mtime": "2026-01-01T00:00:00Z", "linkTarget": ""}
    assert (answer.headers["content-type"], answer.body) == ("application/x-tar", b"tar:/etc/passwd")
    head = await site.call("HEAD", "/containers/c/archive?path=/etc/passwd")
    assert head.headers["x-docker-container-path-stat"] == answer.headers["x-docker-container-path-stat"]
    put = await site.call("PUT", "/containers/c/archive?path=/x&noOverwriteDirNonDir=true", b"tar data")
    assert (put.status, put.body, peer.uploaded, peer.seen["put"]) == (200, b"", b"tar data", ("c", "/x", True, False))
    chunked = await site.connect()
    fields = {"Transfer-Encoding": "chunked"}
    await chunked.send(request("PUT", "/containers/c/archive?path=/x", headers=fields) + b"3\r\nabc\r\n0\r\n\r\n")
    assert (await chunked.answer()).status == 200
    assert peer.uploaded == b"tar dataabc"


async def test_an_upload_that_is_refused_early_leaves_the_connection_in_order(site: Site) -> None:
    wire = await site.connect()
    await wire.send(request("PUT", "/containers/c/archive?path=/file", headers={"Content-Length": "10"}) + b"12345")
    assert (await wire.answer()).message == "extraction point is not a directory"
    await wire.send(b"67890" + request("GET", "/_ping"))
    assert (await wire.answer()).body == b"OK"


async def test_an_export_that_breaks_is_not_taken_for_complete(site: Site) -> None:
    wire = await site.connect()
    await wire.send(request("GET", "/containers/c/export"))
    assert (await wire.head())[1]["content-type"] == "application/octet-stream"
    assert await wire.chunk() == b"first"
    assert await wire.rest() == b""


# -- exec


async def test_exec(site: Site, peer: Peer) -> None:
    await create(site)
    body = {"Cmd": "ls", "AttachStdout": True, "Detach": False, "ConsoleSize": [0, 0], "Container": "c", "env": ["A=b"]}
    answer = await site.call("POST", "/containers/c/exec", body)
    identity = answer.json["Id"]
    assert (answer.status, peer.execs[identity]) == (
        201,
        t.CreateExec(cmd=["ls"], attach_stdout=True, env=["A=b"]),
    )
    found = (await site.call("GET", f"/exec/{identity}/json")).json
    assert (found["ID"], found["ExitCode"], found["ProcessConfig"]["entrypoint"]) == (identity, None, "ls")
    assert (await site.call("POST", "/containers/c/exec", {})).message == "No exec command specified"
    wrong = await site.call("POST", "/containers/c/exec", {"Cmd": ["a"], "DetachKeys": "ctrl-??"})
    assert (wrong.status, wrong.message) == (400, "Invalid detach keys (ctrl-??) provided")


# -- images


async def test_progress_and_errors_inside_it(site: Site, peer: Peer) -> None:
    auth = base64.urlsafe_b64encode(b'{"username":"u","password":"??>"}').decode()
    answer = await site.call(
        "POST", "/images/create?fromImage=a/b&tag=1&platform=linux/arm64", headers={"X-Registry-Auth": auth}
    )
    assert answer.headers["transfer-encoding"] == "chunked"
    assert answer.body == b'{"status":"Pulling","id":"1"}\r\n{"status":"Done"}\r\n'
    assert peer.seen["pull"] == ("a/b", "1", "linux/arm64", {"username": "u", "password": "??>"})
    broken = await site.call("POST", "/images/create?fromImage=broken")
    assert (broken.status, broken.body.split(b"\r\n")[1:]) == (
        200,
        [b'{"errorDetail":{"message":"the registry went away"},"error":"the registry went away"}', b""],
    )
    for name, message in [("nosuch", "pull access denied for nosuch"), ("early", "manifest for early not found")]:
        refused = await site.call("POST", f"/images/create?fromImage={name}")
        assert (refused.status, refused.message) == (404, message)


async def test_names_of_images_hold_slashes_and_words_of_the_api(site: Site, peer: Peer) -> None:
    for name in ("busybox", "localhost:5000/a/b:1", "a/json", "x/get@sha256:0"):
        assert (await site.call("GET", f"/images/{name}/json")).json["RepoTags"] == [name]
        assert (await site.call("DELETE", f"/images/{name}")).json == [{"Untagged": name}]
    answer = await site.call("POST", "/images/a/tag/tag?repo=r/s&tag=2")
    assert (answer.status, answer.body, peer.seen["tag"]) == (201, b"", ("a/tag", "r/s", "2"))


async def test_images_and_what_versions_change(site: Site) -> None:
    now, before = [(await site.call("GET", f"{v}/images/x/json")).json for v in ("", "/v1.43")]
    assert now["RootFS"] == {"Type": "layers", "Layers": ["sha256:2"]}
    assert ("VirtualSize" in now, before["VirtualSize"], before["Container"]) == (False, 9, "")
    now, before = [(await site.call("GET", f"{v}/images/json")).json[0] for v in ("", "/v1.43")]
    assert ("VirtualSize" in now, before["VirtualSize"]) == (False, 9)


async def test_load_and_prune(site: Site, peer: Peer) -> None:
    answer = await site.call("POST", "/images/load?quiet=1", b"archive", {"Content-Type": "application/x-tar"})
    assert (answer.body, peer.uploaded) == (b'{"stream":"Loaded image: x:latest\\n"}\r\n', b"archive")
    answer = await site.call("POST", "/images/prune")
    assert answer.json == {"ImagesDeleted": [{"Deleted": "sha256:1"}], "SpaceReclaimed": 9}
    assert (await site.call("POST", "/build/prune?filters=")).json == {"CachesDeleted": None, "SpaceReclaimed": 7}
    sizes = "reserved-space=1&max-used-space=2&min-free-space=3&keep-storage=4"
    await site.call("POST", f"/build/prune?{sizes}")
    assert peer.seen["prune_builds"] == t.KeepCache(reserved_space=1, max_used_space=2, min_free_space=3)
    await site.call("POST", f"/v1.47/build/prune?{sizes}")
    assert peer.seen["prune_builds"] == t.KeepCache(reserved_space=4)
    await site.call("POST", "/build/prune?keep-storage=4&max-used-space=2")
    assert peer.seen["prune_builds"] == t.KeepCache(reserved_space=4, max_used_space=2)


@pytest.mark.parametrize("kind", ["application/tar", "application/gzip", "text/plain", "; ;", None])
async def test_a_context_of_any_content_type(site: Site, peer: Peer, kind: str | None) -> None:
    answer = await site.call("POST", "/build?isolation=Default", b"context", {"Content-Type": kind} if kind else {})
    assert (answer.status, peer.uploaded) == (200, b"context")


async def test_build_and_commit(site: Site, peer: Peer) -> None:
    query = (
        "t=a&t=b%3A1&dockerfile=D&q=1&nocache=1&rm=0&forcerm=1&pull=1&memory=7&cpusetcpus=0&networkmode=none&target=s"
        "&buildargs=%7B%22A%22%3A%221%22%2C%22B%22%3Anull%7D&labels=%7B%22l%22%3A%22v%22%7D&cachefrom=%5B%22c%22%5D"
        "&platform=linux%2Famd64&extrahosts=h%3A1.2.3.4&secrets=%5B%22id%3Dx%2Csrc%3Ds%22%5D&version=1"
    )
    auths = base64.urlsafe_b64encode(b'{"r":{"username":"u"}}').decode()
    head = {"Content-Type": "application/x-tar", "X-Registry-Config": auths}
    answer = await site.call("POST", f"/build?{query}", b"context", head)
    assert (answer.body, peer.uploaded) == (b'{"stream":"Successfully built 1\\n"}\r\n', b"context")
    assert peer.seen["build"] == t.BuildImage(
        tags=["a", "b:1"], dockerfile="D", quiet=True, no_cache=True, cache_from=["c"], pull=True, remove=False,
        force_remove=True, build_args={"A": "1", "B": None}, labels={"l": "v"}, target="s", platform="linux/amd64",
        network_mode="none", extra_hosts=["h:1.2.3.4"], host_config={"Memory": 7, "CpusetCpus": "0"},
        auths={"r": {"username": "u"}}, secrets={"x": "s"},
    )  # fmt: skip
    path = "/commit?container=c&repo=r&tag=t&comment=m&author=a&pause=0&changes=ENV+A%3D1&changes=CMD+x"
    answer = await site.call("POST", path, b'{"user":"u"}', {"Content-Type": "application/json"})
    assert (answer.status, answer.json) == (201, {"Id": "sha256:9"})
    assert peer.seen["commit"] == t.CommitContainer(
        repo="r", tag="t", comment="m", author="a", pause=False, changes=["ENV A=1", "CMD x"], config={"User": "u"}
    )


# -- networks and volumes


async def test_networks(site: Site, peer: Peer) -> None:
    assert (await site.call("GET", "/networks")).json[0]["Containers"] == {}
    assert (await site.call("GET", "/networks/n")).json["Containers"] == {"c": {"Name": "c"}}
    answer = await site.call("POST", "/networks/create", {"Name": "n", "labels": {"A": "b"}})
    assert (answer.status, answer.json) == (201, {"Id": "n1", "Warning": "one two"})
    assert peer.seen["network"] == {"Name": "n", "Labels": {"A": "b"}}
    answer = await site.call("POST", "/networks/n/connect", {"Container": "c", "EndpointConfig": {"aliases": ["x"]}})
    assert (answer.status, peer.seen["connect"]) == (200, ("n", "c", {"Aliases": ["x"]}))


async def test_volumes(site: Site, peer: Peer) -> None:
    assert (await site.call("GET", "/volumes/v")).json["Name"] == "v"
    assert (await site.call("GET", "/volumes")).json == {"Volumes": [], "Warnings": None}
    answer = await site.call("DELETE", "/volumes/v?force=1")
    assert (answer.status, peer.seen["volume"]) == (204, ("v", True))
    answer = await site.call("POST", "/volumes/prune")
    assert (answer.json, peer.seen["prune"]) == ({"VolumesDeleted": ["v"], "SpaceReclaimed": 3}, {})
    await site.call("POST", "/v1.41/volumes/prune")
    assert peer.seen["prune"] == {"all": ["true"]}


# -- the daemon


async def test_version_and_info(site: Site) -> None:
    version = (await site.call("GET", "/version")).json
    assert (version["ApiVersion"], version["MinAPIVersion"], version["Os"]) == ("1.51", "1.24", "linux")
    assert (version["Platform"]["Name"], version["Components"][0]["Details"]["Backend"]) == ("Sockerless", "peer")
    await create(site)
    info = (await site.call("GET", "/info")).json
    assert (info["Containers"], info["ContainersStopped"], info["OSType"], info["NCPU"]) == (1, 1, "linux", 2)
    assert (info["DefaultRuntime"], info["Runtimes"]) == ("peer", {"peer": {"path": "peer"}})
    assert info["Swarm"]["LocalNodeState"] == "inactive"


async def test_disk_usage(site: Site, peer: Peer) -> None:
    everything = (await site.call("GET", "/system/df")).json
    assert (everything["LayersSize"], everything["Images"][0]["Id"], everything["BuildCache"]) == (7, "sha256:1", [])
    images = (await site.call("GET", "/system/df?type=image&type=volume")).json
    assert (images["Containers"], images["Volumes"], peer.seen["kinds"]) == (None, [], ["image", "volume"])
    assert (await site.call("GET", "/v1.41/system/df?type=image")).json["BuilderSize"] == 0


async def test_events(site: Site, peer: Peer) -> None:
    wire = await site.connect()
    await wire.send(request("GET", "/events?since=1&until=9.25&filters=%7B%22type%22:%7B%22container%22:true%7D%7D"))
    assert (await wire.head())[1]["transfer-encoding"] == "chunked"
    assert peer.seen["events"] == (10**9, 9_250_000_000, {"type": ["container"]})
    actor = {"ID": "c1", "Attributes": {"image": "cat"}}
    peer.news.put_nowait(t.Event(Type="container", Action="die", Actor=actor, scope="local", time=1, timeNano=2))
    found = json.loads(await wire.chunk())
    assert (found["status"], found["id"], found["from"], found["Actor"]) == ("die", "c1", "cat", actor)
    peer.news.put_nowait(t.Event(Type="network", Action="create", Actor=actor, scope="local", time=1, timeNano=2))
    assert not json.loads(await wire.chunk()).keys() & {"status", "id", "from"}
    freed = {"ID": "", "Attributes": {"reclaimed": "6"}}
    peer.news.put_nowait(t.Event(Type="container", Action="prune", Actor=freed, scope="local", time=1, timeNano=2))
    found = json.loads(await wire.chunk())
    assert found == {"Type": "container", "Action": "prune", "Actor": freed, "scope": "local", "time": 1,
                     "timeNano": 2, "status": "prune"}  # fmt: skip


@pytest.mark.parametrize(("version", "told"), [("1.45", ["tag"]), ("1.46", ["create", "tag"])])
async def test_events_that_older_clients_do_not_know(site: Site, peer: Peer, version: str, told: list[str]) -> None:
    wire = await site.connect()
    await wire.send(request("GET", f"/v{version}/events"))
    await wire.head()
    for action in ("create", "tag"):
        actor = {"ID": "sha256:1", "Attributes": {}}
        peer.news.put_nowait(t.Event(Type="image", Action=action, Actor=actor, scope="local", time=1, timeNano=2))
    assert [json.loads(await wire.chunk())["Action"] for _ in told] == told


async def test_auth(site: Site) -> None:
    answer = await site.call("POST", "/auth", {"Username": "me", "password": "x"})
    assert (answer.status, answer.json) == (200, {"Status": "Login Succeeded: me", "IdentityToken": ""})
