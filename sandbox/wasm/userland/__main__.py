"""Command line: build, path, testsuites, base-image."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from sandbox.wasm.userland.base_image import build_base_image
from sandbox.wasm.userland.errors import UserlandError
from sandbox.wasm.userland.store import build, current, default_cache
from sandbox.wasm.userland.testsuites import unpack_testsuites


def main(arguments: list[str] | None = None) -> int:
    """Run one command and print the path of what it made or found. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.wasm.userland", description="The sandbox's programs.")
    parser.add_argument("command", choices=["build", "path", "testsuites", "base-image"])
    cache = default_cache(os.environ)
    parser.add_argument("--cache", type=Path, default=cache, help="where builds are kept (%(default)s)")
    parser.add_argument("--output", type=Path, default=Path("base.tar"), help="where base-image writes (%(default)s)")
    chosen = parser.parse_args(arguments)
    try:
        print(_run(chosen.command, chosen.cache.absolute(), chosen.output))
    except UserlandError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _run(command: str, cache: Path, output: Path) -> Path:
    if command == "build":
        return build(cache)
    if command == "path":
        return current(cache)
    if command == "testsuites":
        return unpack_testsuites(cache)
    build_base_image(current(cache), output)
    return output


if __name__ == "__main__":
    sys.exit(main())
