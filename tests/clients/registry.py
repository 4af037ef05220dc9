"""Debian's docker-registry on loopback, with an image in it that no engine has yet."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import http.client
import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.clients import act_client, images
from tests.clients.engine import Engine
from tests.oracle.tools import tool

REPOSITORY = "test/pulled"
USER, PASSWORD = "someone", "a secret"
HTPASSWD = "someone:$2b$04$or2wxnZefBc7ey.z4WCaT.hK/L6TkGlMkCR7cqtM6Tne7ZPra/bXK\n"
"""The bcrypt hash of PASSWORD."""
CONFIG = """\
version: 0.1
log: {{level: warn, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {root}}}}}
http: {{addr: "127.0.0.1:{port}"}}
{auth}"""
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
START_SECONDS = 20.0


@dataclass(frozen=True)
class Registry:
    """A registry that serves `image` (a full reference); `digest` is its manifest's."""

    address: str
    image: str
    digest: str


@contextlib.contextmanager
def serving(engine: Engine, folder: Path, *, secured: bool = False) -> Iterator[Registry]:
    """A registry on the engine's loopback with sockerless/base and PULLED=yes; `secured` asks for USER and PASSWORD."""
    image, layers = images.contents(engine)
    image["config"] = {**image["config"], "Env": [*image["config"]["Env"], "PULLED=yes"]}
    served = fill(folder, image, [gzip.compress(layer, 1) for layer in layers], secured=secured)
    with also(engine, folder, served):
        yield served


def fill(folder: Path, image: dict[str, Any], packed: list[bytes], *, secured: bool = False) -> Registry:
    """A new registry's content in `folder`: an image of gzip layers. `also` serves it."""
    port = act_client.free_port()
    address = f"127.0.0.1:{port}"
    open_config, config = folder / "open.yml", folder / "registry.yml"
    open_config.write_text(CONFIG.format(root=folder / "store", port=port, auth=""))
    config.write_text(CONFIG.format(root=folder / "store", port=port, auth=_auth(folder) if secured else ""))
    with _process((), open_config, port):
        digest = _upload(image, packed, port)
    return Registry(address, f"{address}/{REPOSITORY}:1", digest)


@contextlib.contextmanager
def also(engine: Engine, folder: Path, served: Registry) -> Iterator[None]:
    """The registry whose content is in `folder`, at its address on the loopback of an engine."""
    with _process(engine.prefix, folder / "registry.yml", int(served.address.rpartition(":")[2])):
        yield


@contextlib.contextmanager
def _process(prefix: tuple[str, ...], config: Path, port: int) -> Iterator[None]:
    command = [*prefix, tool("docker-registry"), "serve", str(config)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _wait(prefix, port)
            yield
        finally:
            process.kill()


def _wait(prefix: tuple[str, ...], port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    connect = [*prefix, tool("bash-static"), "-c", f": < /dev/tcp/127.0.0.1/{port}"]
    while subprocess.run(connect, stderr=subprocess.DEVNULL, check=False).returncode:
        assert time.monotonic() < deadline, "docker-registry does not answer"
        time.sleep(0.05)


def _auth(folder: Path) -> str:
    file = folder / "htpasswd"
    file.write_text(HTPASSWD)
    return f"auth: {{htpasswd: {{realm: test, path: {file}}}}}\n"


def _upload(image: dict[str, Any], packed: list[bytes], port: int) -> str:
    config = json.dumps(image).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": _descriptor("application/vnd.docker.container.image.v1+json", config),
        "layers": [_descriptor("application/vnd.docker.image.rootfs.diff.tar.gzip", blob) for blob in packed],
    }
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    for blob in (config, *packed):
        _upload_blob(connection, blob)
    body = json.dumps(manifest).encode()
    _request(connection, "PUT", f"/v2/{REPOSITORY}/manifests/1", body, MANIFEST)
    connection.close()
    return _digest(body)


def _upload_blob(connection: http.client.HTTPConnection, blob: bytes) -> None:
    location = _request(connection, "POST", f"/v2/{REPOSITORY}/blobs/uploads/", b"", "application/octet-stream")
    place = "/" + location.split("/", 3)[3]
    mark = "&" if "?" in place else "?"
    _request(connection, "PUT", f"{place}{mark}digest={_digest(blob)}", blob, "application/octet-stream")


def _request(connection: http.client.HTTPConnection, method: str, path: str, body: bytes, kind: str) -> str:
    connection.request(method, path, body, {"Content-Type": kind})
    response = connection.getresponse()
    text = response.read()
    assert response.status in (201, 202), (method, path, response.status, text)
    return response.getheader("Location") or ""


def _descriptor(kind: str, blob: bytes) -> dict[str, object]:
    return {"mediaType": kind, "size": len(blob), "digest": _digest(blob)}


def _digest(blob: bytes) -> str:
    return "sha256:" + hashlib.sha256(blob).hexdigest()
