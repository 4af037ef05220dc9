"""gitlab-ci-local's pipelines run on our engine and give the commands' own output. It drives the docker CLI."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients import gcl_client, images
from tests.clients.engine import Engine

pytestmark = pytest.mark.oracle


def leftovers(engine: Engine) -> str:
    containers = engine.ok("ps", "--all", "--filter", "name=gcl-", "--format", "{{.Names}}")
    networks = engine.ok("network", "ls", "--filter", "name=gitlab-ci-local", "--format", "{{.Name}}")
    return containers + networks + engine.ok("volume", "ls", "--filter", "name=gcl-", "--format", "{{.Name}}")


def test_scripts_stages_and_variables(engine: Engine, tmp_path: Path) -> None:
    run = gcl_client.run(engine, tmp_path, "basics")
    assert run.code == 0, run.text
    assert run.jobs == {
        "first": [
            "before first", "global job", "loop a", "loop b", "a tracked file", "after with status success",
        ],
        "second": ["no before", "no git in the image", "repo main false"],
        "third": ["before third", "stage check"],
    }  # fmt: skip
    assert run.errors == {"first": ["to stderr"]}
    assert list(run.jobs) == ["first", "second", "third"]
    assert leftovers(engine) == ""


def test_needs_rules_and_allowed_failures(engine: Engine, tmp_path: Path) -> None:
    run = gcl_client.run(engine, tmp_path, "flow")
    assert run.code == 0, run.text
    assert run.results() == {
        "independent": "PASS",
        "tolerated": "WARN 3",
        "tolerated code": "WARN 7",
        "retried": "WARN 1",
        "by rule": "PASS",
        "early": "PASS",
        "late": "PASS",
        "always": "PASS",
    }
    assert run.jobs["by rule"] == ["rule"]


def test_failures_and_exit_codes(engine: Engine, tmp_path: Path) -> None:
    """`timeout` and `retry` are accepted; gitlab-ci-local itself does not act on them."""
    run = gcl_client.run(engine, tmp_path, "failing")
    assert run.code == 1, run.text
    assert run.results() == {"broken": "FAIL 42", "slow": "FAIL 143", "retried": "FAIL 1", "on failure": "PASS"}
    assert run.jobs == {
        "broken": ["before", "after failed"],
        "slow": ["started"],
        "retried": ["attempt"],
        "on failure": ["handled"],
    }
    assert run.errors == {"slow": ["Terminated"]}
    assert leftovers(engine) == ""


def test_artifacts_and_cache(engine: Engine, tmp_path: Path) -> None:
    run = gcl_client.run(engine, tmp_path, "files")
    assert run.code == 0, run.text
    assert run.jobs == {
        "use": ["made", "made", "other is not there", "version 1.2.3", "cache and artifact agree"],
        "without": ["no artifacts"],
    }
    assert (tmp_path / "out/deep/file").read_text() == "made\n"
    assert (tmp_path / "out/link").readlink() == Path("deep/file")


@pytest.mark.usefixtures("web")
def test_services(engine: Engine, tmp_path: Path) -> None:
    run = gcl_client.run(engine, tmp_path, "services")
    assert run.code == 0, run.text
    assert "healthcheck failed" not in run.text
    assert run.jobs == {
        "with service": ["hello from the service"],
        "two services": ["healthy", "shared"],
    }
    assert leftovers(engine) == ""


def test_include_extends_and_matrix(engine: Engine, tmp_path: Path) -> None:
    run = gcl_client.run(engine, tmp_path, "reuse")
    assert run.code == 0, run.text
    assert run.jobs == {
        "matrix: [red,1]": ["red-1"],
        "matrix: [red,2]": ["red-2"],
        "matrix: [blue,1]": ["blue-1"],
        "matrix: [blue,2]": ["blue-2"],
        "matrix: [green]": ["green-"],
        "included": ["hello template kept"],
        "extended": ["template's before", "hello extended kept"],
        "anchored": ["anchor"],
        "referenced": ["hello reference ", "and more"],
        "parallel: [1/2]": ["1 of 2"],
        "parallel: [2/2]": ["2 of 2"],
    }


def test_several_images(engine: Engine, tmp_path: Path) -> None:
    images.derive(
        engine,
        "sockerless-test/marked:latest",
        {"Env": ["MARK=from the image"]},
        {"bin/marker": "#!/bin/sh\necho marked\n"},
    )
    images.derive(engine, "sockerless-test/entry:latest", {"Entrypoint": ["/bin/false"]})
    run = gcl_client.run(engine, tmp_path, "images")
    assert run.code == 0, run.text
    assert run.jobs == {
        "base": ["marker ''"],
        "other": ["marker 'marked'", "from the image"],
        "entry point": ["entry point overridden"],
    }
