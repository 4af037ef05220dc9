from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.wasm.userland.errors import BuildFailed
from sandbox.wasm.userland.recipes.musl import edit
from sandbox.wasm.userland.recipes.programs import configure_busybox
from sandbox.wasm.userland.recipes.shop import Shop, words
from sandbox.wasm.userland.tools import find_tools
from tests.sandbox.wasm.userland.toolbox import script, toolchain


def test_an_edit_without_its_anchor_fails(tmp_path: Path) -> None:
    header = tmp_path / "types.h"
    header.write_text("one two two\n")
    with pytest.raises(BuildFailed, match="'three' 0 times, not once: the recipe is for another version"):
        edit(header, "three", "3")
    with pytest.raises(BuildFailed, match="'two' 2 times"):
        edit(header, "two", "2")
    edit(header, "one", "1")
    assert header.read_text() == "1 two two\n"


def test_busybox_options_are_switched_off_and_the_rest_stays() -> None:
    defconfig = "".join(f"CONFIG_{option}=y\n" for option in words("busybox-options.txt"))
    extra = "CONFIG_INITIAL=y\n# CONFIG_STATIC is not set\n"
    expected = "".join(f"# CONFIG_{option} is not set\n" for option in words("busybox-options.txt"))
    assert configure_busybox(defconfig + extra) == expected + "CONFIG_INITIAL=y\nCONFIG_STATIC=y\n"


def test_a_busybox_without_an_option_is_another_version() -> None:
    with pytest.raises(BuildFailed, match="busybox has no option PIE"):
        configure_busybox("CONFIG_ASH=y\n")


def test_a_failing_step_shows_the_end_of_its_output(tmp_path: Path) -> None:
    tools = find_tools(toolchain(tmp_path))
    script(tmp_path / "bin/wasm-ld", "")
    with pytest.raises(BuildFailed, match=r"^no such rule\n\nIn .*, exit status 3: sh -c"):
        Shop(tmp_path, {}, tools).run("sh", "-c", "echo no such rule; exit 3", cwd=tmp_path)


def test_lists_have_no_comments() -> None:
    assert words("rsync-configure.txt")[0] == "rsync_cv_can_hardlink_special=yes"
