"""``python -m backends.docker``: the docker backend's worker process."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

import uvloop

from backends.api.jsonlog import configure
from backends.docker.place import Place
from backends.docker.worker import work


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m backends.docker", description=__doc__)
    parser.add_argument("--socket", type=Path, required=True, help="where the engine API is served")
    parser.add_argument(
        "--engine", type=_place, default="unix:///run/docker.sock", metavar="unix:///PATH|tcp://HOST:PORT",
        help="the Docker Engine or Podman service that is driven",
    )  # fmt: skip
    return parser


def _place(text: str) -> Place:
    try:
        return Place.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def main() -> int:
    """Serve; 1 when the worker cannot begin, with the reason as one log line."""
    options = _parser().parse_args()
    configure()
    try:
        uvloop.run(work(options.socket, options.engine))
    except OSError as error:
        logging.getLogger("backends.docker").error("cannot start: %s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
