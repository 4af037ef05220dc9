"""``python -m frontend``: serve the Docker API of one worker, or of several as one, until SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import uvicorn
import uvloop

from backends.api import descriptors, jsonlog
from backends.api.client import connect
from backends.api.http import bind_socket, unlink_socket
from frontend.app import Application
from frontend.docker.system import SERVER
from frontend.routing.gateway import Gateway
from frontend.routing.passing import PassThrough
from frontend.routing.router import route
from frontend.routing.workers import Worker
from frontend.server import HijackProtocol, Server
from frontend.wire.versions import NEWEST

log = logging.getLogger("frontend")

KEEP_ALIVE_SECONDS = 2 * 3600  # Go's clients keep connections for long and do not repeat a POST that hits a closed one
GRACE_SECONDS = 1
HEADERS = [
    ("Api-Version", str(NEWEST)),
    ("Docker-Experimental", "false"),
    ("Ostype", "linux"),
    ("Server", SERVER),
]


def main() -> int:
    """Return the exit status: 0 after SIGTERM, 1 when it cannot start."""
    parser = _parser()
    options = parser.parse_args()
    if not options.workers:
        parser.error("at least one --worker or --relay is required")
    try:
        served = application(options.workers, options.default_runtime)
    except ValueError as error:
        parser.error(str(error))
    jsonlog.configure(options.log_level)
    descriptors.raise_limit()
    with ExitStack() as bound:
        listeners = []
        for address in options.listen:
            try:
                listeners.append(bound.enter_context(_bound(address)))
            except (OSError, ValueError) as error:
                log.error("cannot listen", extra={"address": address, "reason": str(error)})
                return 1
        uvloop.run(_serve(served, options.workers, listeners))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="frontend", description=__doc__)
    parser.add_argument("--listen", action="append", required=True, metavar="unix:///PATH|tcp://HOST:PORT")
    parser.add_argument(
        "--worker", dest="workers", action="append", type=_worker, metavar="BACKEND=SOCKET", help="may be repeated"
    )
    parser.add_argument(
        "--relay",
        dest="workers",
        action="append",
        type=_relay,
        metavar="BACKEND=SOCKET",
        help="a worker with a Docker engine behind it: requests that concern it alone are passed on as they are",
    )
    parser.add_argument(
        "--default-runtime", default="", metavar="BACKEND", help="where containers go that name no runtime (the first)"
    )
    parser.add_argument("--log-level", default="INFO", choices=("DEBUG", "INFO", "WARNING", "ERROR"))
    return parser


def _worker(text: str, relays: bool = False) -> Worker:
    backend, separator, path = text.partition("=")
    if not (backend and separator and path):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form BACKEND=SOCKET")
    return Worker(backend, connect(Path(path), backend), relays)


def _relay(text: str) -> Worker:
    return _worker(text, relays=True)


@contextmanager
def _bound(address: str) -> Iterator[socket.socket]:
    """Listen at ``address``; on the way out a socket file that is still ours is removed."""
    parts = urlsplit(address)
    path = Path(parts.path)
    with _bind(address, parts) as listener:
        inode = path.stat().st_ino if listener.family == socket.AF_UNIX else 0
        try:
            yield listener
        finally:
            if inode:
                unlink_socket(path, inode)


def _bind(address: str, parts: SplitResult) -> socket.socket:
    if parts.scheme == "unix" and parts.path:
        return bind_socket(Path(parts.path))
    if parts.scheme == "tcp" and parts.hostname and parts.port is not None:
        family = socket.AF_INET6 if ":" in parts.hostname else socket.AF_INET
        return socket.create_server((parts.hostname, parts.port), family=family, backlog=1024)
    raise ValueError(f"{address!r} is neither unix:///PATH nor tcp://HOST:PORT")


def application(workers: list[Worker], default: str = "") -> Any:
    """The ASGI application in front of ``workers``. Raises ValueError.

    ``default`` names the one that new containers go to, "" = the first.
    """
    names = [worker.name for worker in workers]
    if len(set(names)) < len(names):
        raise ValueError(f"a backend is named twice: {', '.join(names)}")
    if default and default not in names:
        raise ValueError(f"the default runtime {default} is none of: {', '.join(names)}")
    first = next(worker for worker in workers if worker.name == (default or names[0]))
    if len(workers) > 1:
        router = route([first, *(worker for worker in workers if worker is not first)])
        return Gateway(router, Application(router, first.name))
    return PassThrough(first.engine) if first.relays else Application(first.engine, first.name)


def configuration(application: Any) -> uvicorn.Config:
    """How uvicorn serves the application."""
    return uvicorn.Config(
        application,
        http=HijackProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        headers=HEADERS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


async def _serve(served: Any, workers: list[Worker], listeners: list[socket.socket]) -> None:
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    server = Server(configuration(served), listeners)
    started = asyncio.create_task(_announce(server, listeners))
    _quieten_collector()
    try:
        await server.serve()
    finally:
        started.cancel()
        for worker in workers:
            worker.engine.close()


def _quieten_collector() -> None:
    """PERF: a collection is a request's delay, a sixth of a long list's time. What is here already stays for good and
    is not looked at again, and requests leave hardly any cycles.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 50, 100)


async def _announce(server: Server, listeners: list[socket.socket]) -> None:
    await server.listening.wait()
    log.info("ready", extra={"listen": [_address(listener) for listener in listeners]})


def _address(listener: socket.socket) -> str:
    name = listener.getsockname()
    if listener.family == socket.AF_UNIX:
        return f"unix://{name}"
    host = f"[{name[0]}]" if listener.family == socket.AF_INET6 else name[0]
    return f"tcp://{host}:{name[1]}"


if __name__ == "__main__":
    sys.exit(main())
