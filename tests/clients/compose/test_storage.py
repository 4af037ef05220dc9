"""Volumes, binds, tmpfs, environment files, secrets and configs of a compose file, as the container sees them."""

from __future__ import annotations

import pytest

from tests.clients.compose.conftest import Maker
from tests.clients.compose.project import notes

TEXT = """
services:
  web:
    image: sockerless/base
    command: sleep 1000
    stop_grace_period: 0s
    user: "0"
    read_only: true
    env_file: [one.env, {path: missing.env, required: false}]
    environment: {B: from-compose, C: }
    volumes:
      - data:/data
      - ./site:/site:ro
      - ./job:/job
      - /anonymous
      - {type: tmpfs, target: /fast, tmpfs: {size: 1048576}}
    tmpfs: [/tmp]
    secrets: [token, {source: token, target: /etc/token}]
    configs: [{source: settings, target: /etc/settings.ini}]
  reader:
    image: sockerless/base
    command: cat /data/file
    volumes: [data:/data:ro]
    profiles: [later]
volumes:
  data: {name: shop-kept, labels: {kind: test}}
secrets:
  token: {file: token.txt}
configs:
  settings: {file: settings.ini}
"""


@pytest.mark.oracle
def test_mounts_and_environment(shop: Maker) -> None:
    project = shop(TEXT)
    project.write("one.env", "A=one\nB=two\n# a comment\nQUOTED='with space'\n")
    project.write("site/index.html", "page\n")
    project.write("job/in", "given\n")
    project.write("token.txt", "s3cret\n")
    project.write("settings.ini", "x=1\n")
    project.ok("up", "--detach", env={"C": "from-shell"})
    assert project.sh("web", "echo $A $B $C $QUOTED") == "one from-compose from-shell with space"
    assert project.sh("web", "cat /run/secrets/token /etc/token /etc/settings.ini /site/index.html") == (
        "s3cret\ns3cret\nx=1\npage"
    )
    assert project.sh("web", "cat /job/in; echo made > /job/out; echo kept > /data/file; echo t > /tmp/t") == "given"
    assert (project.folder / "job" / "out").read_text() == "made\n"
    assert project.sh("web", "echo x > /site/y 2>&1 || echo refused").endswith("refused")
    assert project.sh("web", "echo x > /srv-y 2>&1 || echo refused").endswith("refused")
    assert project.sh("web", "df -k /fast | awk 'NR == 2 {print $1, $2, $6}'") == "tmpfs 1024 /fast"
    assert project.ok("run", "--rm", "reader") == "kept"


def test_volumes_outlive_down_and_containers(shop: Maker) -> None:
    project = shop(
        TEXT.replace("[token, {source: token, target: /etc/token}]", "[]").replace(
            "[{source: settings, target: /etc/settings.ini}]", "[]"
        )
    )
    project.write("one.env", "")
    project.write("site/x", "")
    project.write("job/x", "")
    project.ok("up", "--detach")
    project.sh("web", "echo kept > /data/file; echo anonymous > /anonymous/file")
    project.ok("up", "--detach", "--force-recreate")
    assert project.sh("web", "cat /data/file /anonymous/file") == "kept\nanonymous"
    project.ok("up", "--detach", "--force-recreate", "--renew-anon-volumes")
    assert project.sh("web", "cat /data/file; ls /anonymous") == "kept"
    project.ok("down")
    assert project.engine.ok("volume", "inspect", "--format={{.Labels.kind}}", "shop-kept") == "test"
    assert project.ok("run", "--rm", "reader") == "kept"


def test_content_of_the_environment_as_a_config(shop: Maker) -> None:
    project = shop("""
services:
  web:
    image: sockerless/base
    command: sleep 1000
    stop_grace_period: 0s
    configs: [{source: note, target: /note}]
    secrets: [password]
configs: {note: {content: "hello ${WHO}"}}
secrets: {password: {environment: PASSWORD}}
""")
    project.ok("up", "--detach", env={"WHO": "world", "PASSWORD": "hunter2"})
    assert project.sh("web", "cat /note; echo; cat /run/secrets/password") == "hello world\nhunter2"


def test_external_volumes_have_to_exist(shop: Maker) -> None:
    project = shop("""
services: {web: {image: sockerless/base, command: 'true', volumes: ["outside:/data"]}}
volumes: {outside: {external: true, name: shop-outside}}
""")
    result = project.compose("up", "--detach")
    assert (result.code, notes(result.stderr)[-1]) == (1, 'external volume "shop-outside" not found')
    project.engine.ok("volume", "create", "shop-outside")
    project.ok("up", "--detach")
    project.ok("down", "--volumes")
    assert project.engine.ok("volume", "rm", "shop-outside") == "shop-outside"


def test_a_volume_is_a_directory_of_the_host(shop: Maker) -> None:
    project = shop("""
services:
  web:
    image: sockerless/base
    command: sh -c 'cat /data/in > /data/out; sleep 0.5'  # compose subscribes to events beside the start
    volumes: ["data:/data"]
volumes: {data: {driver_opts: {type: none, o: bind, device: "${HERE}"}}}
""")
    project.write(".env", f"HERE={project.folder}/here\n")
    project.write("here/in", "given\n")
    project.ok("up", "--exit-code-from=web")
    assert (project.folder / "here" / "out").read_text() == "given\n"
    project.ok("down", "--volumes")
    assert (project.folder / "here" / "in").exists()
