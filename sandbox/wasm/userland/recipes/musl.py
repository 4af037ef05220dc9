"""The C library: musl with an architecture of ours, whose system calls are imports of the program.

What the overlay does not bring comes from musl itself at build time: numbers and structures of its 32-bit ARM port, as
our kernel's interface is that one, and the shape of a 128-bit long double from its AArch64 port.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from sandbox.wasm.userland.errors import BuildFailed
from sandbox.wasm.userland.recipes.shop import Shop

OVERLAY = Path(__file__).parent.parent / "overlay"
_GENERIC_INSTEAD = ("bits/fcntl.h", "bits/fenv.h", "arch.mak")
"""ARM's own open flags and rounding modes, and calls with 32-bit times, which no program of ours was built against."""
_UNUSED_STARTS = ("crt/Scrt1.c", "crt/rcrt1.c")
_REPLACED_BY_MACRO = ("src/signal/wasm32/sigsetjmp.c", "src/setjmp/wasm32/longjmp.c")
_LIBRARIES = ("c", "m", "rt", "pthread", "crypt", "util", "resolv", "dl", "xnet")


def build_musl(shop: Shop) -> None:
    """Fill the sysroot: headers of musl and of Linux, libc.a, crt1.o and the compiler's run-time library."""
    tree = shop.trees["musl"]
    derive(tree)
    (tree / "config.mak").write_text(_configuration(shop))
    shop.make(*(f"lib/lib{name}.a" for name in _LIBRARIES), "lib/crt1.o", cwd=tree)
    shop.make("install-headers", cwd=tree)
    libraries = shop.sysroot / "lib"
    libraries.mkdir()
    for built in [*(tree / "lib").glob("*.a"), tree / "lib/crt1.o"]:
        shutil.copy(built, libraries)
    shutil.copy(shop.tools.builtins(), libraries / "libclang_rt.builtins-wasm32.a")
    _install_linux_headers(shop.tools.linux_headers(), shop.sysroot / "include")


def derive(tree: Path) -> None:
    """Give an unpacked musl the wasm32 architecture. Raises BuildFailed where it is not the musl we know."""
    shutil.copytree(tree / "arch/arm", tree / "arch/wasm32")
    for name in _GENERIC_INSTEAD:
        (tree / "arch/wasm32" / name).unlink()
    for name in _UNUSED_STARTS:
        (tree / name).unlink()
    shutil.copy(tree / "arch/aarch64/bits/float.h", tree / "arch/wasm32/bits/float.h")
    shutil.copytree(OVERLAY, tree, dirs_exist_ok=True)
    for name in _REPLACED_BY_MACRO:
        (tree / name).touch()
    _edit_types(tree / "arch/wasm32/bits/alltypes.h.in")
    _edit_setjmp(tree / "include/setjmp.h")
    _edit_malloc(tree / "src/malloc/mallocng/malloc.c")


def _edit_types(path: Path) -> None:
    edit(path, "#define _REDIR_TIME64 1\n", "")
    # The compiler's own size_t and wchar_t on wasm32.
    edit(path, "#define _Addr int\n", "#define _Addr long\n")
    edit(path, "#define _Reg int\n", "#define _Reg long\n")
    edit(path, "TYPEDEF unsigned wchar_t;", "TYPEDEF int wchar_t;")


def _edit_setjmp(path: Path) -> None:
    """The compiler lowers calls of setjmp by that name in the function that calls it: nothing may stand between."""
    saving = "int __wasm_sigsave(sigjmp_buf, int);\n#define sigsetjmp(b, s) (__wasm_sigsave((b), (s)), setjmp(b))"
    edit(path, "int sigsetjmp (sigjmp_buf, int) __setjmp_attr;", saving)
    edit(path, "int _setjmp (jmp_buf) __setjmp_attr;", "#define _setjmp(b) setjmp(b)")


def _edit_malloc(path: Path) -> None:
    """Handlers of signals run here, so that a loop without system calls notices a signal."""
    head = "void *malloc(size_t n)\n{\n"
    edit(path, head, f"hidden void __wasm_poll_signals(void);\n{head}\t__wasm_poll_signals();\n")


def edit(path: Path, old: str, new: str) -> None:
    """Replace the one occurrence of `old`. Raises BuildFailed if there is none or more than one."""
    text = path.read_text()
    found = text.count(old)
    if found != 1:
        raise BuildFailed(f"{path} has {old.strip()!r} {found} times, not once: the recipe is for another version.")
    path.write_text(text.replace(old, new))


def _configuration(shop: Shop) -> str:
    """config.mak, in place of musl's configure, which knows the architectures it knows."""
    values = {
        "ARCH": "wasm32",
        "prefix": shop.sysroot,
        "CC": shop.cc,
        "CFLAGS": "-O2 -fno-builtin",
        "CFLAGS_AUTO": "",
        "AR": shop.tools.llvm("llvm-ar"),
        "RANLIB": shop.tools.llvm("llvm-ranlib"),
        "SHARED_LIBS": "",
    }
    return "".join(f"{name} = {value}\n" for name, value in values.items())


def _install_linux_headers(source: Path, target: Path) -> None:
    for name in ("linux", "asm-generic", "mtd"):
        shutil.copytree(source / name, target / name)
    asm = target / "asm"
    asm.mkdir()
    for header in (source / "asm-generic").glob("*.h"):
        (asm / header.name).write_text(f"#include <asm-generic/{header.name}>\n")
    (asm / "byteorder.h").write_text("#include <linux/byteorder/little_endian.h>\n")
