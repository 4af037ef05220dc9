"""act: the repository's files in the container, and the artifact server."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from tests.clients import act_client
from tests.clients.engine import Engine

pytestmark = pytest.mark.oracle

FILES = 5000


def test_checkout_of_a_large_tree(engine: Engine, tmp_path: Path) -> None:
    digest = _write_tree(tmp_path / "tree")
    run = act_client.run(engine, tmp_path, "checkout")
    assert run.code == 0, run
    assert run.jobs["tree"].output == {
        "empty": "0\n",
        "count": f"{FILES + 1}\n",
        "content": f"{digest}  -\n",
        "mode": "executable\nfolder00/file0000\n",
    }


def test_local_composite_action(engine: Engine, tmp_path: Path) -> None:
    run = act_client.run(engine, tmp_path, "composite")
    assert run.code == 0, run
    assert run.jobs["local"].output == {"./actions/greet": "HELLO WORLD!\n", "result": "hello world!\n"}


def test_artifact_server(engine: Engine, tmp_path: Path) -> None:
    port, store = act_client.free_port(), tmp_path / "artifacts"
    folder = tmp_path / "project"
    folder.mkdir()
    flags = (
        "--artifact-server-path",
        str(store),
        "--artifact-server-addr",
        "127.0.0.1",
        "--artifact-server-port",
        str(port),
    )
    run = act_client.run(engine, folder, "artifact", *flags)
    assert run.code == 0, run
    created, finalized = run.output("upload", "upload").split("\n", 1)
    assert created == "HTTP/1.1 201 Created"
    assert json.loads(finalized)["ok"] is True
    assert run.output("upload", "list") == '"name":"note"\n'
    assert {str(path.relative_to(store)): path.read_text() for path in store.rglob("*") if path.is_file()} == {
        "1/note/note.zip": "kept by the server"
    }


def _write_tree(tree: Path) -> str:
    """Writes the tree and returns the MD5 of all regular files' contents in the order of their paths."""
    content = {f"folder{n % 50:02}/file{n:04}": f"content of {n}\n" * (n % 7) for n in range(FILES)}
    content["run.sh"] = "#!/bin/sh\necho executable\n"
    for path, text in content.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_text(text)
    (tree / "run.sh").chmod(0o755)
    (tree / "link").symlink_to("folder00/file0000")
    joined = "".join(text for _, text in sorted(content.items()))
    return hashlib.md5(joined.encode()).hexdigest()
