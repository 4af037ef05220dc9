"""Where a recipe works: unpacked sources, tools, the C library once it is built, and one way to run a command."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sandbox.wasm.userland.errors import BuildFailed
from sandbox.wasm.userland.tools import Tools

HERE = Path(__file__).parent
_LOG_TAIL = 4000


@dataclass(frozen=True)
class Shop:
    """`root` is a temporary folder; `trees` has each package's unpacked source."""

    root: Path
    trees: Mapping[str, Path]
    tools: Tools

    @property
    def sysroot(self) -> Path:
        return self.root / "sysroot"

    @property
    def cc(self) -> Path:
        return self.root / "bin/wasm32-cc.sh"

    @property
    def ld(self) -> Path:
        return self.root / "bin/wasm32-ld.sh"

    def prepare(self) -> None:
        """Lay out the compiler's wrappers."""
        self.cc.parent.mkdir(parents=True)
        for wrapper in (self.cc, self.ld):
            shutil.copy(HERE / wrapper.name, wrapper)

    def run(self, *command: str | Path, cwd: Path, env: Mapping[str, str] | None = None, stdin: str = "") -> str:
        """Run a command to its end and return its output. Raises BuildFailed with the end of the output."""
        done = subprocess.run(
            ["nice", *map(str, command)],
            cwd=cwd,
            env=self._environment(env or {}),
            input=stdin,
            text=True,
            errors="replace",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        if done.returncode:
            shown = " ".join(map(str, command))[:300]
            raise BuildFailed(f"{done.stdout[-_LOG_TAIL:]}\nIn {cwd.name}, exit status {done.returncode}: {shown}")
        return done.stdout

    def make(self, *arguments: str, cwd: Path) -> str:
        """make with as many jobs as there are processors."""
        return self.run(self.tools.host("make"), "-s", f"-j{os.cpu_count() or 1}", *arguments, cwd=cwd)

    def _environment(self, extra: Mapping[str, str]) -> dict[str, str]:
        ours = {
            "CLANG": str(self.tools.clang),
            "WASM_LD": str(self.tools.llvm("wasm-ld")),
            "SYSROOT": str(self.sysroot),
            "LC_ALL": "C",
            "SOURCE_DATE_EPOCH": "0",
        }
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "TMPDIR")}
        return kept | ours | dict(extra)


def words(name: str) -> list[str]:
    """The lines of a list beside the recipes, without comments."""
    lines = (HERE / name).read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]
