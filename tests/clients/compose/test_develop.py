"""What development uses: published port ranges over replicas, restart policies, hooks, watch, commit and export."""

from __future__ import annotations

import tarfile

from tests.clients import hostside
from tests.clients.compose.conftest import Maker
from tests.clients.compose.project import Project


def test_replicas_share_a_range_of_ports(shop: Maker) -> None:
    project = shop("""
services:
  web:
    image: sockerless/base
    command: sh -c 'mkdir /www; hostname > /www/page; exec httpd -f -p 80 -h /www'
    init: true
    ports: ["127.0.0.1:28600-28602:80"]
    scale: 3
""")
    project.ok("up", "--detach", "--wait")
    ports = {project.ok("port", f"--index={index}", "web", "80") for index in (1, 2, 3)}
    assert ports == {f"127.0.0.1:{port}" for port in (28600, 28601, 28602)}
    names = {hostside.fetch(project.engine, "127.0.0.1", port) for port in (28600, 28601, 28602)}
    ids = project.engine.ok("ps", "--quiet", "--filter=name=shop-web")
    assert names == set(ids.splitlines())


def test_a_failing_service_is_started_again(shop: Maker) -> None:
    """Each run ends a while after compose follows its log: compose subscribes to events beside that, and an end that
    comes sooner is missing there, whatever the engine."""
    project = shop("""
services:
  flaky:
    image: sockerless/base
    command: sh -c 'runs=$$(ls /gate); echo "<$$runs>";
      while [ "$$(ls /gate)" = "$$runs" ]; do sleep 0.1; done; sleep 0.5; exit 1'
    volumes: ["./gate:/gate"]
    restart: "on-failure:2"
""")
    project.ok("up", "--detach")
    with project.running("logs", "--follow", "--no-log-prefix") as logs:
        for file, before, end in (("a", "<>", " (restarting)"), ("b", "<a", " (restarting)"), ("c", "b>", "")):
            logs.until(before)
            project.write(f"gate/{file}", "")
            assert logs.until("exited")[-1] == f"\x1b[Kflaky-1 exited with code 1{end}"
    project.engine.ok("wait", "shop-flaky-1")
    assert project.engine.ok("inspect", "--format={{.RestartCount}} {{.State.ExitCode}}", "shop-flaky-1") == "2 1"


def test_hooks_run_after_the_start_and_before_the_stop(shop: Maker) -> None:
    project = shop("""
services:
  web:
    image: sockerless/base
    command: sleep 1000
    init: true
    volumes: ["./out:/out"]
    post_start: [{command: [sh, -c, "id -un > /out/started"], user: root}]
    pre_stop: [{command: [sh, -c, "echo $$WHY > /out/stopped"], environment: [WHY=told]}]
""")
    project.write("out/x", "")
    project.ok("up", "--detach")
    assert (project.folder / "out" / "started").read_text() == "root\n"
    project.ok("stop")
    assert (project.folder / "out" / "stopped").read_text() == "told\n"


def test_watch_copies_what_changes(shop: Maker) -> None:
    project = shop("""
services:
  web:
    image: sockerless/base
    command: sh -c 'echo started; exec sleep 1000'
    init: true
    build: {context: .}
    develop:
      watch:
        - {action: sync, path: ./src, target: /src}
        - {action: sync+restart, path: ./conf, target: /conf}
""")
    project.write("src/a", "one\n")
    project.write("conf/c", "one\n")
    project.engine.ok("tag", "sockerless/base", "shop-web")
    project.ok("up", "--detach", "--no-build")
    with project.running("watch", "--no-up") as watch:
        watch.until("Watch enabled")
        project.write("src/deep/b", "two\n")
        appears(project, "/src/deep/b", "two")
        project.write("conf/c", "changed\n")
        watch.until("restarted")
    appears(project, "/conf/c", "changed")
    with project.running("logs", "--follow", "--no-log-prefix", "web") as logs:
        assert [logs.line(), logs.line()] == ["started", "started"]
    project.ok("down", "--timeout=0")
    project.engine.ok("rmi", "shop-web")


def appears(project: Project, path: str, text: str) -> None:
    """Returns once the file has this content: a moment before it is there and empty, whatever the engine."""
    project.sh("web", f'until [ "$(cat {path} 2>&-)" = {text} ]; do sleep 0.1; done')


def test_commit_and_export(shop: Maker) -> None:
    project = shop("services: {web: {image: sockerless/base, command: sleep 1000, init: true}}")
    project.ok("up", "--detach")
    project.sh("web", "echo changed > /changed")
    project.ok("commit", "web", "shop-test/committed:1")
    assert project.engine.ok("run", "--rm", "shop-test/committed:1", "cat", "/changed") == "changed"
    project.engine.ok("rmi", "shop-test/committed:1")
    project.ok("export", "--output=web.tar", "web")
    with tarfile.open(project.folder / "web.tar") as tar:
        content = tar.extractfile("changed")
        assert content is not None
        assert content.read() == b"changed\n"
