"""docker build beyond what dockerd's classic builder knows, by other clients, and from other places; and its speed."""

from __future__ import annotations

import http.server
import io
import json
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import docker.errors
import pytest

from tests.clients import act_client
from tests.clients.builds.case import archive
from tests.clients.builds.case import docker as run_docker
from tests.clients.engine import Engine, Result
from tests.oracle.tools import tool

EXEC_PATH = subprocess.check_output([tool("git"), "--exec-path"], text=True).strip()
BUILDS = Path(__file__).parent / "builds"
FEATURES = """# syntax=docker/dockerfile:1
FROM sockerless/base AS first
RUN --mount=type=cache,target=/cache,id=kept echo line >> /cache/lines; cat /cache/lines
RUN --mount=type=bind,target=/ctx --mount=type=tmpfs,target=/small,size=1m \
    cat /ctx/sub/f; touch /small/x; touch /ctx/x 2>/dev/null || echo read-only
RUN --mount=type=bind,target=/ctx,rw touch /ctx/x && echo writable
RUN --mount=from=sockerless/base,source=/etc,target=/theirs head -n 1 /theirs/passwd
RUN --mount=type=secret,id=s cat /run/secrets/s 2>/dev/null || echo no secret
RUN <<EOF
echo here $HOME
echo document
EOF
RUN <<SCRIPT
#!/bin/bash
echo script of ${BASH_VERSION:+bash}
SCRIPT
RUN cat <<ONE > /one && cat /one
one $HOME
ONE
ENV N=5
COPY <<FILE <<"RAW" /docs/
value $N "quoted"
FILE
raw $N
RAW
COPY --chmod=640 sub/f /mode
COPY --chmod=700 sub /modes
COPY --parents --exclude=g sub/f /parents/
RUN cat /docs/*; stat -c '%a %n' /mode /modes /modes/f; find /parents; ls -d /c* /small /the* /run/* 2>/dev/null || true
"""


def build(engine: Engine, folder: Path, dockerfile: str, *flags: str) -> Result:
    (folder / "Dockerfile").write_text(dockerfile)
    result: Result = run_docker(engine, folder, "build", "--force-rm", *flags, ".")
    return result


def outputs(result: Result) -> list[str]:
    """What the commands of a build printed."""
    noise = ("Step ", " ---> ", "Removing ", "Successfully ", "Sending ")
    return [line for line in result.stdout.splitlines() if line and not line.startswith(noise)]


def test_buildkit_features(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "f").write_text("from the context\n")
    (tmp_path / "sub" / "g").write_text("left out\n")
    engine.ok("builder", "prune", "--all", "--force")
    result = build(engine, tmp_path, FEATURES)
    assert result.code == 0, result
    steps = [line for line in outputs(result) if not line.startswith("    ")]
    assert steps == [
        "line", "from the context", "read-only", "writable", "root:x:0:0:root:/root:/bin/sh", "no secret",
        "here /root", "document", "script of bash", "one /root", 'value 5 "quoted"', "raw $N",
        "640 /mode", "700 /modes", "700 /modes/f", "/parents", "/parents/sub", "/parents/sub/f",
    ]  # fmt: skip
    again = build(engine, tmp_path, FEATURES, "--no-cache")
    assert [line for line in outputs(again) if line == "line"] == ["line", "line"]
    assert "Build Cache     1         0         10B       10B" in engine.ok("system", "df")
    assert "Total reclaimed space: 10B" in engine.ok("builder", "prune", "--force")


def test_secrets_come_as_podman_sends_them(engine: Engine) -> None:
    dockerfile = "FROM sockerless/base\nRUN --mount=type=secret,id=s,required cat /run/secrets/s\n"
    files = {"Dockerfile": dockerfile, "the-secret": "hidden\n"}
    client = docker.DockerClient(base_url=engine.host)
    secrets = json.dumps(["id=s,src=the-secret"])
    answer = client.api._post(  # what docker-py has no method for
        client.api._url("/build"),
        params={"secrets": secrets},
        data=archive(files),
        headers={"Content-Type": "application/x-tar"},
    )
    assert '{"stream":"hidden\\n"}' in answer.text
    image = json.loads(next(line for line in answer.text.splitlines() if "aux" in line))["aux"]["ID"]
    assert client.containers.run(image, "ls /run", remove=True) == b""


def test_docker_py(engine: Engine) -> None:
    client = docker.DockerClient(base_url=engine.host)
    dockerfile = b'FROM sockerless/base\nARG A\nRUN echo $A > /a\nCMD ["cat", "/a"]\n'
    image, lines = client.images.build(
        fileobj=io.BytesIO(dockerfile), tag="py:1", rm=True, buildargs={"A": "1"}, labels={"l": "v"}
    )
    assert (image.tags, image.labels) == (["py:1"], {"l": "v"})
    assert {"stream": "Successfully tagged py:1\n"} in list(lines)
    assert client.containers.run("py:1", remove=True) == b"1\n"
    with pytest.raises(docker.errors.BuildError, match="returned a non-zero code: 5"):
        client.images.build(fileobj=io.BytesIO(b"FROM sockerless/base\nRUN exit 5\n"))
    with pytest.raises(docker.errors.APIError, match="unknown instruction: FRO"):
        client.images.build(fileobj=io.BytesIO(b"FRO sockerless/base\n"))
    container = client.containers.run("py:1", ["sh", "-c", "echo 2 > /b"], detach=True)
    container.wait()
    made = container.commit("py", "2", message="m", author="a", changes=["ENV Q=1"], conf={"Cmd": ["cat", "/b"]})
    container.remove()
    assert (made.tags, made.attrs["Comment"], made.attrs["Config"]["Env"][0]) == (["py:2"], "m", "Q=1")
    assert client.containers.run("py:2", remove=True) == b"2\n"
    client.api.prune_builds()
    assert client.api.prune_builds() == {"CachesDeleted": None, "SpaceReclaimed": 0}
    client.images.remove("py:1")
    client.images.remove("py:2")


def test_a_dockerfile_action_of_act(engine: Engine, tmp_path: Path) -> None:
    run = act_client.run(engine, tmp_path, "action", workflows=BUILDS)
    assert run.code == 0, run
    assert run.jobs["built"].output["build and run"].endswith("hello world\n")
    assert run.output("built", "outputs") == "got hello world\n"


def test_buildkit_is_refused_with_a_reason(engine: Engine) -> None:
    client = docker.DockerClient(base_url=engine.host)
    answer = client.api._post(client.api._url("/build"), params={"version": "2"})
    assert answer.status_code == 501
    assert "set DOCKER_BUILDKIT=0" in answer.json()["message"]


class _Files(http.server.BaseHTTPRequestHandler):
    files: dict[str, bytes] = {}

    def do_GET(self) -> None:
        content = self.files.get(self.path)
        self.send_response(200 if content is not None else 404)
        self.end_headers()
        self.wfile.write(content or b"")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def site() -> Iterator[str]:
    dockerfile = "FROM sockerless/base\nCOPY . /all\nRUN ls /all\n"
    _Files.files = {
        "/context.tar.gz": archive(
            {"Dockerfile": dockerfile, ".dockerignore": "*.md\n", "a": "1", "b.md": "2"}, "w:gz"
        ),
        "/Dockerfile": b"FROM sockerless/base\nRUN echo alone\n",
    }
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Files) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def remote(engine: Engine, url: str, **more: str) -> list[dict[str, object]]:
    client = docker.DockerClient(base_url=engine.host)
    answer = client.api._post(client.api._url("/build"), params={"remote": url, **more})
    return [json.loads(line) for line in answer.text.splitlines()]


def said(lines: list[dict[str, object]]) -> str:
    return "".join(str(line.get("stream", "")) for line in lines)


def test_remote_contexts(engine: Engine, site: str) -> None:
    assert "Dockerfile\na\n" in said(remote(engine, f"{site}/context.tar.gz"))
    assert "alone\n" in said(remote(engine, f"{site}/Dockerfile"))
    (refused,) = remote(engine, f"{site}/nothing")
    assert refused == {"message": f"failed to GET {site}/nothing with status 404 Not Found: "}


def test_git_contexts(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "Dockerfile").write_text("FROM sockerless/base\nCOPY . /all\nRUN ls -a /all | tail -n +3\n")
    (tmp_path / "sub" / "Dockerfile").write_text("FROM sockerless/base\nRUN echo of the branch\n")
    act_client.project(tmp_path)
    git = [tool("git"), "-C", str(tmp_path)]
    subprocess.run([*git, "branch", "side"], check=True)
    subprocess.run([*git, "config", "--bool", "core.bare", "false"], check=True)
    port = act_client.free_port()
    daemon = subprocess.Popen(
        [f"{EXEC_PATH}/git-daemon", "--export-all", "--reuseaddr", "--listen=127.0.0.1", f"--port={port}",
         f"--base-path={tmp_path}", "--informative-errors", str(tmp_path)],
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        url = f"git://127.0.0.1:{port}/.git"
        deadline = time.monotonic() + 20
        while "Connection refused" in str(lines := remote(engine, url)) and time.monotonic() < deadline:
            pass
        assert "Dockerfile\nsub\n" in said(lines)
        assert "of the branch\n" in said(remote(engine, f"{url}#side:sub"))
        (refused,) = remote(engine, f"{url}#nosuch")
        assert "unable to prepare context: git: " in str(refused["message"])
    finally:
        daemon.kill()
        daemon.wait()


def test_a_cancelled_build_leaves_no_container(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM sockerless/base\nRUN echo begun; sleep 600\n")
    client = subprocess.Popen(
        [tool("docker"), "build", "."], cwd=tmp_path, env=engine.environment({"DOCKER_BUILDKIT": "0"}),
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert client.stdout is not None
    for line in client.stdout:
        if line == "begun\n":
            break
    before = engine.ok("ps", "-q", "--no-trunc", "--filter", "ancestor=sockerless/base").splitlines()
    events = docker.DockerClient(base_url=engine.host).api.events(decode=True, filters={"event": "destroy"})
    client.send_signal(signal.SIGINT)
    assert next(iter(events))["Actor"]["ID"] in before
    events.close()
    client.communicate()
    assert client.returncode == 130


TEN = (
    "FROM sockerless/base\nARG A=1\nENV B=2\nWORKDIR /w\nCOPY a /w/a\nRUN echo ran > /w/ran\nCOPY b /w/b\n"
    'LABEL l=1\nEXPOSE 80\nCMD ["cat", "/w/ran"]\n'
)


def test_a_cached_build_takes_no_time(engine: Engine) -> None:
    """The client's own time is in it: the context is made before."""
    tar = archive({"Dockerfile": TEN, "a": "1", "b": "2"})
    client = docker.DockerClient(base_url=engine.host)

    def seconds() -> tuple[float, str]:
        began = time.monotonic()
        answer = client.api._post(client.api._url("/build"), data=tar, headers={"Content-Type": "application/x-tar"})
        return time.monotonic() - began, answer.text

    seconds()
    runs = [seconds() for _ in range(5)]
    assert [text.count("Using cache") for _, text in runs] == [9] * 5
    assert min(taken for taken, _ in runs) < 0.1
