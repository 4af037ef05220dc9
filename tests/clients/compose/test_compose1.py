"""docker-compose 1.29, the Python program: an old client of an old API version, with its own habits."""

from __future__ import annotations

import pytest

from tests.clients.compose.conftest import Maker, left
from tests.clients.engine import Engine

TEXT = """
version: "2.4"
services:
  web:
    build: {context: ., args: {PAGE: hello}}
    image: shop-test/old-web
    environment: {COLOUR: red}
    stop_grace_period: 1s
    ports: ["127.0.0.1::8080"]
    healthcheck: {test: wget -qO- http://127.0.0.1:8080/, interval: 0.2s, timeout: 30s, retries: 100}
    networks: {default: {aliases: [site]}}
  app:
    image: sockerless/base
    command: sh -c 'wget -qO- http://site:8080/; exec sleep 1000'
    init: true
    depends_on: {web: {condition: service_healthy}}
    volumes: ["data:/data"]
volumes: {data: {}}
"""
DOCKERFILE = """FROM sockerless/base
ARG PAGE
RUN mkdir /www && echo "$PAGE" > /www/index.html
CMD ["sh", "-c", "trap 'exit 0' TERM; httpd -f -p 8080 -h /www & wait"]
"""


@pytest.mark.slow
def test_a_project_from_up_to_down(engine: Engine, shop1: Maker) -> None:
    engine.docker("rmi", "--force", "shop-test/old-web")
    project = shop1(TEXT)
    project.write("Dockerfile", DOCKERFILE)
    result = project.compose("up", "--detach")
    assert result.code == 0, result
    assert "Successfully tagged shop-test/old-web:latest" in result.stdout
    assert "Creating shop_app_1 ... done" in result.stderr.replace("\r", "\n")
    rows = [line.split() for line in project.ok("ps").splitlines()[2:]]
    assert [row[0] for row in rows] == ["shop_app_1", "shop_web_1"]
    assert "(healthy)" in project.ok("ps", "web")
    with project.running("logs", "--follow", "--no-color", "app") as logs:
        assert logs.until("| hello") == ["Attaching to shop_app_1", "app_1  | hello"]
    assert project.ok("exec", "-T", "web", "sh", "-c", "echo $COLOUR") == "red"
    result = project.compose("exec", "-T", "web", "sh", "-c", "exit 6")
    assert result.code == 6
    result = project.compose("run", "--rm", "-T", "app", "sh", "-c", "wget -qO- http://web:8080/; exit 7")
    assert (result.code, result.stdout) == (7, "hello\n")
    address = project.ok("port", "web", "8080")
    assert project.engine.run(["busybox", "wget", "-qO-", f"http://{address}/"]).stdout == "hello\n"
    project.ok("up", "--detach", "--scale", "app=3")
    assert project.ok("ps", "--quiet", "app").count("\n") == 2
    project.ok("up", "--detach", "--scale", "app=1")
    assert project.ok("ps", "--quiet", "app").count("\n") == 0
    project.ok("restart", "--timeout=0", "app")
    project.ok("stop", "--timeout=0", "app")
    assert sorted(left(project.engine)) == ["shop_app_1", "shop_data", "shop_default", "shop_web_1"]
    project.ok("down", "--rmi=local", "--timeout=0")
    assert left(project.engine) == ["shop_data"]
    project.engine.ok("rmi", "shop-test/old-web")


def test_up_ends_with_a_container(shop1: Maker) -> None:
    project = shop1("""
version: "2.4"
services:
  test: {image: sockerless/base, command: "sh -c 'echo testing; exit 3'", depends_on: [server]}
  server: {image: sockerless/base, command: sleep 1000, stop_signal: KILL}
""")
    result = project.compose("up", "--no-color", "--exit-code-from", "test")
    assert result.code == 3
    lines = result.stdout.splitlines()
    assert lines[0] == "Attaching to shop_server_1, shop_test_1"
    assert "test_1    | testing" in lines
    assert "shop_test_1 exited with code 3" in lines
