"""Gives a module its fork: instruments whatever can reach the import, then turns exceptions into the standard's."""

from __future__ import annotations

from pathlib import Path

from sandbox.wasm.userland.recipes.shop import Shop, words


def asyncify(shop: Shop, module: Path, into: Path, *, casts: bool) -> None:
    """Write the finished module. The pass works on exceptions as the compiler writes them: they are rewritten after it.

    -O1 costs half the time of -O2. Programs come out as fast; bash is an eighth larger.
    """
    passes = ["--fpcast-emu"] if casts else []
    passes += ["--asyncify", "--pass-arg=asyncify-imports@linux.fork"]
    passes += ["--pass-arg=asyncify-removelist@" + ",".join(words("asyncify-removelist.txt")), "--emit-exnref"]
    # The compact form of imports is newer than what engines read.
    features = ["-g", "--all-features", "--disable-compact-imports"]
    shop.run(*shop.tools.wasm_opt, module, *features, *passes, "-O1", "-o", into, cwd=into.parent)
    into.chmod(0o755)
