from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.wasm.userland.__main__ import main
from sandbox.wasm.userland.errors import NotBuilt, SourceMissing
from sandbox.wasm.userland.sources import find_sources
from sandbox.wasm.userland.store import RECIPES, build, build_hash, current, default_cache
from sandbox.wasm.userland.tools import find_tools
from tests.sandbox.wasm.userland.toolbox import fetched_sources, toolchain


def test_cache_is_where_the_environment_says() -> None:
    assert default_cache({"SOCKERLESS_CACHE": "/a", "XDG_CACHE_HOME": "/b", "HOME": "/c"}) == Path("/a")
    assert default_cache({"XDG_CACHE_HOME": "/b", "HOME": "/c"}) == Path("/b/sockerless")
    assert default_cache({"HOME": "/c"}) == Path("/c/.cache/sockerless")


def hash_of(cache: Path, environ: dict[str, str], recipes: tuple[Path, ...] = RECIPES) -> str:
    sources = find_sources(cache / "userland/sources", environ)
    assert sources is not None
    return build_hash(sources, find_tools(environ), recipes)


def test_a_build_that_is_there_is_returned_untouched(tmp_path: Path) -> None:
    environ = toolchain(tmp_path / "tools")
    fetched_sources(tmp_path)
    done = tmp_path / "userland" / hash_of(tmp_path, environ)
    done.mkdir()
    assert build(tmp_path, environ) == done
    assert build(tmp_path, environ) == done
    assert current(tmp_path, environ) == done
    assert list(done.iterdir()) == []
    assert sorted(path.name for path in done.parent.iterdir()) == sorted([done.name, "sources"])


def test_current_without_sources_or_build_says_how_to_get_one(tmp_path: Path) -> None:
    environ = toolchain(tmp_path / "tools")
    with pytest.raises(NotBuilt, match="Run: python -m sandbox"):
        current(tmp_path, environ)
    fetched_sources(tmp_path)
    with pytest.raises(NotBuilt, match="is not built"):
        current(tmp_path, environ)


def test_the_command_line_says_it_on_standard_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["path", "--cache", str(tmp_path)]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "python -m sandbox.wasm.userland build" in printed.err


def change_recipe(root: Path) -> None:
    with (root / "recipes/busybox-options.txt").open("a") as options:
        options.write("VI\n")


def rename_recipe(root: Path) -> None:
    (root / "recipes/busybox-options.txt").rename(root / "recipes/other.txt")


def change_overlay(root: Path) -> None:
    (root / "overlay/crt/crt1.c").write_text("")


def add_to_overlay(root: Path) -> None:
    (root / "overlay/src/new.c").write_text("")


@pytest.mark.parametrize("change", [change_recipe, rename_recipe, change_overlay, add_to_overlay])
def test_hash_changes_with_recipes_and_overlay(tmp_path: Path, change: Callable[[Path], None]) -> None:
    environ = toolchain(tmp_path / "tools")
    fetched_sources(tmp_path)
    copies = tuple(tmp_path / folder.name for folder in RECIPES)
    for folder, copy in zip(RECIPES, copies, strict=True):
        shutil.copytree(folder, copy)
    before = hash_of(tmp_path, environ, copies)
    assert before == hash_of(tmp_path, environ)
    change(tmp_path)
    assert hash_of(tmp_path, environ, copies) != before


def test_hash_ignores_compiled_python(tmp_path: Path) -> None:
    environ = toolchain(tmp_path / "tools")
    fetched_sources(tmp_path)
    (tmp_path / "recipes/__pycache__").mkdir(parents=True)
    before = hash_of(tmp_path, environ, (tmp_path / "recipes",))
    (tmp_path / "recipes/__pycache__/musl.cpython-311.pyc").write_bytes(b"\0")
    assert hash_of(tmp_path, environ, (tmp_path / "recipes",)) == before


def test_hash_changes_with_tools_and_sources(tmp_path: Path) -> None:
    fetched_sources(tmp_path)
    environ = toolchain(tmp_path / "tools")
    given = tmp_path / "bash.tar"
    given.write_bytes(b"one")
    hashes = {
        hash_of(tmp_path, environ),
        hash_of(tmp_path, toolchain(tmp_path / "newer", clang="clang version 20.1.0")),
        hash_of(tmp_path, toolchain(tmp_path / "other", wasm_opt="wasm-opt version 131")),
        hash_of(tmp_path, environ | {"SOCKERLESS_BASH_SRC": str(given)}),
    }
    given.write_bytes(b"two")
    hashes.add(hash_of(tmp_path, environ | {"SOCKERLESS_BASH_SRC": str(given)}))
    assert len(hashes) == 5


def test_hash_is_the_same_wherever_tools_are(tmp_path: Path) -> None:
    fetched_sources(tmp_path)
    assert hash_of(tmp_path, toolchain(tmp_path / "here")) == hash_of(tmp_path, toolchain(tmp_path / "there"))


def test_a_given_source_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SourceMissing, match="SOCKERLESS_MUSL_SRC names /nowhere, which does not exist"):
        find_sources(tmp_path, {"SOCKERLESS_MUSL_SRC": "/nowhere"})


def test_sources_are_incomplete_until_every_file_is_there(tmp_path: Path) -> None:
    fetched_sources(tmp_path)
    folder = tmp_path / "userland/sources"
    assert find_sources(folder, {}) is not None
    next(folder.glob("rsync*.dsc")).unlink()
    assert find_sources(folder, {}) is None
