"""``python -m backends.memory``: the memory backend's worker process."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

import uvloop

from backends.api.errors import EngineError
from backends.api.jsonlog import configure
from backends.memory.worker import Settings, work


def parse(arguments: list[str] | None = None) -> Settings:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m backends.memory", description=__doc__)
    parser.add_argument("--socket", type=Path, required=True, help="where the engine API is served")
    parser.add_argument("--data", type=Path, required=True, help="containers, volumes, images, journal")
    parser.add_argument("--images", type=Path, help="a content store shared with other workers")
    parser.add_argument("--userland", type=Path, help="the sandbox's programs (default: the last build)")
    parser.add_argument("--cache", type=Path, help="compiled programs (default: in the user's cache)")
    parser.add_argument("--registry-mirror", dest="mirrors", action="append", default=[], help="mirror of Docker Hub")
    parser.add_argument("--insecure-registry", dest="insecure", action="append", default=[], help="host[:port] or CIDR")
    parser.add_argument("--build-add-urls", action="store_true", help="let ADD in a Dockerfile download")
    found = parser.parse_args(arguments)
    return Settings(
        socket=found.socket,
        data=found.data.absolute(),
        userland=found.userland or _userland(),
        cache=found.cache or _cache(),
        images=found.images,
        mirrors=tuple(found.mirrors),
        insecure=tuple(found.insecure),
        add_urls=found.build_add_urls,
    )


def _userland() -> Path:
    from sandbox.wasm.userland.store import current, default_cache

    return current(default_cache(os.environ))


def _cache() -> Path:
    from sandbox.wasm.userland.store import default_cache

    return default_cache(os.environ) / "wasm"


def main() -> int:
    """Serve; 1 when the worker cannot begin, with the reason as one log line."""
    configure()
    from sandbox.wasm.userland.errors import UserlandError

    try:
        uvloop.run(work(parse()))
    except (EngineError, OSError, UserlandError) as error:
        logging.getLogger("backends.memory").error("cannot start: %s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
