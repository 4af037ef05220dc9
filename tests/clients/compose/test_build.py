"""docker compose build and up --build, with the classic builder that DOCKER_BUILDKIT=0 chooses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.clients.compose.conftest import Maker
from tests.clients.compose.project import Project
from tests.clients.engine import Engine

TEXT = """
services:
  web:
    build:
      context: app
      dockerfile: Dockerfile.web
      target: final
      args: {GREETING: "hello from ${WHO:-nobody}"}
      labels: {kind: test}
    image: shop-test/web:2
    stop_grace_period: 0s
  plain:
    build: app
    command: cat /name
    profiles: [plain]
"""
WEB = """FROM sockerless/base AS first
ARG GREETING
RUN echo "$GREETING" > /greeting
FROM first AS final
COPY name /name
CMD ["sh", "-c", "cat /greeting /name; exec sleep 1000"]
FROM final AS never
RUN exit 1
"""
CLASSIC = {"DOCKER_BUILDKIT": "0"}


@pytest.fixture
def project(engine: Engine, shop: Maker) -> Iterator[Project]:
    made = shop(TEXT)
    made.write("app/Dockerfile.web", WEB)
    made.write("app/Dockerfile", "FROM sockerless/base\nCOPY name /name\n")
    made.write("app/name", "first\n")
    made.write("app/secret", "left out\n")
    made.write("app/.dockerignore", "secret\n")
    yield made
    engine.docker("rmi", "--force", "shop-test/web:2", "shop-plain")


def test_build_runs_and_rebuilds(project: Project) -> None:
    result = project.compose("build", env={**CLASSIC, "WHO": "compose"})
    assert result.code == 0, result
    assert "Successfully tagged shop-test/web:2" in result.stdout + result.stderr
    assert project.engine.ok("inspect", "--format={{.Config.Labels.kind}}", "shop-test/web:2") == "test"
    project.ok("up", "--detach", env={**CLASSIC, "WHO": "compose"})
    assert logged(project) == ["hello from compose", "first"]
    project.write("app/name", "second\n")
    project.ok("up", "--detach", "--build", env={**CLASSIC, "WHO": "compose"})
    assert logged(project) == ["hello from compose", "second"]
    assert project.ok("run", "--rm", "plain", env=CLASSIC).endswith("\nsecond")
    assert project.ok("run", "--rm", "plain", "sh", "-c", "test ! -e /secret && cat /name", env=CLASSIC) == "second"
    project.ok("--profile=*", "down", "--rmi=all")
    assert project.engine.ok("images", "--quiet", "shop-test/web") == ""
    assert project.engine.ok("images", "--quiet", "shop-plain") == ""


def logged(project: Project) -> list[str]:
    with project.running("logs", "--follow", "--no-log-prefix", "web") as logs:
        return [logs.line(), logs.line()]


def test_a_build_that_fails_is_told(project: Project) -> None:
    project.write("app/Dockerfile.web", "FROM sockerless/base AS final\nRUN echo before; exit 9\n")
    result = project.compose("up", "--detach", "--build", env=CLASSIC)
    assert result.code == 9
    assert "The command '/bin/sh -c echo before; exit 9' returned a non-zero code: 9" in result.stderr
    assert project.ok("ps", "--all", "--quiet") == ""
