"""What stands in for the images of the recordings: sockerless/base under their names, their programs as scripts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.clients import images
from tests.clients.engine import Engine

SHORT_PATH = "PATH=/bin:/usr/bin"
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ENTRYPOINT = """#!/bin/sh
exec "$@"
"""
BUILD = """#!/bin/sh
exec bash
"""
HTTPD = """#!/bin/sh
exec /usr/sbin/httpd "$@"
"""
HELPER = r"""#!/bin/bash
case "$1" in
cache-init)
    mkdir -p "$2" && chmod 777 "$2"
    ;;
health-check)
    address=$WAIT_FOR_SERVICE_TCP_ADDR port=$WAIT_FOR_SERVICE_TCP_PORT
    for name in $(env | sed -n 's/^\([A-Z0-9_]*_TCP_[A-Z]*\)=.*/\1/p'); do
        case "$name" in
        *_TCP_ADDR) address=${address:-${!name}} ;;
        *_TCP_PORT) port=${port:-${!name}} ;;
        esac
    done
    echo "waiting for TCP connection to $address:$port..."
    until nc "$address" "$port" </dev/null; do sleep 0.1; done
    ;;
*)
    echo "unknown command $1" >&2
    exit 2
    ;;
esac
"""


@dataclass(frozen=True)
class Image:
    """The image's own configuration, and files (all executable) beside those of sockerless/base."""

    config: Mapping[str, Any]
    files: Mapping[str, str] = field(default_factory=dict)


RUNNER_HELPER = Image(
    {"Env": [PATH], "Entrypoint": ["/bin/sh", "/entrypoint"], "Cmd": ["sh"]},
    {"entrypoint": ENTRYPOINT, "usr/bin/gitlab-runner-build": BUILD, "usr/bin/gitlab-runner-helper": HELPER},
)
UBUNTU = Image({"Env": [PATH], "Cmd": ["/bin/bash"]})
WEB = Image(
    {"Env": [SHORT_PATH], "Cmd": ["httpd", "-f", "-h", "/www", "-p", "80"], "ExposedPorts": {"80/tcp": {}}},
    {"www/index.html": "web", "bin/httpd": HTTPD},
)
BUSYBOX = Image({"Env": [SHORT_PATH], "Cmd": ["sh"]})
STAND_INS = {
    "localhost/gitlab-runner-helper:v14.7.1": RUNNER_HELPER,
    "localhost/gitlab-runner-helper:v15.0.0": RUNNER_HELPER,
    "localhost/ubuntu:latest": UBUNTU,
    "localhost/httpd:latest": WEB,
    "busybox:latest": BUSYBOX,
    "127.0.0.1:5005/ubuntu:latest": UBUNTU,
    "127.0.0.1:5005/httpd:latest": WEB,
    "127.0.0.1:5005/busybox:latest": BUSYBOX,
}


def load(engine: Engine, wanted: Mapping[str, str]) -> dict[str, str]:
    """Makes the stand-ins on the engine. Returns their ids (without `sha256:`) under the keys of `wanted`."""
    for name in wanted.values():
        images.derive(engine, name, STAND_INS[name].config, STAND_INS[name].files)
    ids = {name: json.loads(engine.ok("image", "inspect", image))[0]["Id"] for name, image in wanted.items()}
    return {name: identity.removeprefix("sha256:") for name, identity in ids.items()}
