"""What the built programs ask of the kernel and give to it. Builds them if the cache lacks them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import wasmtime

from sandbox.wasm.userland.store import build, default_cache
from sandbox.wasm.userland.testsuites import SUITES, unpack_testsuites

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
PROGRAMS = ("busybox", "bash", "rsync")
ASYNCIFY_AREA = 262144


@pytest.fixture(scope="module")
def userland() -> Path:
    return build(default_cache(os.environ))


@pytest.fixture(scope="module")
def engine() -> wasmtime.Engine:
    config = wasmtime.Config()
    config.wasm_exceptions = True
    return wasmtime.Engine(config)


@pytest.mark.parametrize("program", PROGRAMS)
def test_imports_and_exports(userland: Path, engine: wasmtime.Engine, program: str) -> None:
    module = wasmtime.Module.from_file(engine, str(userland / f"{program}.wasm"))
    imports = {(item.module, item.name): signature(item.type) for item in module.imports}
    assert imports == {
        ("linux", "args"): (1, 1),
        ("linux", "fork"): (0, 1),
        ("linux", "sigpop"): (1, 1),
        ("linux", "syscall"): (7, 1),
    }
    assert {item.name for item in module.exports} >= {
        *("memory", "_start", "__stack_pointer", "__asyncify_area", "__wasm_sigflag"),
        *("asyncify_start_unwind", "asyncify_stop_unwind", "asyncify_start_rewind", "asyncify_stop_rewind"),
    }


def signature(kind: object) -> tuple[int, int]:
    assert isinstance(kind, wasmtime.FuncType)
    assert {str(value) for value in [*kind.params, *kind.results]} <= {"i32"}
    return len(kind.params), len(kind.results)


@pytest.mark.parametrize("program", PROGRAMS)
def test_memory_is_laid_out_as_a_fork_copies_it(userland: Path, engine: wasmtime.Engine, program: str) -> None:
    """The stack is below everything, and the Asyncify area is apart from it and from the flag of signals."""
    store = wasmtime.Store(engine)
    module = wasmtime.Module.from_file(engine, str(userland / f"{program}.wasm"))
    stubs = [wasmtime.Func(store, item.type, lambda *_: 0) for item in module.imports]
    exports = wasmtime.Instance(store, module, stubs).exports(store)
    stack = exports["__stack_pointer"].value(store)
    area = exports["__asyncify_area"](store)
    flag = exports["__wasm_sigflag"](store)
    size = exports["memory"].data_len(store)
    assert 0 < stack <= area < area + ASYNCIFY_AREA <= size
    assert area % 16 == 0
    assert flag >= area + ASYNCIFY_AREA or stack <= flag < area


def test_applets(userland: Path) -> None:
    applets = (userland / "applets.txt").read_text().split()
    assert len(applets) == len(set(applets)) > 300
    assert {path.rpartition("/")[0] for path in applets} == {"/bin", "/sbin", "/usr/bin", "/usr/sbin"}
    names = {path.rpartition("/")[2] for path in applets}
    wanted = "ash awk bc cat dc env free gzip httpd nc nslookup ping ps sed sh tar telnet top unzip vi wget"
    assert set(wanted.split()) - names == set()


def test_licences_and_sources(userland: Path) -> None:
    licences = {path.name: path.read_text()[:4000] for path in (userland / "LICENSES").iterdir()}
    assert set(licences) == {"musl.txt", "busybox.txt", "bash.txt", "rsync.txt"}
    assert "GNU GENERAL PUBLIC LICENSE" in licences["busybox.txt"]


def test_a_second_build_is_the_first(userland: Path) -> None:
    before = userland.stat().st_mtime_ns
    assert build(default_cache(os.environ)) == userland
    assert userland.stat().st_mtime_ns == before


def test_testsuites_are_unpacked() -> None:
    folder = unpack_testsuites(default_cache(os.environ))
    assert {path.name for path in folder.iterdir()} == set(SUITES)
    assert (folder / "busybox-ash/ash-misc/echo_write_error.tests").exists()
    assert (folder / "busybox/testing.sh").exists()
    assert (folder / "bash/run-all").exists()
    assert unpack_testsuites(default_cache(os.environ)) == folder
