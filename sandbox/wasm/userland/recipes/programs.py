"""busybox, bash and rsync, each compiled and linked to a module that still lacks its fork."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sandbox.wasm.userland.errors import BuildFailed
from sandbox.wasm.userland.recipes.shop import Shop, words

_HOST = "wasm32-unknown-linux-musl"


@dataclass(frozen=True)
class Program:
    """`compile` makes the module in its tree. `casts`: it calls functions through pointers of types not theirs."""

    name: str
    compile: Callable[[Shop], Path]
    licence: str
    casts: bool = False


def build_busybox(shop: Shop) -> Path:
    """defconfig without what makes no sense in a container. Shells run applets from the PATH, never by themselves."""
    tree = shop.trees["busybox"]
    shop.make("defconfig", cwd=tree)
    configuration = tree / ".config"
    configuration.write_text(configure_busybox(configuration.read_text()))
    shop.run(shop.tools.host("make"), "oldconfig", cwd=tree, stdin="\n" * 2000)
    tools = [f"CC={shop.cc}", f"LD={shop.ld}", "STRIP=true", "OBJCOPY=true", "SKIP_STRIP=y", "EXTRA_CFLAGS=-O2"]
    tools += [f"AR={shop.tools.llvm('llvm-ar')}", f"NM={shop.tools.llvm('llvm-nm')}"]
    shop.make(*tools, "busybox", "busybox.links", cwd=tree)
    return tree / "busybox"


def configure_busybox(defconfig: str) -> str:
    """Switch off what busybox-options.txt lists. Raises BuildFailed for a name that this busybox does not know."""
    for option in words("busybox-options.txt"):
        off = f"# CONFIG_{option} is not set"
        defconfig, found = re.subn(rf"^(?:CONFIG_{option}=.*|{off})$", off, defconfig, flags=re.MULTILINE)
        if not found:
            raise BuildFailed(f"busybox has no option {option}: busybox-options.txt is for another version.")
    return defconfig.replace("# CONFIG_STATIC is not set", "CONFIG_STATIC=y")


def build_bash(shop: Shop) -> Path:
    """With job control; without line editing, whose terminal library is not built."""
    tree = shop.trees["bash"]
    options = [f"--disable-{name}" for name in ("nls", "readline", "history")]
    options += ["--without-bash-malloc", "--without-curses", "--enable-static-link"]
    _configure(shop, tree, options, "bash-configure.txt")
    shop.make("bash", cwd=tree)
    return tree / "bash"


def build_rsync(shop: Shop) -> Path:
    """With its own popt and zlib and nothing else, so that what it speaks is the protocol's common part."""
    tree = shop.trees["rsync"]
    libraries = ("openssl", "xxhash", "zstd", "lz4", "acl-support", "xattr-support", "iconv", "iconv-open")
    options = [f"--disable-{name}" for name in (*libraries, "ipv6", "locale", "md2man", "roll-simd")]
    options += ["--with-included-popt", "--with-included-zlib"]
    # As new as what they were made from, or make wants autoconf.
    for generated in ("aclocal.m4", "config.h.in", "configure.sh"):
        (tree / generated).touch()
    _configure(shop, tree, options, "rsync-configure.txt")
    shop.make("rsync", cwd=tree)
    return tree / "rsync"


def _configure(shop: Shop, tree: Path, options: list[str], answers: str) -> None:
    environment = dict(line.split("=", 1) for line in words(answers))
    environment |= {
        "CC": str(shop.cc),
        "AR": str(shop.tools.llvm("llvm-ar")),
        "RANLIB": str(shop.tools.llvm("llvm-ranlib")),
        "CFLAGS": "-O2",
        "CC_FOR_BUILD": "gcc",
    }
    shop.run("./configure", f"--host={_HOST}", *options, cwd=tree, env=environment)


PROGRAMS = (
    Program("busybox", build_busybox, licence="LICENSE"),
    Program("bash", build_bash, licence="COPYING", casts=True),
    Program("rsync", build_rsync, licence="COPYING"),
)
