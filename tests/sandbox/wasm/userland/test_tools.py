from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.wasm.userland import tools
from sandbox.wasm.userland.errors import ToolMissing
from sandbox.wasm.userland.tools import find_tools
from tests.sandbox.wasm.userland.toolbox import script, toolchain


def test_no_compiler(tmp_path: Path) -> None:
    with pytest.raises(ToolMissing) as raised:
        find_tools({"PATH": str(tmp_path)})
    assert str(raised.value).startswith("No clang 19 or newer is on the PATH.\nInstall the packages that ")
    assert "apt-packages.txt names" in raised.value.hint


def test_a_compiler_that_is_named_but_missing(tmp_path: Path) -> None:
    with pytest.raises(ToolMissing, match=f"clang is not at {tmp_path}/clang"):
        find_tools({"PATH": str(tmp_path), "SOCKERLESS_CLANG": str(tmp_path / "clang")})


def test_the_oldest_compiler_that_serves_is_taken(tmp_path: Path) -> None:
    for version in (14, 19, 22):
        script(tmp_path / f"bin/clang-{version}", f"clang version {version}.0.0")
    environ = toolchain(tmp_path / "tools")
    del environ["SOCKERLESS_CLANG"]
    found = find_tools(environ | {"PATH": f"{tmp_path}/bin:/usr/bin:/bin"})
    assert found.clang == tmp_path / "bin/clang-19"
    assert found.identity == ("clang version 19.0.0", "wasm-opt version 132", "393729")


def test_no_wasm_opt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "HERE", tmp_path)
    environ = toolchain(tmp_path / "tools")
    del environ["SOCKERLESS_WASM_OPT"]
    with pytest.raises(ToolMissing, match=r"wasm-opt .* is not installed.\nRun: npm ci --prefix"):
        find_tools(environ | {"PATH": str(tmp_path / "empty")})


def test_a_wasm_opt_that_is_too_old(tmp_path: Path) -> None:
    with pytest.raises(ToolMissing, match="'wasm-opt version 108'; binaryen 125 or newer is needed"):
        find_tools(toolchain(tmp_path, wasm_opt="wasm-opt version 108"))


def test_no_kernel_headers(tmp_path: Path) -> None:
    environ = toolchain(tmp_path)
    (tmp_path / "include/linux/version.h").unlink()
    with pytest.raises(ToolMissing, match="Linux headers is not at"):
        find_tools(environ)


def test_a_part_of_the_compiler_that_is_missing(tmp_path: Path) -> None:
    found = find_tools(toolchain(tmp_path))
    with pytest.raises(ToolMissing, match=f"wasm-ld is not at {tmp_path}/bin/wasm-ld"):
        found.llvm("wasm-ld")
    script(tmp_path / "bin/wasm-ld", "")
    assert found.llvm("wasm-ld") == tmp_path / "bin/wasm-ld"


def test_the_compilers_library_is_looked_for_in_its_resources(tmp_path: Path) -> None:
    found = find_tools(toolchain(tmp_path, clang=str(tmp_path / "resources")))
    with pytest.raises(ToolMissing, match="wasm32 builtins is not at"):
        found.builtins()
    library = tmp_path / "resources/lib/wasi/libclang_rt.builtins-wasm32.a"
    library.parent.mkdir(parents=True)
    library.touch()
    assert found.builtins() == library
