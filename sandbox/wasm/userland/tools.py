"""Finds the compiler, the linker, the kernel's headers and wasm-opt.

Each can be given by an environment variable, for package managers that keep every package apart: SOCKERLESS_CLANG,
SOCKERLESS_WASM_LD, SOCKERLESS_LLVM_AR, SOCKERLESS_LLVM_NM, SOCKERLESS_LLVM_RANLIB, SOCKERLESS_WASM_BUILTINS,
SOCKERLESS_LINUX_HEADERS, SOCKERLESS_WASM_OPT. Without, they are looked for where Debian and npm put them.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sandbox.wasm.userland.errors import ToolMissing

HERE = Path(__file__).parent
CLANG_VERSIONS = range(19, 30)
"""clang before 19 calls other names for setjmp. The lowest installed is taken: the package list has that one."""
OLDEST_BINARYEN = 125
"""Earlier ones cannot unwind functions that throw."""

_APT_HINT = f"Install the packages that {HERE / 'apt-packages.txt'} names, with apt-get install or `make userland`."
_NPM_HINT = f"Run: npm ci --prefix {HERE}"


@dataclass(frozen=True)
class Tools:
    """Absolute paths. `wasm_opt` is the beginning of a command; `identity` changes when a tool's version does."""

    clang: Path
    wasm_opt: tuple[str, ...]
    identity: tuple[str, ...]
    environ: Mapping[str, str]

    def llvm(self, name: str) -> Path:
        """A program of the compiler's own LLVM, such as "llvm-ar"."""
        given = _given(self.environ, name)
        return given or _require(self.clang.resolve().parent / name, name)

    def builtins(self) -> Path:
        """The compiler's run-time library for wasm32."""
        given = _given(self.environ, "wasm-builtins")
        if given:
            return given
        resources = Path(_output(self.clang, "-print-resource-dir"))
        found = sorted(resources.glob("lib/**/libclang_rt.builtins*wasm32*.a"))
        found += sorted(resources.glob("lib/wasm32-*/libclang_rt.builtins.a"))
        return _require(found[0] if found else resources / "lib/wasi/libclang_rt.builtins-wasm32.a", "wasm32 builtins")

    def linux_headers(self) -> Path:
        """The folder that has linux/ and asm-generic/."""
        return _require(_linux_headers(self.environ) / "linux/version.h", "Linux headers").parent.parent

    def host(self, name: str) -> Path:
        """A program of this machine that any build needs, such as make."""
        return _on_path(self.environ, name, _APT_HINT)


def find_tools(environ: Mapping[str, str]) -> Tools:
    """What the machine has, or ToolMissing with the way to get it. Runs nothing but the compiler, for its version."""
    clang = _clang(environ)
    version = _output(clang, "--version").splitlines()[0]
    wasm_opt, binaryen = _wasm_opt(environ)
    headers = _linux_headers(environ) / "linux/version.h"
    kernel = re.findall(r"LINUX_VERSION_CODE (\d+)", _require(headers, "Linux headers").read_text())
    return Tools(clang, wasm_opt, (version, binaryen, *kernel), environ)


def _clang(environ: Mapping[str, str]) -> Path:
    given = _given(environ, "clang")
    if given:
        return given
    for version in CLANG_VERSIONS:
        found = shutil.which(f"clang-{version}", path=environ.get("PATH"))
        if found:
            return Path(found)
    raise ToolMissing(f"No clang {CLANG_VERSIONS.start} or newer is on the PATH.", _APT_HINT)


def _wasm_opt(environ: Mapping[str, str]) -> tuple[tuple[str, ...], str]:
    given = _given(environ, "wasm-opt")
    installed = HERE / "node_modules/binaryen/bin/wasm-opt"
    if given is None and installed.exists():
        return (str(_node(environ)), str(installed)), (HERE / "package-lock.json").read_text()
    on_path = shutil.which("wasm-opt", path=environ.get("PATH"))
    program = given or (Path(on_path) if on_path else None)
    if program is None:
        raise ToolMissing("wasm-opt (of npm's binaryen) is not installed.", _NPM_HINT)
    version = _output(program, "--version")
    number = re.search(r"\d+", version)
    if number is None or int(number[0]) < OLDEST_BINARYEN:
        raise ToolMissing(f"{program} is {version!r}; binaryen {OLDEST_BINARYEN} or newer is needed.", _NPM_HINT)
    return (str(program),), version


def _node(environ: Mapping[str, str]) -> Path:
    beside_python = Path(sys.executable).parent / "node"
    return (
        beside_python if beside_python.exists() else _on_path(environ, "node", "Install Node.js 18 or newer, with npm.")
    )


def _linux_headers(environ: Mapping[str, str]) -> Path:
    return _given(environ, "linux-headers") or Path("/usr/include")


def _given(environ: Mapping[str, str], name: str) -> Path | None:
    value = environ.get("SOCKERLESS_" + name.upper().replace("-", "_"))
    return _require(Path(value), name) if value else None


def _require(path: Path, what: str) -> Path:
    if not path.exists():
        raise ToolMissing(f"{what} is not at {path}.", _APT_HINT)
    return path.absolute()


def _on_path(environ: Mapping[str, str], name: str, hint: str) -> Path:
    found = shutil.which(name, path=environ.get("PATH"))
    if found is None:
        raise ToolMissing(f"{name} is not on the PATH.", hint)
    return Path(found)


def _output(program: Path, *arguments: str) -> str:
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=30, check=False)
    if done.returncode:
        raise ToolMissing(f"{program} {' '.join(arguments)} failed: {done.stderr.strip()}", _APT_HINT)
    return done.stdout.strip()
