"""Runs the programs' own test suites in the sandbox: `python -m tests.sandbox.wasm.suites ash|busybox|bash [name]`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.images.layer import LayerIndex
from sandbox.images.tree import LowerTree, merge
from sandbox.wasm.kernel.machine import PythonProgram
from sandbox.wasm.kernel.output import MESSAGE
from sandbox.wasm.sandbox import Host, Process, ProcessSpec, Sandbox, SandboxSpec
from sandbox.wasm.trial import base_layers
from sandbox.wasm.userland.store import build, default_cache
from sandbox.wasm.userland.testsuites import unpack_testsuites
from tests.oracle.tools import tool

if TYPE_CHECKING:
    from sandbox.wasm.kernel.executable import Executable
    from sandbox.wasm.kernel.task import Task

HERE = Path(__file__).parent
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
WORKERS = 2
LONG = "bc"
"""A run of its own, see `calculator_tests`."""
STRIDE = 61


@dataclass(frozen=True)
class Outcome:
    name: str
    output: bytes
    code: int
    timed_out: bool


def _visible(text: str) -> str:
    """As recho.c shows an argument: control characters in caret notation."""
    return "".join(f"^{chr(ord(c) + 64)}" if c < " " else "^?" if c == "\x7f" else c for c in text)


def _recho(task: Task) -> int:
    lines = (f"argv[{number}] = <{_visible(text)}>\n" for number, text in enumerate(task.argv[1:], start=1))
    _print(task, "".join(lines))
    return 0


def _zecho(task: Task) -> int:
    _print(task, " ".join(task.argv[1:]) + "\n")
    return 0


def _print(task: Task, text: str) -> None:
    task.files.get(1).write_from(task, memoryview(text.encode("utf-8", "surrogateescape")))


class Helpers:
    """A loader that knows the two small programs that bash's and ash's suites compile for themselves."""

    def __init__(self, host: Host) -> None:
        self._programs = host.programs

    def __call__(self, task: Task, path: str, argv: list[str]) -> Executable:
        found = self._programs(task, path, argv)
        main: Callable[[Task], int] | None = {"recho": _recho, "zecho": _zecho}.get(os.path.basename(path))
        return found if main is None else replace(found, program=PythonProgram(main), argv=argv)


class Laboratory:
    """An image of the base programs and one suite at /tests, and fresh containers of it. `changed`: files of it."""

    def __init__(self, suite: str, scratch: Path, changed: Mapping[str, str] | None = None) -> None:
        cache = default_cache(os.environ)
        userland = build(cache)
        self.folder = scratch / "suite"
        shutil.copytree(unpack_testsuites(cache) / suite, self.folder, symlinks=True)
        for name, text in (changed or {}).items():
            (self.folder / name).write_text(text)
        self._scratch = scratch
        self._host = Host(cache=cache / "wasm", userland=userland, state=scratch)
        self._host.programs = Helpers(self._host)  # type: ignore[assignment]
        self._lower = self._tree(userland)
        self.applets = {
            "busybox",
            *(line.rsplit("/", 1)[-1] for line in (userland / "applets.txt").read_text().split()),
        }
        self._count = 0

    def _tree(self, userland: Path) -> LowerTree:
        tar = self._scratch / "suite.tar"
        with tarfile.open(tar, "w") as archive:
            archive.add(self.folder, "tests", filter=_owned_by_root)
            for name in ("recho", "zecho"):
                entry = tarfile.TarInfo(f"usr/local/bin/{name}")
                entry.mode, entry.type, entry.linkname = 0o755, tarfile.SYMTYPE, "/bin/busybox"
                archive.addfile(entry)
        return merge([*base_layers(userland, self._scratch), LayerIndex.of_tar(tar)])

    def run(self, name: str, argv: Iterable[str], cwd: str, environ: dict[str, str], timeout: float) -> Outcome:
        """Both outputs together, as the suites' own scripts take them."""
        self._count += 1
        state = self._scratch / str(self._count)
        sandbox = Sandbox(self._host, SandboxSpec(name, "sandbox", self._lower, state))
        command = ("sh", "-c", 'exec 2>&1; exec "$@"', "sh", *argv)
        env = (
            f"PATH={environ.get('PATH', PATH)}",
            "HOME=/root",
            *(f"{key}={value}" for key, value in environ.items() if key != "PATH"),
        )
        process = sandbox.start(ProcessSpec(command, env, cwd))
        timer = threading.Timer(timeout, sandbox.kill_all)
        timer.start()
        output = b"".join(_read(process))
        status = process.wait()
        timed_out = not timer.is_alive()
        timer.cancel()
        sandbox.close()
        shutil.rmtree(state, ignore_errors=True)
        return Outcome(name, output, status.code, timed_out)


def _owned_by_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def _read(process: Process) -> Iterator[bytes]:
    assert process.output is not None
    os.set_blocking(process.output, True)
    while message := os.read(process.output, MESSAGE + 1):
        if message[0] == 1:
            yield message[1:]
    os.close(process.output)


def ash_tests(laboratory: Laboratory, only: list[str] | None = None) -> dict[str, bool]:
    """BusyBox's shell tests: whether each one's output is the recorded one."""

    def run(script: Path) -> tuple[str, bool]:
        place = script.relative_to(laboratory.folder)
        environ = {"PATH": f"/tests:{PATH}", "THIS_SH": "/bin/ash", "CONFIG_FEATURE_FANCY_ECHO": "y"}
        ran = laboratory.run(str(place), ("ash", f"./{place.name}"), f"/tests/{place.parent}", environ, 300)
        good = ran.output == script.with_suffix(".right").read_bytes() and not ran.timed_out
        _show(only, ran)
        return str(place), good

    scripts = sorted(laboratory.folder.glob("*/*.tests"))
    wanted = [each for each in scripts if os.access(each, os.X_OK) and each.with_suffix(".right").exists()]
    return _all(run, [each for each in wanted if not only or each.stem in only])


def busybox_tests(laboratory: Laboratory, only: list[str] | None = None) -> dict[str, bool]:
    """The applets' tests: one outcome for each line that says PASS or FAIL."""
    features = (HERE / "busybox-features.txt").read_text().split()
    environ = {
        "PATH": f"/tests:{PATH}", "OPTIONFLAGS": ":" + ":".join(features) + ":", "bindir": "/bin", "tsdir": "/tests",
        "LANG": "C", "VERBOSE": "1" if only else "", "SKIP": "", "DEBUG": "", "ECHO": "echo",
    }  # fmt: skip

    def run(script: Path) -> list[tuple[str, bool]]:
        ran = laboratory.run(script.stem, (f"./{script.name}",), "/tests", dict(environ), 1800)
        _show(only, ran)
        found = [(f"{script.stem}: TIMEOUT", False)] if ran.timed_out else []
        for line in ran.output.decode("latin-1").splitlines():
            result, _, name = line.partition(": ")
            if result in ("PASS", "FAIL"):
                found.append((f"{script.stem}: {name}", result == "PASS"))
        return found

    scripts = [
        each
        for each in sorted(laboratory.folder.glob("*.tests"))
        if each.stem in laboratory.applets and (only is not None or each.stem != LONG)
    ]
    with ThreadPoolExecutor(WORKERS) as pool:
        chosen = [each for each in scripts if not only or each.stem in only]
        return {name: good for found in pool.map(run, chosen) for name, good in found}


def calculator_tests(scratch: Path) -> dict[str, bool]:
    """The applet bc's tests. Two of them print and read millions of numbers, which takes Debian's busybox most of a
    minute: here every STRIDE-th number is taken, and its digests are those of Debian's busybox."""
    text = (unpack_testsuites(default_cache(os.environ)) / "busybox" / "bc.tests").read_text()
    for name in ("bc parsing of numbers", "bc printing of numbers"):
        body = text[text.index(name) :]
        digest, program = re.findall(r"[0-9a-f]{32}", body)[0], body.split("'")[1]
        fewer = program.replace("++i", f"i += {STRIDE}")
        text = text.replace(program, fewer).replace(digest, _native_digest(fewer))
    return busybox_tests(Laboratory("busybox", scratch, {"bc.tests": text}), [LONG])


def _native_digest(program: str) -> str:
    command = "busybox bc 2>&1 | busybox bc 2>&1 | busybox md5sum"
    shell = [tool("busybox"), "sh", "-c", command]
    return subprocess.run(shell, input=program, text=True, stdout=subprocess.PIPE, check=True).stdout[:32]


def bash_tests(laboratory: Laboratory, only: list[str] | None = None) -> dict[str, bool]:
    """GNU bash's tests: whether each one's output is the recorded one."""
    environ = {"PATH": f".:{PATH}", "THIS_SH": "/bin/bash", "TMPDIR": "/tmp", "BUILD_DIR": "/tests"}

    def run(script: Path) -> tuple[str, bool]:
        ran = laboratory.run(script.stem, ("bash", f"./{script.name}"), "/tests", dict(environ), 120)
        _show(only, ran)
        output = ran.output
        how = laboratory.folder / f"run-{script.stem}"
        if how.exists() and "grep -v '^expect'" in how.read_text():
            output = b"".join(line for line in output.splitlines(True) if not line.startswith(b"expect"))
        return script.stem, output == script.with_suffix(".right").read_bytes() and not ran.timed_out

    scripts = [each for each in sorted(laboratory.folder.glob("*.tests")) if each.with_suffix(".right").exists()]
    return _all(run, [each for each in scripts if not only or each.stem in only])


def _show(only: list[str] | None, ran: Outcome) -> None:
    if only:
        sys.stdout.buffer.write(b"==== %s: %d%s\n" % (ran.name.encode(), ran.code, b" TIMEOUT" * ran.timed_out))
        sys.stdout.buffer.write(ran.output)
        sys.stdout.flush()


def _all(run: Callable[[Path], tuple[str, bool]], scripts: list[Path]) -> dict[str, bool]:
    with ThreadPoolExecutor(WORKERS) as pool:
        return dict(pool.map(run, scripts))


SUITES: dict[str, tuple[str, Callable[[Laboratory, list[str] | None], dict[str, bool]]]] = {
    "ash": ("busybox-ash", ash_tests),
    "busybox": ("busybox", busybox_tests),
    "bash": ("bash", bash_tests),
}


def main() -> None:
    name, only = sys.argv[1], sys.argv[2:]
    folder, run = SUITES[name]
    with tempfile.TemporaryDirectory() as scratch:
        results = run(Laboratory(folder, Path(scratch)), only or None)
    failed = [test for test, good in results.items() if not good]
    print(f"{name}: {len(results) - len(failed)} of {len(results)} pass")
    print("\n".join(failed))


if __name__ == "__main__":
    main()
