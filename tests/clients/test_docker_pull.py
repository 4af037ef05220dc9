"""docker pull from a real registry."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients import registry
from tests.clients.engine import Engine

pytestmark = pytest.mark.oracle


def test_pull(engine: Engine, tmp_path: Path) -> None:
    with registry.serving(engine, tmp_path) as served:
        pulled = engine.ok("pull", served.image).splitlines()
        assert pulled[0] == "1: Pulling from test/pulled"
        assert pulled[-3:] == [
            f"Digest: {served.digest}",
            f"Status: Downloaded newer image for {served.image}",
            served.image,
        ]
        assert engine.ok("pull", "--quiet", served.image) == served.image
        assert engine.ok("pull", served.image).splitlines()[-2] == f"Status: Image is up to date for {served.image}"
        by_digest = f"{served.address}/{registry.REPOSITORY}@{served.digest}"
        assert engine.ok("image", "inspect", "--format", "{{index .RepoDigests 0}}", served.image) == by_digest
        assert engine.ok("run", "--rm", "--pull", "always", "--quiet", by_digest, "sh", "-c", "echo $PULLED") == "yes"
    assert engine.ok("run", "--rm", served.image, "sh", "-c", "echo $PULLED") == "yes"
    engine.ok("rmi", "--force", served.image, by_digest)


def test_pull_of_all_tags(engine: Engine, tmp_path: Path) -> None:
    with registry.serving(engine, tmp_path) as served:
        repository = f"{served.address}/{registry.REPOSITORY}"
        engine.ok("pull", "--quiet", served.image)
        for tag in ("2", "latest"):
            engine.ok("tag", served.image, f"{repository}:{tag}")
            engine.ok("push", "--quiet", f"{repository}:{tag}")
        engine.ok("rmi", "--force", *(f"{repository}:{tag}" for tag in ("1", "2", "latest")))
        pulled = engine.ok("pull", "--all-tags", repository).splitlines()
        begun = [line for line in pulled if line.endswith(f": Pulling from {registry.REPOSITORY}")]
        assert sorted(line.partition(":")[0] for line in begun) == ["1", "2", "latest"]
        assert pulled[-2:] == [f"Status: Downloaded newer image for {repository}", repository]
        assert sum(line.startswith("Digest: sha256:") for line in pulled) == 3
        again = engine.ok("pull", "--all-tags", repository).splitlines()
        assert again[-2] == f"Status: Image is up to date for {repository}"
        assert sorted(engine.ok("images", "--format", "{{.Tag}}", repository).split()) == ["1", "2", "latest"]
        engine.ok("rmi", "--force", *(f"{repository}:{tag}" for tag in ("1", "2", "latest")))
        gone = engine.docker("pull", "--all-tags", f"{served.address}/no/such")
        assert gone.code == 1


def test_pull_of_what_is_not_there(engine: Engine, tmp_path: Path) -> None:
    with registry.serving(engine, tmp_path) as served:
        missing = engine.docker("pull", f"{served.address}/{registry.REPOSITORY}:nosuch")
        assert (missing.code, missing.stdout) == (1, "")
        assert missing.stderr == (
            f"Error response from daemon: manifest for {served.address}/test/pulled:nosuch not found: "
            "manifest unknown: manifest unknown\n"
        )
    gone = engine.docker("pull", served.image)
    assert gone.code == 1
    assert "connection refused" in gone.stderr.lower()


def test_credentials(engine: Engine, tmp_path: Path) -> None:
    with registry.serving(engine, tmp_path, secured=True) as served:
        refused = engine.docker("pull", served.image)
        assert refused.code == 1
        assert "no basic auth credentials" in refused.stderr
        login = ("login", "--username", registry.USER, "--password-stdin", served.address)
        wrong = engine.docker(*login, input="not the secret")
        assert wrong.code == 1
        assert "401 Unauthorized" in wrong.stderr
        assert engine.docker(*login, input=registry.PASSWORD).stdout == "Login Succeeded\n"
        assert engine.ok("pull", "--quiet", served.image) == served.image
        engine.ok("logout", served.address)
    engine.ok("rmi", "--force", served.image)
