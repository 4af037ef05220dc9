"""`python -m sandbox.wasm run`: one command in a sandbox with this terminal's standard streams, to try things out."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import threading
from pathlib import Path

from sandbox.images.layer import LayerIndex
from sandbox.images.tree import merge
from sandbox.wasm.kernel.output import MESSAGE
from sandbox.wasm.sandbox import ExecError, Host, Mount, ProcessSpec, Sandbox, SandboxSpec
from sandbox.wasm.trial import base_tree

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def main() -> int:
    options = _parser().parse_args()
    state = Path(tempfile.mkdtemp(prefix="sandbox-"))
    try:
        return _run(options, state)
    finally:
        shutil.rmtree(state, ignore_errors=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sandbox.wasm", description=__doc__)
    run = parser.add_subparsers(required=True).add_parser("run")
    run.add_argument("--userland", type=Path, required=True, help="folder with busybox.wasm, bash.wasm, applets.txt")
    run.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / f"sandbox-cwasm-{os.geteuid()}")
    run.add_argument("--layer", type=Path, action="append", default=[], help="an image layer (tar); may be repeated")
    run.add_argument("--volume", action="append", default=[], metavar="HOST:PATH")
    run.add_argument("--env", action="append", default=[], metavar="NAME=VALUE")
    run.add_argument("--workdir", default="/")
    run.add_argument("--tty", action="store_true")
    run.add_argument("argv", nargs="+")
    return parser


def _run(options: argparse.Namespace, state: Path) -> int:
    host = Host(cache=options.cache, userland=options.userland, state=state)
    if options.layer:
        lower = merge([LayerIndex.of_tar(path) for path in options.layer])
    else:
        lower = base_tree(options.userland, state)
    mounts = tuple(Mount("bind", to, source) for source, to in (each.split(":", 1) for each in options.volume))
    sandbox = Sandbox(host, SandboxSpec("trial", "sandbox", lower, state / "upper", mounts=mounts))
    environ = (PATH, "HOME=/root", *options.env)
    run = ProcessSpec(tuple(options.argv), environ, options.workdir, tty=options.tty, stdin=True)
    try:
        process = sandbox.start(run)
    except ExecError as error:
        print(error.message, file=sys.stderr)
        return error.code
    assert process.stdin is not None
    assert process.output is not None
    threading.Thread(target=_copy, args=(0, process.stdin), daemon=True).start()
    if options.tty:
        _copy(process.output, 1)
    else:
        _show(process.output)
    return process.wait().code


def _show(output: int) -> None:
    os.set_blocking(output, True)
    while message := os.read(output, MESSAGE + 1):
        (sys.stdout if message[0] == 1 else sys.stderr).buffer.write(message[1:])
        (sys.stdout if message[0] == 1 else sys.stderr).flush()


def _copy(source: int, sink: int) -> None:
    for fd in (source, sink):
        os.set_blocking(fd, True)
    try:
        while data := os.read(source, 1 << 16):
            view = memoryview(data)
            while view:
                view = view[os.write(sink, view) :]
    except OSError:
        pass  # the other side is gone, or a terminal's last user is
    if source == 0:
        os.close(sink)


if __name__ == "__main__":
    sys.exit(main())
