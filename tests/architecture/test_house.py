"""The rules of the house, held by tests: import arrows, file sizes, linters, types, and what may not be committed."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("frontend", "backends", "agent", "simulators", "sandbox", "appliance")

# Who may import whom: the longest prefix that fits the importing module decides. See docs/design.md.
ARROWS: dict[str, tuple[str, ...]] = {
    "frontend.wire": ("frontend.wire",),
    "frontend": ("frontend", "backends.api"),
    "backends.api": ("backends.api",),
    "backends.core": ("backends.api", "backends.core", "sandbox.images", "agent.protocol"),
    "backends.docker": ("backends.api", "backends.core", "backends.docker"),
    "backends.memory": ("backends.api", "backends.core", "backends.memory", "sandbox.images", "sandbox.wasm"),
    "agent": ("agent",),
    "sandbox.images": ("sandbox.images",),
    "sandbox.wasm.kernel": ("sandbox.wasm.kernel", "sandbox.wasm.vfs", "sandbox.wasm.net"),
    "sandbox.wasm.vfs": ("sandbox.wasm.vfs", "sandbox.images"),
    "sandbox.wasm": ("sandbox.wasm", "sandbox.images"),
    "appliance": PACKAGES,
}
# wasmtime's internals have one home.
ONLY_IN = {"wasmtime": "sandbox.wasm.engine", "falcon": "frontend", "uvicorn": "frontend", "supervisor": "appliance"}


def sources() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            base = node.module or ""
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names if base in PACKAGES)


def within(module: str, prefix: str) -> bool:
    return module == prefix or module.startswith(prefix + ".")


def allowed(module: str) -> tuple[str, ...]:
    fitting = [prefix for prefix in ARROWS if within(module, prefix)]
    assert fitting, f"{module} has no place in the import arrows"
    return ARROWS[max(fitting, key=len)]


def broken_arrows(module: str, imported: Iterator[str]) -> list[str]:
    targets = allowed(module)
    return [
        f"{module} imports {name}"
        for name in imported
        if name.split(".")[0] in PACKAGES
        and name not in PACKAGES
        and not any(within(name, target) or within(target, name) for target in targets)
    ]


def test_import_arrows() -> None:
    broken = [
        line
        for path in sources()
        if len(path.relative_to(ROOT).parts) > 2
        for line in broken_arrows(module_name(path), imports(path))
    ]
    assert broken == []


def test_an_import_against_the_arrows_is_found() -> None:
    assert broken_arrows("frontend.docker.x", iter(["backends.core.hub"])) == [
        "frontend.docker.x imports backends.core.hub"
    ]


def test_libraries_with_one_home() -> None:
    strays = [
        f"{module_name(path)} imports {name}"
        for path in sources()
        for name in imports(path)
        if (home := ONLY_IN.get(name.split(".")[0])) and not within(module_name(path), home)
    ]
    assert strays == []


def test_file_sizes() -> None:
    sizes = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in sources()}
    assert {path: size for path, size in sizes.items() if size > 600} == {}
    ordered = sorted(sizes.values())
    assert ordered[len(ordered) // 2] < 150


def _run(*command: str) -> None:
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_ruff_check() -> None:
    _run(sys.executable, "-m", "ruff", "check", ".")


def test_ruff_format() -> None:
    _run(sys.executable, "-m", "ruff", "format", "--check", ".")


@pytest.mark.timeout(600)
def test_types() -> None:
    _run(sys.executable, "-m", "mypy")


def tracked() -> list[Path]:
    names = (
        subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    )
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


def test_no_binaries_are_tracked() -> None:
    assert [str(path) for path in tracked() if b"\0" in path.read_bytes()] == []


# Names of package registries and of this workplace's folders, put together so that this file does not hold them itself.
FORBIDDEN = re.compile(
    "|".join(["registry" + r"\.npmjs", "pypi" + r"\.org", "files" + r"\.pythonhosted", "deb" + r"\.debian\.org"])
    + r"|(?<![\w.$}/-])/"
    + "work/"
)


def test_no_registry_hosts_or_machine_paths() -> None:
    hits = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in tracked()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if FORBIDDEN.search(line)
    ]
    assert hits == []


def test_every_dependency_is_explained() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = project["dependencies"] + [d for group in project["optional-dependencies"].values() for d in group]
    text = (ROOT / "docs/dependencies.md").read_text()
    assert [d for d in (re.split(r"[<>=\[]", name)[0] for name in named) if f"`{d}`" not in text] == []
